# SPDX-License-Identifier: Apache-2.0
"""Be a node for some seconds, look at whatever arm is there, and say whether it may move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
import os
import time

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.interfaces.arming_observer import ArmingObserver, OptionalTypes
from ocrrl_ros.interfaces.graph_process import own_node
from ocrrl_ros.interfaces.spin import use_fastdds_profile
from ocrrl_ros.robot.arming_config import ArmChoice, ArmingConfig, ArmName
from ocrrl_ros.robot.arming_facts import ArmingReport
from ocrrl_ros.robot.robot_config import RobotConfig
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier

#: Nodes by which an arm is known; what could be real comes first.
NODES_OF_ARMS: dict[ArmName, tuple[str, ...]] = {
    'fci': ('fci_arm',),
    'franka_ros2': ('controller_manager', 'franka_robot_state_broadcaster'),
    'sim': ('mujoco_bridge',)}
_POLL_S = 0.005
_DETECT_S = 3.0
#: A second publisher may be discovered later than the first.
_LEAST_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found."""

    arm: ArmName
    """What the arm was checked as."""
    found_node: str
    """Node by which it was known; empty where it was not."""
    nodes: tuple[str, ...]
    """Every node of the namespace."""
    report: ArmingReport
    middleware: str
    reach: str
    """ROS domain and range of discovery."""


def arm_of_nodes(names: Iterable[str]) -> tuple[ArmName, str] | None:
    """Return the arm that nodes of these names belong to, and which of them said so."""
    there = set(names)
    for arm, known in NODES_OF_ARMS.items():
        for name in known:
            if name in there:
                return arm, name
    return None


def examine_robot(
        arm: ArmChoice, config: ArmingConfig, robot: RobotConfig, *, namespace: str = '',
        timeout_s: float = 10.0, joint_state_topic: str = 'franka/joint_states',
        types: OptionalTypes | None = None) -> Examination:
    """
    Look until everything that is required is known and right, or the time is over.

    :param arm: what it is; auto tells it by the nodes that run, a real arm where none is known.
    :param config: what is allowed; its ``arm`` is replaced.
    :param namespace: of the arm's nodes.
    :raises ConfigError: the namespace is no name.
    """
    use_fastdds_profile()
    started_s = time.monotonic()
    try:
        with own_node('ocrrl_doctor', namespace) as node:
            found = _detect(node, started_s + min(_DETECT_S, timeout_s / 3.0))
            chosen = arm if arm != 'auto' else found[0] if found else 'franka_ros2'
            observer = ArmingObserver(
                node, replace(config, arm=chosen), robot, joint_state_topic=joint_state_topic,
                types=types)
            report = _watch(node, observer, started_s + timeout_s)
            return Examination(
                arm=chosen, found_node=found[1] if found else '', nodes=tuple(_names(node)),
                report=report, middleware=get_rmw_implementation_identifier(), reach=_reach())
    except NameValidationException as error:
        raise ConfigError(f'namespace is {namespace!r}: {error}'.replace('\n', ' ')) from error


def _names(node: Node) -> list[str]:
    """Return the other nodes of the node's namespace."""
    own = node.get_namespace()
    return sorted({
        name for name, namespace in node.get_node_names_and_namespaces()
        if namespace == own and name != node.get_name()})


def _detect(node: Node, end_s: float) -> tuple[ArmName, str] | None:
    """Wait for a node by which an arm is known."""
    while True:
        found = arm_of_nodes(_names(node))
        if found is not None or time.monotonic() >= end_s:
            return found
        time.sleep(_POLL_S)


def _watch(node: Node, observer: ArmingObserver, end_s: float) -> ArmingReport:
    """Look until all is well, at least for a while, or the time is over."""
    settled_s = time.monotonic() + _LEAST_S
    while True:
        now_s = node.get_clock().now().nanoseconds * 1e-9
        observer.step(now_s)
        monotonic_s = time.monotonic()
        is_over = monotonic_s >= end_s
        if is_over or (monotonic_s >= settled_s and not observer.refusals(now_s)):
            return observer.report(now_s)
        time.sleep(_POLL_S)


def _reach() -> str:
    """Return where nodes are looked for."""
    discovery = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE') or 'SUBNET'
    return f'ROS domain {os.environ.get("ROS_DOMAIN_ID") or 0}, discovery {discovery}'
