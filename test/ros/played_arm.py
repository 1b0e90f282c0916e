# SPDX-License-Identifier: Apache-2.0
"""Play arm, camera, episode and base policy toward a residual policy node, on wall time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
import time

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.core.se3 import pose
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.chunk_conversions import chunk_to_messages
from ocrrl_ros.interfaces.episode_state import REPEAT_S, to_message, TOPIC
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.episode_clock import EpisodeState
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ros_harness import NodeProcess, Probe, running, WALL_LIMIT_S
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String

MODULE = 'ocrrl_ros.nodes.residual_policy_node'
READY = np.array(READY_POSITION)
KINEMATICS = FrankaKinematics()
START = KINEMATICS.forward(READY)
HALVES = ('gripper', 'tcp')
#: A loaded machine lets the played arm pause for longer than a real one would.
PATIENT = {'controller.max_state_age_s': 0.5, 'controller.max_episode_age_s': 5.0}


class Arm:
    """
    An arm that follows its targets perfectly.

    :param process: the node under test, for its log.
    :param namespace: of the node, with a slash at its end; empty for none.
    """

    def __init__(self, probe: Probe, process: NodeProcess | None = None, namespace: str = ''):
        """Listen to what the node sends."""
        self.probe, self.process, self.namespace = probe, process, namespace
        self.targets = self._listen(JointState, 'target_joint', qos.DEEP_RELIABLE)
        self.target_poses = self._listen(PoseStamped, 'target_pose', qos.DEEP_RELIABLE)
        self.states = self._listen(DiagnosticStatus, 'residual_policy/state', qos.LATCHED)
        self.actions = self._listen(JointState, 'residual_policy/action', qos.DEEP_RELIABLE)
        self.gripper = self._listen(
            Float64MultiArray, 'gripper/gripper_position_controller/commands',
            qos.DEEP_RELIABLE)
        self.number = 0
        self._episode: String | None = None
        self._told_s = 0.0
        self._q = READY

    def _listen(self, kind: type, name: str, profile: object) -> list:
        return self.probe.listen(kind, self.namespace + name, profile)

    def publish(self, name: str, message: object, profile: object = qos.RELIABLE) -> None:
        """Publish below the node's namespace."""
        self.probe.publish(self.namespace + name, message, profile)

    def call(self, kind: type, name: str, request: object = None) -> object:
        """Call a service of the node."""
        return self.probe.call(kind, self.namespace + name, request)

    def now_s(self) -> float:
        """Return ROS time."""
        return self.probe.node.get_clock().now().nanoseconds * 1e-9

    def commanded(self) -> np.ndarray:
        """Return the TCP pose (7,) of the newest target, whichever topic it came on."""
        if self.target_poses:
            return conv.pose_to_array(self.target_poses[-1].pose)
        return KINEMATICS.forward(np.array(self.targets[-1].position)) if self.targets else START

    def joints(self) -> np.ndarray:
        """Return the joint positions (7,) that the arm has."""
        return self._q

    def rest_at(self, q: np.ndarray) -> None:
        """Report these joint positions (7,) until the first target comes."""
        self._q = q

    def live(self, duration_s: float, *, respond: bool = True) -> None:
        """Report joints at 200 Hz for a while."""
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            self._beat(respond)

    def live_until(self, predicate: Callable[[], object], what: str) -> None:
        """Report joints until the predicate holds."""
        end_s = time.monotonic() + WALL_LIMIT_S
        while not predicate():
            assert time.monotonic() < end_s, f'{what} did not come true'
            self._beat(True)

    def _beat(self, respond: bool) -> None:
        """Take what has arrived and report the joints once."""
        self.probe.poll()
        if time.monotonic() - self._told_s >= REPEAT_S:
            self._tell_episode()
        if self.targets:
            self._q = np.array(self.targets[-1].position)
        elif self.target_poses:
            self._q, _ = KINEMATICS.solve(self.commanded(), self._q)
        if respond:
            self.publish('franka/joint_states', conv.joint_state(
                ARM_JOINT_NAMES, self._q, np.zeros(7), stamp_s=self.now_s()))
        time.sleep(0.005)

    def start(self) -> None:
        """Start the next episode."""
        self.number += 1
        self.live(0.2)
        self.episode(True)
        self.live(0.1)

    def stop(self) -> None:
        """End the episode."""
        self.episode(False)
        self.live(0.3)

    def episode(self, running_now: bool) -> None:
        """Publish the episode's state, and go on repeating it while the arm lives."""
        self._episode = to_message(EpisodeState(
            number=self.number, running=running_now, task='cube_lift',
            started_s=self.now_s()))
        self._tell_episode()

    def forget_episode(self) -> None:
        """Repeat the episode's state no longer, as after the death of its node."""
        self._episode = None

    def _tell_episode(self) -> None:
        """Publish the episode's state, if there is one."""
        if self._episode is not None:
            self._told_s = time.monotonic()
            self.publish(TOPIC, self._episode, qos.LATCHED)

    def plan(
            self, offset: tuple[float, float, float] = (0.0, 0.05, 0.0),
            edit: Callable | None = None, halves: tuple[str, ...] = HALVES) -> None:
        """Publish a chunk of now, or one half of it, changed by ``edit(tcp, gripper)``."""
        first = self.commanded()
        share = np.linspace(0.0, 1.0, 16)[:, None]
        poses = pose(first[:3] + share * np.array(offset), np.tile(START[3:], (16, 1)))
        tcp, gripper = chunk_to_messages(
            ActionChunk(self.now_s(), 0.05, poses, np.ones(16)))
        if edit is not None:
            edit(tcp, gripper)
        for half, message in (('gripper', gripper), ('tcp', tcp)):
            if half in halves:
                self.publish(f'base_policy/{half}_chunk', message, qos.LATEST)

    def see_cube(self, frame_id: str = 'base') -> None:
        """Publish a cube of now on the table."""
        self.publish('objects/cube/pose', conv.pose_with_covariance(
            np.array([0.5, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0]), np.zeros(36), frame_id,
            self.now_s()))

    def speed(self) -> float:
        """Return the largest commanded joint speed of the newest target, rad/s."""
        before, now = self.targets[-2:]
        interval_s = conv.from_stamp(now.header.stamp) - conv.from_stamp(before.header.stamp)
        return np.abs(np.subtract(now.position, before.position)).max() / interval_s

    def warned(self, since: int, words: list[str]) -> bool:
        """Return whether the node has logged a warning with these words since a length of log."""
        return any('WARN' in line and all(word in line for word in words)
                   for line in self.process.log[since:].splitlines())


@contextmanager
def arm_beside_node(
        probe: Probe, folder: Path, namespace: str, **parameters: object) -> Iterator[Arm]:
    """Give an arm beside a node of its own in a namespace; ``a__b`` is the parameter ``a.b``."""
    node = NodeProcess(MODULE, folder / f'{namespace}.txt', {
        'residual': 'none', 'realtime_priority': 0, **PATIENT,
        **{name.replace('__', '.'): value for name, value in parameters.items()}},
        ros_arguments=('-r', f'__ns:=/{namespace}'))
    with running(node):
        arm = Arm(probe, node, f'{namespace}/')
        probe.until(lambda: arm.states, what='a first state of the node')
        yield arm
