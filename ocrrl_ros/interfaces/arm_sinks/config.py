# SPDX-License-Identifier: Apache-2.0
"""Settings of every sink in one place."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot.arming_config import JTC_CONTROLLER

SinkName = Literal[
    'crisp_joint', 'crisp_pose', 'jtc_trajectory', 'equilibrium_pose', 'gello_joint',
    'ptp_async', 'float64_commands']
#: Beyond this rate every target of the robot's own point-to-point planner is cut short.
MAX_PTP_RATE_HZ = 50.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class SinkConfig:
    """Topics, rates and points of the sinks; each sink reads what concerns it."""

    rate_hz: float = dataclasses.field(
        default=0.0, metadata={'description': (
            'most messages per second; 0: one per command, for jtc_trajectory and ptp_async 50. '
            'The CRISP sinks always send one per command')})
    robot: Literal['fr3', 'sim'] = dataclasses.field(
        default='fr3', metadata={'description': (
            'sim says that no real arm listens, which float64_commands asks for')})
    jtc_controller: str = dataclasses.field(
        default=JTC_CONTROLLER, metadata={'description': (
            'joint trajectory controller whose joint_trajectory topic jtc_trajectory writes')})
    jtc_points: int = dataclasses.field(
        default=3, metadata={'description': 'close points ahead in each trajectory'})
    jtc_step_s: float = dataclasses.field(
        default=0.02, metadata={'description': 'time between close points, s'})
    jtc_ends_at_rest: bool = dataclasses.field(
        default=True, metadata={'description': (
            'append points up to where the plan rests, so that the arm stops by itself when '
            'messages stop; false needs allow_nonzero_velocity_at_trajectory_end')})
    jtc_stamped: bool = dataclasses.field(
        default=False, metadata={'description': (
            'stamp trajectories with the time of the command; unstamped ones start on arrival')})
    equilibrium_pose_topic: str = dataclasses.field(
        default='cartesian_impedance_example_controller/equilibrium_pose',
        metadata={'description': 'topic of equilibrium_pose'})
    equilibrium_pose_frame: str = dataclasses.field(
        default='base', metadata={'description': 'frame_id of equilibrium_pose'})
    gello_topic: str = dataclasses.field(
        default='gello/joint_states', metadata={'description': 'topic of gello_joint'})
    gello_keep_alive: bool = dataclasses.field(
        default=True, metadata={'description': (
            "repeat the last target between episodes: the controller's process ends after 0.5 s "
            'of silence')})
    float64_controller: str = dataclasses.field(
        default='forward_position_controller', metadata={'description': (
            'controller whose commands topic float64_commands writes')})
    float64_interface: Literal['position', 'velocity'] = dataclasses.field(
        default='position', metadata={'description': (
            'what float64_commands sends: joint positions or joint velocities')})

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not 0.0 <= self.rate_hz <= 1000.0:
            raise ConfigError(f'rate_hz is {self.rate_hz} Hz; allowed: 0 .. 1000')
        if not 1 <= self.jtc_points <= 50:
            raise ConfigError(f'jtc_points is {self.jtc_points}; allowed: 1 .. 50')
        if not 0.001 <= self.jtc_step_s <= 0.1:
            raise ConfigError(f'jtc_step_s is {self.jtc_step_s} s; allowed: 0.001 .. 0.1')
        for name in ('jtc_controller', 'equilibrium_pose_topic', 'gello_topic',
                     'float64_controller'):
            if not getattr(self, name):
                raise ConfigError(f'{name} is empty; a name is expected')

    def paced_hz(self, default_hz: float) -> float:
        """Return the rate asked for, or a sink's own where none is."""
        return self.rate_hz or default_hz
