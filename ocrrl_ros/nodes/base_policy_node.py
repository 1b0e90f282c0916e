# SPDX-License-Identifier: Apache-2.0
"""Plan action chunks from the newest camera image while an episode runs."""

from __future__ import annotations

import collections
import dataclasses
import sys

from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.core.bundle import load_bundle
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.resources import share_path
from ocrrl_ros.interfaces import episode_state
from ocrrl_ros.interfaces.chunk_conversions import chunk_to_messages
from ocrrl_ros.interfaces.conversions import checked_pose, from_stamp
from ocrrl_ros.interfaces.gripper_state import GRIPPER_STATE_TOPIC, opening_from_message
from ocrrl_ros.interfaces.image_conversions import image_to_rgb
from ocrrl_ros.interfaces.parameters import declare_config
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, LATEST, LATEST_BEST_EFFORT
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.tick_loop import LoopConfig, TickLoop
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.adapters.onnx_policy import OnnxBasePolicy
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy
from ocrrl_ros.policy.replanning import ReplanConfig, Replanner
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

NODE_NAME = 'base_policy'
_HISTORY = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class BasePolicyConfig:
    """Settings of the base policy node."""

    bundle: str = dataclasses.field(
        default='models/base_proxy',
        metadata={'description': 'folder of the base bundle, absolute or as shipped'})
    threads: int = dataclasses.field(
        default=1, metadata={'description': 'threads of the inference library'})
    replan: ReplanConfig = ReplanConfig()
    loop: LoopConfig = LoopConfig(rate_hz=100.0)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not 1 <= self.threads <= 64:
            raise ConfigError(f'threads is {self.threads}; allowed: 1 .. 64')


class BasePolicyNode(Node):
    """
    Publishes ``base_policy/tcp_chunk`` and ``base_policy/gripper_chunk``.

    :param policy: injected in tests; by default the bundle that the parameters name.
    """

    def __init__(self, policy: BasePolicy | None = None, **arguments):
        """Load the policy and subscribe; nothing is published before an episode starts."""
        super().__init__(NODE_NAME, **arguments)
        self.config = declare_config(self, BasePolicyConfig)
        bundle = None if policy else load_bundle(share_path(self.config.bundle), 'base')
        self._policy = policy or OnnxBasePolicy.from_bundle(bundle, self.config.threads)
        self._replanner = Replanner(self.config.replan)
        self._poses: collections.deque = collections.deque(maxlen=_HISTORY)
        self._opening: float | None = None
        self._instruction = ''
        self._pending: ActionChunk | None = None
        self._inputs()
        self._tcp_chunk = self.create_publisher(
            MultiDOFJointTrajectory, 'base_policy/tcp_chunk', LATEST)
        self._gripper_chunk = self.create_publisher(
            JointTrajectory, 'base_policy/gripper_chunk', LATEST)
        self.loop = TickLoop(self, self.config.loop)

    def _inputs(self) -> None:
        """Create the polled subscriptions."""
        self._image_in = PolledSubscription(
            self, Image, 'camera/camera/color/image_raw', LATEST_BEST_EFFORT)
        self._pose_in = PolledSubscription(
            self, PoseStamped, 'current_pose', LATEST_BEST_EFFORT)
        self._gripper_in = PolledSubscription(
            self, JointState, GRIPPER_STATE_TOPIC, LATEST_BEST_EFFORT)
        self._instruction_in = PolledSubscription(
            self, String, 'base_policy/instruction', LATCHED)
        self._episode_in = PolledSubscription(self, String, episode_state.TOPIC, LATCHED)

    def step(self, now_s: float) -> None:
        """Take what has arrived, plan when due, publish what is ready."""
        self._take_small_inputs(now_s)
        if self._replanner.wants_image(now_s):
            self._plan(now_s)
        chunk = self._replanner.take_ready(now_s)
        if chunk is not None:
            tcp, gripper = chunk_to_messages(chunk)
            self._gripper_chunk.publish(gripper)
            self._tcp_chunk.publish(tcp)

    def _take_small_inputs(self, now_s: float) -> None:
        """Update instruction, episode, gripper opening and the history of TCP poses."""
        for message in self._episode_in.take_all():
            state = episode_state.from_message(message)
            self._replanner.set_running(state.running, now_s)
        message = self._instruction_in.take_newest()
        if message is not None and message.data != self._instruction:
            self._instruction = message.data
            self._replanner.restart(now_s)
        message = self._gripper_in.take_newest()
        if message is not None:
            self._opening = opening_from_message(message)
        message = self._pose_in.take_newest()
        if message is not None:
            self._remember_pose(message)

    def _remember_pose(self, message: PoseStamped) -> None:
        """Keep a checked TCP pose with its stamp."""
        try:
            pose = checked_pose(message.pose, 'current_pose')
        except InputError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=2.0)
            return
        self._poses.append((from_stamp(message.header.stamp), pose))

    def _plan(self, now_s: float) -> None:
        """Infer a chunk from the newest image, if it is new enough and the state is known."""
        message = self._image_in.take_newest()
        if message is None or not self._poses or self._opening is None:
            return
        stamp_s = from_stamp(message.header.stamp)
        self.loop.monitor.on_input('image', stamp_s, 1.0)
        if not self._replanner.accepts(stamp_s):
            return
        _, pose = min(self._poses, key=lambda entry: abs(entry[0] - stamp_s))
        try:
            batch = self._policy.infer(BaseInputs(
                stamp_s=np.array([stamp_s]), rgb=image_to_rgb(message)[None],
                base_T_tcp=pose[None], gripper=np.array([self._opening]),
                instructions=(self._instruction,)))
            chunk = ActionChunk(
                stamp_s, self._policy.step_s, batch.poses[0], batch.grippers[0])
        except InputError as error:
            self.get_logger().error(str(error), throttle_duration_sec=2.0)
            return
        self._replanner.planned(chunk, now_s)


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(BasePolicyNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
