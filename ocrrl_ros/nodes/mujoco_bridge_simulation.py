# SPDX-License-Identifier: Apache-2.0
"""Powers that only a simulation has, under ``mujoco_bridge/sim/``; policies must not use them."""

from __future__ import annotations

from collections.abc import Callable
import json

from geometry_msgs.msg import PoseStamped, WrenchStamped
import numpy as np
from ocrrl_ros.core.errors import InputError, OcrrlError, UnknownNameError
from ocrrl_ros.interfaces.conversions import pose_stamped, wrench_to_array
from ocrrl_ros.interfaces.parameters import read_config
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import RELIABLE
from ocrrl_ros.robot.fr3 import BASE_FRAME
from ocrrl_ros.sim.bridge_config import EpisodeSelection
from ocrrl_ros.sim.bridge_timing import Schedule
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import SuccessCounter
from ocrrl_ros.sim.world import SimWorld
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

TASK_TICK_HZ = 20.0
_PUSH_EVERY = 5


class SimulationTopics:
    """Reset, push, true object poses and the task's state."""

    def __init__(
            self, node: Node, world: SimWorld, *, rate_hz: float,
            on_reset: Callable[[EpisodeSelection], None]):
        """
        Create topics and service; ``reset`` must follow.

        :param node: has the parameters of :class:`EpisodeSelection` under ``sim``.
        :param on_reset: called after the world was put at the start of an episode.
        """
        self._node, self._world, self._on_reset = node, world, on_reset
        self.selection = EpisodeSelection()
        self._counter = SuccessCounter(1, world.task.hold_ticks)
        self._tick = Schedule(TASK_TICK_HZ, world.timestep_s)
        self._publish = Schedule(rate_hz, world.timestep_s)
        self._succeeded = self._failed = False
        self._ticks = self._held = 0
        self._state = node.create_publisher(String, '~/sim/task_state', RELIABLE)
        self._poses = {
            name: node.create_publisher(PoseStamped, f'~/sim/objects/{name}/pose', RELIABLE)
            for name in world.task.object_ids}
        node.create_service(Trigger, '~/sim/reset', self._on_reset_request)
        self._pushes = PolledSubscription(node, WrenchStamped, '~/sim/push', RELIABLE)

    def reset(self, selection: EpisodeSelection) -> None:
        """Put the world at the start state that the selection draws."""
        world = self._world
        streams = episode_rngs(
            world.task.name, world.domain.name, selection.seed, selection.episode)
        world.reset(streams.initial)
        self.selection = selection
        self._counter.reset()
        self._tick = Schedule(TASK_TICK_HZ, world.timestep_s)
        self._tick.is_due(0)
        self._succeeded = self._failed = False
        self._ticks = self._held = 0
        self._on_reset(selection)

    def on_divergence(self) -> None:
        """Start over after the physics diverged; the episode stays failed."""
        self._world.reset_to(self._world.initial)
        self._on_reset(self.selection)
        self._failed = True

    def update(self, stamp_s: float) -> None:
        """Push, count the success predicate at 20 Hz and publish what is due."""
        world = self._world
        if world.step_count % _PUSH_EVERY == 0:
            for message in self._pushes.take_all():
                self._on_push(message)
        if self._tick.is_due(world.step_count):
            state = world.task_state()
            now = world.task.success_now(state)
            self._ticks += 1
            self._held = self._held + 1 if now[0] else 0
            self._succeeded |= bool(self._counter.update(now)[0]) and not self._failed
            self._failed |= bool(world.task.failed(state)[0]) and not self._succeeded
        if self._publish.is_due(world.step_count):
            self._state.publish(String(data=json.dumps(self._summary(stamp_s))))
            for name, publisher in self._poses.items():
                publisher.publish(pose_stamped(world.object_pose(name), BASE_FRAME, stamp_s))

    def _summary(self, stamp_s: float) -> dict[str, object]:
        """Return the task's state as plain values."""
        world = self._world
        return {
            'task': world.task.name, 'domain': world.domain.name,
            'seed': self.selection.seed, 'episode': self.selection.episode,
            'init_sha256': world.init_sha256, 'stamp_s': round(stamp_s, 6),
            'time_s': round(world.time_s, 6), 'ticks': self._ticks, 'held_ticks': self._held,
            'hold_ticks': world.task.hold_ticks, 'horizon_s': world.task.horizon_s,
            'success_now': self._held > 0, 'success': self._succeeded, 'failed': self._failed}

    def _on_reset_request(
            self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Reset to ``sim.seed`` and ``sim.episode``; the answer is JSON or the reason."""
        try:
            self.reset(read_config(self._node, EpisodeSelection, 'sim'))
        except OcrrlError as error:
            response.success, response.message = False, str(error)
            return response
        response.success = True
        response.message = json.dumps({
            'task': self._world.task.name, 'domain': self._world.domain.name,
            'seed': self.selection.seed, 'episode': self.selection.episode,
            'init_sha256': self._world.init_sha256})
        return response

    def _on_push(self, message: WrenchStamped) -> None:
        """Push the body that frame_id names for 50 ms."""
        try:
            self._world.apply_push(message.header.frame_id, np.asarray(
                wrench_to_array(message.wrench)))
        except (InputError, UnknownNameError) as error:
            self._node.get_logger().warning(f'push refused ({self._pushes.name}): {error}')
