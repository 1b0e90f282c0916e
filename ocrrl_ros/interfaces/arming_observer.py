# SPDX-License-Identifier: Apache-2.0
"""Look at the arm from a node's loop and say whether it may move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from ocrrl_ros.interfaces.arming_services import (
    ControllerSource, ParameterSource, PublisherSource)
from ocrrl_ros.interfaces.arming_topics import (
    FciDiagnosticsSource, joint_sample, pose_sample, RobotStateSource, Seen, Source,
    StampedSource, StatusSource)
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.robot.arming import check_arm
from ocrrl_ros.robot.arming_config import ArmingConfig
from ocrrl_ros.robot.arming_facts import ArmingReport, ArmObservation
from ocrrl_ros.robot.crisp_parameters import needed_parameters
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.robot_config import load_robot, RobotConfig
from rclpy.node import Node
from sensor_msgs.msg import JointState

#: A report of the same time is computed once.
_REPORT_S = 0.1
#: After so long without a look what was seen counts no more.
_PAUSE_S = 1.0
_OWN_POSE = 'franka_robot_state_broadcaster/current_pose'


@dataclass(frozen=True, kw_only=True)
class OptionalTypes:
    """Types of packages that are no wheels; None where they are not installed."""

    robot_state: type | None
    list_controllers: Any | None


def installed_types() -> OptionalTypes:
    """Return the types that are installed here."""
    franka, manager = optional('franka_msgs.msg'), optional('controller_manager_msgs.srv')
    return OptionalTypes(
        robot_state=None if franka is None else franka.FrankaRobotState,
        list_controllers=None if manager is None else manager.ListControllers)


class ArmingObserver:
    """
    Collects what ``check_arm`` needs, a little in each call of ``step``.

    One call looks at one source that is due, without waiting; no source is looked at more than
    twenty times a second. Everything is polled: no executor has to spin the node.
    """

    def __init__(
            self, node: Node, config: ArmingConfig, robot: RobotConfig | None = None, *,
            joint_state_topic: str = 'franka/joint_states', types: OptionalTypes | None = None):
        """
        Subscribe to what the kind of arm offers; warn of facts that are skipped.

        :param robot: gains and clips of training; config/robots/fr3.yaml by default.
        :param types: message types of other packages; those that are installed by default.
        """
        self.config = config
        self._robot = robot or load_robot()
        self._kinematics = FrankaKinematics()
        self._sources = _sources(
            node, config, self._robot, joint_state_topic, types or installed_types())
        self._due_s = [float('-inf')] * len(self._sources)
        self._next = 0
        self._stepped_s = float('-inf')
        self._unseen = set(range(len(self._sources)))
        self._report: ArmingReport | None = None
        self._reported_s = float('-inf')
        if config.skip:
            node.get_logger().warning(
                f'arming.skip: {", ".join(config.skip)} may stay unknown when the arm starts')

    def step(self, now_s: float) -> None:
        """Look at the next source that is due."""
        count = len(self._sources)
        if not 0.0 <= now_s - self._stepped_s < _PAUSE_S:
            self._unseen = set(range(count))
        self._stepped_s = now_s
        for index in ((self._next + i) % count for i in range(count)):
            source = self._sources[index]
            wait_s = self._due_s[index] - now_s
            # A clock that was set back does not leave a source alone for long.
            if not 0.0 < wait_s <= source.period_s:
                self._due_s[index] = now_s + source.period_s
                self._next = (index + 1) % count
                source.look(now_s)
                self._unseen.discard(index)
                return

    def observation(self, now_s: float) -> ArmObservation:
        """Return what is known now."""
        seen = Seen()
        for source in self._sources:
            source.tell(now_s, seen)
        return ArmObservation(
            now_s=now_s, offsets_s=seen.offsets_s, why_unknown=seen.why, **seen.values)

    def report(self, now_s: float) -> ArmingReport:
        """Return a finding for every fact."""
        return check_arm(
            self.observation(now_s), self.config, self._robot, self._kinematics)

    def refusals(self, now_s: float) -> list[str]:
        """
        Return why the arm may not move, what is known to be wrong first; empty: it may.

        After a pause, as for an episode, everything has to be looked at anew.
        """
        if self._unseen:
            return ['the arm has not been looked at since it rests']
        return self._newest(now_s).blocking

    def values(self, now_s: float) -> dict[str, str]:
        """Return what to publish: the verdict, and the lines of what is not as it should be."""
        report = self._newest(now_s)
        texts = {
            f'arming_{verdict}': ' | '.join(found.text for found in report.of(verdict))
            for verdict in ('refused', 'unknown', 'skipped')}
        return {'arming': 'refused' if report.blocking else 'ok', **texts}

    def _newest(self, now_s: float) -> ArmingReport:
        """Return a report that is at most a tenth of a second old."""
        if self._report is None or not 0.0 <= now_s - self._reported_s < _REPORT_S:
            self._report, self._reported_s = self.report(now_s), now_s
        return self._report


def _sources(
        node: Node, config: ArmingConfig, robot: RobotConfig, joint_state_topic: str,
        types: OptionalTypes) -> list[Source]:
    """Return the sources of the facts; what the kind of arm lacks is not subscribed to."""
    age_s = config.max_age_s
    sources: list[Source] = [
        StampedSource(
            node, JointState, joint_state_topic, joint_sample, key='joints',
            facts=('kinematics', 'end_effector', 'stamps'), max_age_s=age_s),
        StampedSource(
            node, PoseStamped, 'current_pose', pose_sample, key='pose',
            facts=('kinematics', 'stamps'), max_age_s=age_s),
        PublisherSource(node, config.target_topics)]
    if config.arm == 'fci':
        sources += [
            FciDiagnosticsSource(node),
            StatusSource(node, 'fci_arm/state', {
                'phase': 'phase', 'robot_mode': 'mode'}, ('mode',))]
    elif config.arm == 'franka_ros2':
        controllers = ControllerSource(node, types.list_controllers)
        sources += [
            StampedSource(
                node, PoseStamped, _OWN_POSE, pose_sample, key='own_pose',
                facts=('end_effector',), max_age_s=age_s),
            RobotStateSource(node, types.robot_state, age_s), controllers]
        if config.checks_gains:
            sources.append(ParameterSource(
                node, config.allowed_controllers, needed_parameters(config, robot),
                controllers))
    if 'gripper' in config.required:
        sources.append(StatusSource(node, 'gripper/state', {'homed': 'homed'}, ('gripper',)))
    return sources
