# SPDX-License-Identifier: Apache-2.0
"""Plan action chunks from the newest camera image while an episode runs."""

from __future__ import annotations

import collections
import dataclasses
import sys

from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.core.bundle import load_bundle
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.interfaces import episode_state
from ocrrl_ros.interfaces.chunk_conversions import chunk_to_messages
from ocrrl_ros.interfaces.conversions import from_stamp, pose_to_array
from ocrrl_ros.interfaces.gripper_state import GRIPPER_STATE_TOPIC, opening_from_message
from ocrrl_ros.interfaces.image_conversions import COLOUR_TOPIC, image_to_rgb
from ocrrl_ros.interfaces.input_warnings import InputWarnings
from ocrrl_ros.interfaces.managed_node import ManagedConfig, ManagedNode
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, LATEST, LATEST_BEST_EFFORT
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.tick_loop import LoopConfig
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.adapters.onnx_policy import OnnxBasePolicy
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy
from ocrrl_ros.policy.plausible import check_near
from ocrrl_ros.policy.replanning import ReplanConfig, Replanner
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

NODE_NAME = 'base_policy'
_POSE_TOPIC = 'current_pose'
_HISTORY = 200
#: A plan that waits longer than this for an input says for which.
_PATIENCE_S = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class BasePolicyConfig(ManagedConfig):
    """Settings of the base policy node."""

    bundle: str = dataclasses.field(
        default='models/base_proxy',
        metadata={'description': 'folder of the base bundle, absolute or as shipped'})
    threads: int = dataclasses.field(
        default=1, metadata={'description': 'threads of the inference library'})
    noise_seed: int = dataclasses.field(default=0, metadata={
        'description': 'with the number of the episode: seed of a base that samples its chunks'})
    replan: ReplanConfig = ReplanConfig()
    loop: LoopConfig = LoopConfig(rate_hz=100.0)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not 1 <= self.threads <= 64:
            raise ConfigError(f'threads is {self.threads}; allowed: 1 .. 64')
        if self.noise_seed < 0:
            raise ConfigError(f'noise_seed is {self.noise_seed}; allowed: >= 0')


class BasePolicyNode(ManagedNode):
    """
    Publishes ``base_policy/tcp_chunk`` and ``base_policy/gripper_chunk``.

    Configured, it has loaded the policy; active, it hears the episode and plans.

    :param policy: injected in tests; by default the bundle that the parameters name.
    """

    def __init__(self, policy: BasePolicy | None = None, **arguments):
        """Load the policy and subscribe; nothing is published before an episode starts."""
        super().__init__(NODE_NAME, BasePolicyConfig, **arguments)
        self._injected = policy
        self._policy: BasePolicy | None = None
        self._warnings = InputWarnings(self)
        self._forget()
        self._tcp_chunk = self.create_publisher(
            MultiDOFJointTrajectory, 'base_policy/tcp_chunk', LATEST)
        self._gripper_chunk = self.create_publisher(
            JointTrajectory, 'base_policy/gripper_chunk', LATEST)
        self.start()

    def configure(self) -> None:
        """
        Load the policy.

        :raises BundleError: its bundle is missing, altered or no base.
        """
        self._policy = self._injected or OnnxBasePolicy.from_bundle(
            load_bundle(self.config.bundle, 'base'), self.config.threads)

    def activate(self) -> None:
        """Subscribe; an episode that runs is joined."""
        self._inputs()

    def deactivate(self) -> None:
        """Drop plans and inputs."""
        self._forget()

    def cleanup(self) -> None:
        """Drop the policy."""
        self._policy = None

    def _forget(self) -> None:
        """Know of no episode and no input, and have no plan."""
        self._replanner = Replanner(self.config.replan)
        self._poses: collections.deque = collections.deque(maxlen=_HISTORY)
        self._opening: float | None = None
        self._instruction = ''
        self._episode = 0, False
        self._due_since_s: float | None = None
        self._newest_image_s: float | None = None

    def _inputs(self) -> None:
        """Create the polled subscriptions."""
        self._image_in = PolledSubscription(
            self, Image, COLOUR_TOPIC, LATEST_BEST_EFFORT)
        self._pose_in = PolledSubscription(
            self, PoseStamped, _POSE_TOPIC, LATEST_BEST_EFFORT)
        self._gripper_in = PolledSubscription(
            self, JointState, GRIPPER_STATE_TOPIC, LATEST_BEST_EFFORT)
        self._instruction_in = PolledSubscription(
            self, String, 'base_policy/instruction', LATCHED)
        self._episode_in = episode_state.EpisodeInbox(self)

    def step_active(self, now_s: float) -> None:
        """Take what has arrived, plan when due, publish what is ready."""
        for take in (
                self._take_episode, self._take_instruction, self._take_gripper, self._take_pose):
            self._warnings.attempt(take, now_s)
        if self._replanner.wants_image(now_s):
            self._warnings.attempt(self._plan, now_s)
        if self._replanner.wants_image(now_s):
            self._wait(now_s)
        else:
            self._due_since_s = self._newest_image_s = None
        chunk = self._replanner.take_ready(now_s)
        if chunk is not None:
            tcp, gripper = chunk_to_messages(chunk)
            self._gripper_chunk.publish(gripper)
            self._tcp_chunk.publish(tcp)

    def _take_episode(self, now_s: float) -> None:
        """Plan while an episode runs."""
        for message in self._episode_in.take_changes():
            self._warnings.attempt(self._follow_episode, message, now_s)

    def _follow_episode(self, message: String, now_s: float) -> None:
        """Start or stop planning with the episode; each has random numbers of its own."""
        state = episode_state.from_message(message)
        if (state.number, state.running) == self._episode:
            return
        self._episode = state.number, state.running
        if state.running:
            self._policy = self._policy.drawing_from(
                np.random.default_rng([self.config.noise_seed, state.number]))
        self._replanner.set_running(state.running, now_s)

    def _take_instruction(self, now_s: float) -> None:
        """Plan anew for a new instruction."""
        message = self._instruction_in.take_newest()
        if message is not None and message.data != self._instruction:
            self._instruction = message.data
            self._replanner.restart(now_s)

    def _take_gripper(self, now_s: float) -> None:
        """Remember the gripper's opening."""
        message = self._gripper_in.take_newest()
        if message is not None:
            self._opening = opening_from_message(message)

    def _take_pose(self, now_s: float) -> None:
        """Keep a checked TCP pose with its stamp."""
        message = self._pose_in.take_newest()
        if message is not None:
            pose = check_near(pose_to_array(message.pose), _POSE_TOPIC)
            self._poses.append((from_stamp(message.header.stamp), pose))

    def _plan(self, now_s: float) -> None:
        """
        Infer a chunk from the newest image, if it is new enough and the state is known.

        :raises InputError: the image or what the policy makes of it cannot be used.
        """
        message = self._image_in.take_newest()
        if message is not None:
            self._newest_image_s = from_stamp(message.header.stamp)
        if message is None or not self._poses or self._opening is None:
            return
        stamp_s = self._newest_image_s
        self.loop.monitor.on_input('image', stamp_s, 1.0)
        if not self._replanner.accepts(stamp_s):
            return
        _, pose = min(self._poses, key=lambda entry: abs(entry[0] - stamp_s))
        batch = self._policy.infer(BaseInputs(
            stamp_s=np.array([stamp_s]), rgb=image_to_rgb(message, COLOUR_TOPIC)[None],
            base_T_tcp=pose[None], gripper=np.array([self._opening]),
            instructions=(self._instruction,)))
        chunk = ActionChunk(stamp_s, self._policy.step_s, batch.poses[0], batch.grippers[0])
        self._replanner.planned(chunk, now_s)

    def _wait(self, now_s: float) -> None:
        """Name the topics that a plan has waited for longer than a second."""
        if self._due_since_s is None:
            self._due_since_s = now_s
        if now_s - self._due_since_s <= _PATIENCE_S:
            return
        image_s = self._newest_image_s
        missing = [topic for topic, is_missing in (
            (COLOUR_TOPIC, image_s is None), (_POSE_TOPIC, not self._poses),
            (GRIPPER_STATE_TOPIC, self._opening is None)) if is_missing]
        if missing:
            self._warnings.warn(f'no plan: waiting for {", ".join(missing)}')
        elif not self._replanner.accepts(image_s):
            self._warnings.warn(
                f'no plan: the newest image on {COLOUR_TOPIC} is of {image_s:.3f} s, before the '
                'episode or instruction began; do the clocks agree?')


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(BasePolicyNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
