# SPDX-License-Identifier: Apache-2.0
"""Target topics of the simulated FR3, polled in the physics loop."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import PoseStamped, WrenchStamped
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.chunk_conversions import trajectory_positions, trajectory_times
from ocrrl_ros.interfaces.conversions import from_stamp, pose_to_array, wrench_to_array
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import topic
from ocrrl_ros.interfaces.target_guard import joint_target, TargetGuard
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, BASE_FRAME
from ocrrl_ros.sim.bridge_commands import ArmCommander, JointTrajectoryPlan
from ocrrl_ros.sim.bridge_config import ArmController
from ocrrl_ros.sim.bridge_watchdog import StreamWatchdog
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

GRIPPER_COMMANDS = 'gripper/gripper_position_controller/commands'
#: N/m and Nm/rad of Franka's cartesian_impedance_example_controller (facts/franka.md section 1.3).
_EXAMPLE_STIFFNESS = (150.0, 150.0, 150.0, 10.0, 10.0, 10.0)
Source = tuple[PolledSubscription, Callable[[object], None]]


class TargetInputs:
    """
    Subscriptions to the targets of the chosen controller, and of the hand.

    What cannot be used changes nothing and is named once. As in CRISP a topic with more than one
    publisher is ignored altogether.
    """

    def __init__(
            self, node: Node, commander: ArmCommander, set_gripper: Callable[[float], None],
            arm_controller: ArmController = 'any',
            stamp_s: Callable[[float], float] = float):
        """
        Create the subscriptions.

        :param set_gripper: takes an opening, 0 closed .. 1 open.
        :param arm_controller: whose targets move the arm; nobody else's are listened to.
        :param stamp_s: returns the stamp of a physics time.
        """
        self._node = node
        self._commander = commander
        self._set_gripper = set_gripper
        self._stamp_s = stamp_s
        self._guard = TargetGuard(node.get_logger().warning)
        self._watchdog = StreamWatchdog() if arm_controller == 'gello' else None
        self._fast = self._streams(arm_controller)
        self._slow = self._occasional(arm_controller)
        self._calls = 0
        self._now_s = 0.0
        self._tcp: Callable[[], np.ndarray] = lambda: np.zeros(7)

    def _listen(self, kind: type, name: str, accept: Callable[[object], None]) -> Source:
        """Return a subscription and who takes its messages."""
        return PolledSubscription(self._node, kind, name, topic(name).qos), accept

    def _streams(self, arm_controller: ArmController) -> tuple[Source, ...]:
        """Return the topics that are looked at in every step."""
        if arm_controller in ('any', 'crisp'):
            return (self._listen(JointState, 'target_joint', self._on_joint),
                    self._listen(PoseStamped, 'target_pose', self._on_pose))
        if arm_controller == 'gello':
            return (self._listen(JointState, 'gello/joint_states', self._on_gello),)
        if arm_controller == 'cartesian_impedance_example':
            self._commander.on_stiffness(np.array(_EXAMPLE_STIFFNESS))
            return (self._listen(
                PoseStamped, 'cartesian_impedance_example_controller/equilibrium_pose',
                self._on_pose),)
        return ()

    def _occasional(self, arm_controller: ArmController) -> tuple[Source, ...]:
        """Return the topics of which one is looked at in each step."""
        found: tuple[Source, ...] = ()
        if arm_controller in ('any', 'crisp'):
            found += (self._listen(WrenchStamped, 'target_wrench', self._on_wrench),
                      self._listen(Float64MultiArray, 'target_stiffness', self._on_stiffness))
        found += (self._listen(Float64MultiArray, GRIPPER_COMMANDS, self._on_gripper),)
        if arm_controller in ('any', 'joint_trajectory'):
            found += tuple(
                self._listen(JointTrajectory, f'{name}/joint_trajectory', self._on_trajectory)
                for name in ('joint_trajectory_controller', 'fr3_arm_controller'))
        return found

    def take(self, now_s: float, tcp: Callable[[], np.ndarray], *, everything: bool) -> None:
        """
        Accept or refuse what has arrived.

        :param now_s: physics time.
        :param tcp: returns the present base_T_tcp (7,).
        :param everything: also look at the slow topics; else one of them per call.
        """
        self._now_s, self._tcp = now_s, tcp
        for subscription, accept in self._fast:
            self._take_one(subscription, accept)
        self._calls += 1
        if everything:
            for subscription, accept in self._slow:
                self._take_one(subscription, accept)
        else:
            self._take_one(*self._slow[self._calls % len(self._slow)])
        if self._watchdog is not None and self._watchdog.trips(now_s):
            self._commander.hold(self._commander.q_desired)
            self._guard.refuse(
                'gello/joint_states', f'gello/joint_states: {self._watchdog.reason}', now_s)

    @property
    def refused(self) -> int:
        """Return how many messages were refused."""
        return self._guard.refused

    def drop(self) -> None:
        """Throw away what is waiting, after a reset."""
        for subscription, _ in (*self._fast, *self._slow):
            subscription.take_all()
        if self._watchdog is not None:
            self._watchdog.reset()

    def _take_one(
            self, subscription: PolledSubscription, accept: Callable[[object], None]) -> None:
        """Take the newest message of a topic and hand it over, or say why not."""
        self._guard.take(subscription, accept, self._now_s)

    def _on_joint(self, message: JointState) -> None:
        """Accept a joint target."""
        self._commander.on_joint_target(*joint_target(message))

    def _on_gello(self, message: JointState) -> None:
        """Accept positions by index, while stamps and arrivals are fresh; stop for good if not."""
        was_running = self._watchdog.reason is None
        try:
            self._watchdog.accept(
                from_stamp(message.header.stamp), self._stamp_s(self._now_s), self._now_s)
        except InputError:
            if was_running:
                self._commander.hold(self._commander.q_desired)
            raise
        self._on_joint(JointState(name=message.name, position=message.position))

    def _on_pose(self, message: PoseStamped) -> None:
        """Accept a TCP pose in the base frame."""
        self._check_frame(message.header.frame_id)
        self._commander.on_pose_target(pose_to_array(message.pose))

    def _on_wrench(self, message: WrenchStamped) -> None:
        """Accept a feed-forward wrench in the base frame."""
        self._check_frame(message.header.frame_id)
        self._commander.on_wrench(wrench_to_array(message.wrench), self._tcp())

    def _on_stiffness(self, message: Float64MultiArray) -> None:
        """Accept a Cartesian stiffness."""
        self._commander.on_stiffness(np.array(message.data))

    def _on_gripper(self, message: Float64MultiArray) -> None:
        """Accept an opening, 0 closed .. 1 open."""
        values = np.array(message.data)
        if values.shape != (1,) or not np.isfinite(values).all() or not 0 <= values[0] <= 1:
            raise InputError(
                f'gripper command is {values.tolist()}; allowed: one number, 0 closed .. 1 open')
        self._set_gripper(float(values[0]))

    def _on_trajectory(self, message: JointTrajectory) -> None:
        """Accept a joint trajectory; joints are matched by name."""
        names = list(ARM_JOINT_NAMES)
        positions = trajectory_positions(message, names, 'joint trajectory')
        order = [list(message.joint_names).index(name) for name in names]
        rows = [point.velocities for point in message.points]
        velocities = None
        if all(len(row) == len(names) for row in rows):
            velocities = np.array(rows)[:, order]
        plan = JointTrajectoryPlan(trajectory_times(message), positions, velocities)
        self._commander.on_trajectory(plan, self._now_s)

    @staticmethod
    def _check_frame(frame_id: str) -> None:
        """Refuse targets that are meant in another frame; CRISP would silently take them."""
        if frame_id not in ('', BASE_FRAME):
            raise InputError(f'frame_id is {frame_id!r}; allowed: {BASE_FRAME!r}')
