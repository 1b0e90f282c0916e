# SPDX-License-Identifier: Apache-2.0
"""Settings of the node that puts a simulated world behind the FR3's ROS interface."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from ocrrl_ros.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BridgeRates:
    """How often each group of topics is published; 0 leaves it out."""

    joint_states_hz: float = field(
        default=30.0, metadata={'description': 'joint_states (arm and fingers), Hz'})
    franka_joint_states_hz: float = field(
        default=1000.0, metadata={'description': 'franka/joint_states (arm), Hz'})
    broadcaster_hz: float = field(
        default=1000.0, metadata={'description': 'franka_robot_state_broadcaster/*, Hz'})
    robot_state_hz: float = field(
        default=200.0, metadata={'description': 'robot_state (needs franka_msgs), Hz'})
    crisp_hz: float = field(
        default=500.0, metadata={'description': 'current_pose and current_twist, Hz'})
    franka_gripper_hz: float = field(
        default=15.0, metadata={'description': 'franka_gripper/joint_states, Hz'})
    gripper_hz: float = field(
        default=50.0, metadata={'description': 'gripper/joint_states, Hz'})
    task_hz: float = field(
        default=20.0, metadata={'description': 'sim/task_state and sim/objects/*/pose, Hz'})

    def __post_init__(self) -> None:
        """Refuse rates that the 1 kHz physics cannot serve."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0.0 <= value <= 1000.0:
                raise ConfigError(f'rates.{item.name} is {value} Hz; allowed: 0 .. 1000 Hz')


@dataclass(frozen=True, kw_only=True)
class WorldSelection:
    """Which world to build; fixed once the node runs."""

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(
        default='sim', metadata={'description': 'domain name or path of a YAML file'})


@dataclass(frozen=True, kw_only=True)
class EpisodeSelection:
    """Which start state the next reset draws; may be set while the node runs."""

    seed: int = field(default=10000, metadata={'description': 'evaluation seed, >= 0'})
    episode: int = field(default=0, metadata={'description': 'episode index, >= 0'})

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        for item in fields(self):
            if getattr(self, item.name) < 0:
                raise ConfigError(f'sim.{item.name} is {getattr(self, item.name)}; allowed: >= 0')


ArmController = Literal[
    'any', 'crisp', 'joint_trajectory', 'gello', 'cartesian_impedance_example']


@dataclass(frozen=True, kw_only=True)
class BridgeConfig:
    """Settings of the node; what the world is like stands in the domain file."""

    rates: BridgeRates = field(default_factory=BridgeRates)
    camera: bool = field(default=True, metadata={'description': 'render and publish the camera'})
    view: bool = field(
        default=False, metadata={'description': 'open the viewer; needs a display'})
    realtime_priority: int = field(
        default=20, metadata={'description': 'SCHED_FIFO priority where permitted; 0 = off'})
    arm_controller: ArmController = field(
        default='any', metadata={'description': (
            'whose targets move the arm; any: of CRISP and of trajectories, the last one wins')})
    command_tick_s: float = field(
        default=0.005, metadata={'description': 'time per tick with use_sim_time, s'})
    lockstep_participants: tuple[str, ...] = field(
        default=(), metadata={'description': 'nodes that each tick waits for (use_sim_time)'})
    lockstep_warning_s: float = field(
        default=5.0, metadata={'description': 'wall time before a missing node is named, s'})
    renderer_timeout_s: float = field(
        default=60.0, metadata={'description': 'longest start of the renderer, s'})

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 <= self.realtime_priority <= 99:
            raise ConfigError(
                f'realtime_priority is {self.realtime_priority}; allowed: 0 (off) .. 99')
        if not 0.001 <= self.command_tick_s <= 0.05:
            raise ConfigError(
                f'command_tick_s is {self.command_tick_s} s; allowed: 0.001 .. 0.05 s')
        for name in ('lockstep_warning_s', 'renderer_timeout_s'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)} s; allowed: > 0')
