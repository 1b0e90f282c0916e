# SPDX-License-Identifier: Apache-2.0
"""Target topics of the simulated FR3, polled in the physics loop."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import PoseStamped, WrenchStamped
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.chunk_conversions import trajectory_positions, trajectory_times
from ocrrl_ros.interfaces.conversions import pose_to_array, wrench_to_array
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import topic
from ocrrl_ros.interfaces.target_guard import joint_target, TargetGuard
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, BASE_FRAME
from ocrrl_ros.sim.bridge_commands import ArmCommander, JointTrajectoryPlan
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

GRIPPER_COMMANDS = 'gripper/gripper_position_controller/commands'


class TargetInputs:
    """
    Subscriptions to every target; what cannot be used changes nothing and is named once.

    As in CRISP a topic with more than one publisher is ignored altogether.
    """

    def __init__(
            self, node: Node, commander: ArmCommander, set_gripper: Callable[[float], None]):
        """
        Create the subscriptions.

        :param set_gripper: takes an opening, 0 closed .. 1 open.
        """
        self._commander = commander
        self._set_gripper = set_gripper
        self._guard = TargetGuard(node.get_logger().warning)

        def listen(kind: type, name: str) -> PolledSubscription:
            return PolledSubscription(node, kind, name, topic(name).qos)

        self._fast = (
            (listen(JointState, 'target_joint'), self._on_joint),
            (listen(PoseStamped, 'target_pose'), self._on_pose),
        )
        self._slow = (
            (listen(WrenchStamped, 'target_wrench'), self._on_wrench),
            (listen(Float64MultiArray, 'target_stiffness'), self._on_stiffness),
            (listen(Float64MultiArray, GRIPPER_COMMANDS), self._on_gripper),
            *((listen(JointTrajectory, f'{name}/joint_trajectory'), self._on_trajectory)
              for name in ('joint_trajectory_controller', 'fr3_arm_controller')),
        )
        self._calls = 0
        self._now_s = 0.0
        self._tcp: Callable[[], np.ndarray] = lambda: np.zeros(7)

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

    @property
    def refused(self) -> int:
        """Return how many messages were refused."""
        return self._guard.refused

    def drop(self) -> None:
        """Throw away what is waiting, after a reset."""
        for subscription, _ in (*self._fast, *self._slow):
            subscription.take_all()

    def _take_one(
            self, subscription: PolledSubscription, accept: Callable[[object], None]) -> None:
        """Take the newest message of a topic and hand it over, or say why not."""
        self._guard.take(subscription, accept, self._now_s)

    def _on_joint(self, message: JointState) -> None:
        """Accept a joint target."""
        self._commander.on_joint_target(*joint_target(message))

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
