# SPDX-License-Identifier: Apache-2.0
"""
Where shaped commands go: one publisher, one controller (facts/franka.md section 8).

Every sink takes commands that were shaped in joint space; a Cartesian sink gets their forward
kinematics.
"""

from __future__ import annotations

from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.interfaces.arm_sinks.base import ArmSink, PacedSink, Preview
from ocrrl_ros.interfaces.arm_sinks.config import SinkConfig, SinkName
from ocrrl_ros.interfaces.arm_sinks.crisp import CrispJointSink, CrispPoseSink
from ocrrl_ros.interfaces.arm_sinks.raw import Float64CommandsSink
from ocrrl_ros.interfaces.arm_sinks.streams import (
    EquilibriumPoseSink, GelloJointSink, PtpAsyncSink)
from ocrrl_ros.interfaces.arm_sinks.trajectory import JtcTrajectorySink
from rclpy.node import Node

__all__ = ['ArmSink', 'make_sink', 'PacedSink', 'Preview', 'SinkConfig', 'SinkName']

_SINKS: dict[str, type[ArmSink]] = {
    'crisp_joint': CrispJointSink, 'crisp_pose': CrispPoseSink,
    'jtc_trajectory': JtcTrajectorySink, 'equilibrium_pose': EquilibriumPoseSink,
    'gello_joint': GelloJointSink, 'ptp_async': PtpAsyncSink,
    'float64_commands': Float64CommandsSink}


def make_sink(name: str, node: Node, config: SinkConfig | None = None) -> ArmSink:
    """
    Return the sink of this name.

    :raises UnknownNameError: the message lists the known sinks.
    :raises ConfigError: the sink refuses its settings.
    """
    if name not in _SINKS:
        raise UnknownNameError('sink', name, _SINKS, f'parameter sink of {node.get_name()}')
    return _SINKS[name](node, config or SinkConfig())
