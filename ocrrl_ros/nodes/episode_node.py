# SPDX-License-Identifier: Apache-2.0
"""Start, stop and time out episodes; say what to do and how it ended."""

from __future__ import annotations

import dataclasses
import sys

from ocrrl_ros.interfaces import episode_state
from ocrrl_ros.interfaces.input_warnings import InputWarnings
from ocrrl_ros.interfaces.parameters import declare_config
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, LATEST
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.tick_loop import LoopConfig, TickLoop
from ocrrl_ros.policy.episode_clock import EpisodeClock, Outcome
from ocrrl_ros.policy.task_spec import load_task_spec
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

NODE_NAME = 'episode'


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """Settings of the episode node."""

    task: str = dataclasses.field(
        default='cube_lift', metadata={'description': 'task, a file of config/tasks'})
    instruction: str = dataclasses.field(
        default='', metadata={'description': 'what to do; empty: the sentence of the task'})
    timeout_s: float = dataclasses.field(
        default=0.0, metadata={'description': 'longest episode, s; 0: that of the task'})
    loop: LoopConfig = LoopConfig(rate_hz=50.0)


class EpisodeNode(Node):
    """
    Offers ``episode/{start,stop,mark_success,mark_failure}`` and publishes ``episode/state``.

    The state is said at every change and repeated five times a second. A new sentence on
    ``episode/instruction`` (String) replaces the instruction.
    """

    def __init__(self, **arguments):
        """Publish the instruction; the robot stays at rest until ``episode/start``."""
        super().__init__(NODE_NAME, **arguments)
        config = declare_config(self, EpisodeConfig)
        task = load_task_spec(config.task, f'parameter task of {NODE_NAME}')
        self._episode = EpisodeClock(
            config.task, config.instruction or task.instruction,
            config.timeout_s or task.timeout_s)
        self._warnings = InputWarnings(self)
        self._state_out = self.create_publisher(String, episode_state.TOPIC, LATCHED)
        self._instruction_out = self.create_publisher(
            String, 'base_policy/instruction', LATCHED)
        self._instruction_in = PolledSubscription(self, String, 'episode/instruction', LATEST)
        self.create_service(Trigger, 'episode/start', self._on_start)
        for name, outcome in (
                ('stop', 'stopped'), ('mark_success', 'success'), ('mark_failure', 'failure')):
            self.create_service(Trigger, f'episode/{name}', self._ending(outcome))
        self._now_s = self.get_clock().now().nanoseconds * 1e-9
        self._publish_instruction()
        self._publish_state()
        self.loop = TickLoop(self, config.loop)

    def step(self, now_s: float) -> None:
        """Take a new instruction; end an episode whose time is up."""
        self._now_s = now_s
        message = self._instruction_in.take_newest()
        if message is not None:
            self._warnings.attempt(self._on_instruction, message)
        if self._episode.is_overdue(now_s):
            self._episode.end('timeout', now_s)
            self._publish_state()
        elif abs(now_s - self._told_s) >= episode_state.REPEAT_S:
            self._publish_state()

    def _on_start(
            self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Start an episode."""
        return self._answer(response, self._episode.start(self._now_s))

    def _ending(self, outcome: Outcome):
        """Return the service callback that ends an episode with this outcome."""
        def callback(
                request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            return self._answer(response, self._episode.end(outcome, self._now_s))

        return callback

    def _answer(self, response: Trigger.Response, problem: str | None) -> Trigger.Response:
        """Publish the new state, or return why nothing changed."""
        response.success = problem is None
        response.message = problem or episode_state.to_message(self._episode.state).data
        if problem is None:
            self._publish_state()
        return response

    def _on_instruction(self, message: String) -> None:
        """Take a new sentence; the base policy plans anew from it."""
        self._episode.state = dataclasses.replace(self._episode.state, instruction=message.data)
        self._publish_instruction()
        self._publish_state()

    def _publish_instruction(self) -> None:
        """Tell the base policy what to do."""
        self._instruction_out.publish(String(data=self._episode.state.instruction))

    def _publish_state(self) -> None:
        """Tell everybody what is going on."""
        self._told_s = self._now_s
        self._state_out.publish(episode_state.to_message(self._episode.state))


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(EpisodeNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
