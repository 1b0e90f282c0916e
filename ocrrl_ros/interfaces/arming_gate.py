# SPDX-License-Identifier: Apache-2.0
"""Refuse episodes while the arm fails the checks of `ocrrl doctor --robot`."""

from __future__ import annotations

import dataclasses

from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.interfaces.arm_sinks import SinkConfig
from ocrrl_ros.interfaces.arming_observer import ArmingObserver, OptionalTypes
from ocrrl_ros.interfaces.monitor import LoopMonitor
from ocrrl_ros.robot.arming_config import ArmingConfig, JTC_TOPIC, TARGET_OF_SINK
from ocrrl_ros.robot.robot_config import RobotConfig
from rclpy.node import Node

_REPORT_PERIOD_S = 1.0
_SHOWN = 3


def arming_for_sink(config: ArmingConfig, sink: str, settings: SinkConfig) -> ArmingConfig:
    """
    Return the checks for the topic and the controller that a sink feeds.

    :raises ConfigError: nobody has said which controller that is.
    """
    is_crisp = sink in TARGET_OF_SINK
    controllers = config.controllers
    if sink == 'jtc_trajectory' and not controllers:
        controllers = (settings.jtc_controller,)
    known = config.arm != 'franka_ros2' or is_crisp or controllers
    if not known:
        raise ConfigError(
            f'arming.controllers is empty; with preflight and sink {sink} the name of the '
            'controller that takes the targets is expected')
    return dataclasses.replace(
        config, target=_target(sink, settings), controllers=controllers,
        checks_gains=config.checks_gains and is_crisp)


def _target(sink: str, settings: SinkConfig) -> str:
    """Return the topic of a sink's targets."""
    others = {
        'jtc_trajectory': f'{settings.jtc_controller}/{JTC_TOPIC}',
        'equilibrium_pose': settings.equilibrium_pose_topic, 'gello_joint': settings.gello_topic,
        'float64_commands': f'{settings.float64_controller}/commands'}
    return TARGET_OF_SINK.get(sink) or others.get(sink, 'target_joint')


class ArmingGate:
    """Looks at an arm at rest and says whether an episode may begin."""

    def __init__(
            self, node: Node, config: ArmingConfig, robot: RobotConfig, joint_state_topic: str,
            types: OptionalTypes | None = None):
        """
        Subscribe; nothing is known yet.

        :param config: of ``arming_for_sink``.
        :param types: message types of packages that are no wheels; the installed ones by default.
        """
        self._observer = ArmingObserver(
            node, config, robot, joint_state_topic=joint_state_topic, types=types)
        self._told_s = float('-inf')

    def step(self, now_s: float, monitor: LoopMonitor) -> None:
        """Look at one thing, for an arm at rest; the verdict goes to /diagnostics."""
        self._observer.step(now_s)
        if not 0.0 <= now_s - self._told_s < _REPORT_PERIOD_S:
            self._told_s = now_s
            for name, value in self._observer.values(now_s).items():
                monitor.set_value(name, value)

    def check(self, now_s: float) -> None:
        """
        Let an episode begin.

        :raises InputError: something is wrong or unknown; the message names the first facts.
        """
        refusals = self._observer.refusals(now_s)
        if refusals:
            rest = len(refusals) - _SHOWN
            more = f'; and {rest} more (ocrrl doctor --robot)' if rest > 0 else ''
            raise InputError(f'preflight refuses: {"; ".join(refusals[:_SHOWN])}{more}')
