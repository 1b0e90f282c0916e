# SPDX-License-Identifier: Apache-2.0
"""The operator beside a played arm: looks at the state, calls services, sees whether it moves."""

from __future__ import annotations

import time

import numpy as np
from ocrrl_ros.interfaces.polling import PolledClient
from played_arm import Arm
from ros_harness import Probe, WALL_LIMIT_S
from std_srvs.srv import Trigger


class Cell:
    """An arm that goes on reporting its joints whatever is waited for."""

    def __init__(self, probe: Probe, arm: Arm):
        """Keep both."""
        self.probe, self.arm = probe, arm
        self._clients: dict[str, PolledClient] = {}

    @property
    def state(self) -> dict[str, str]:
        """Return the newest state of the node, as its values and `why`."""
        newest = self.arm.states[-1]
        return {item.key: item.value for item in newest.values} | {'why': newest.message}

    def until(self, state: str, *words: str) -> None:
        """Wait until the node is in a state whose reason has these words."""
        self.arm.live_until(
            lambda: self.state['state'] == state and all(w in self.state['why'] for w in words),
            f'{state} {words}')

    def ask(self, name: str) -> PolledClient:
        """Call a Trigger of the node and return the client, whose answer comes."""
        if name not in self._clients:
            self._clients[name] = PolledClient(
                self.probe.node, Trigger, f'{self.arm.namespace}residual_policy/{name}')
        client = self._clients[name]
        self.arm.live_until(client.is_ready, name)
        client.send()
        return client

    def call(self, name: str) -> Trigger.Response:
        """Call a Trigger of the node and return its answer."""
        client, answers = self.ask(name), []

        def answered() -> list:
            answer = client.take()
            answers.extend([] if answer is None else [answer])
            return answers

        self.arm.live_until(answered, f'answer of {name}')
        return answers[0]

    def moves(self) -> bool:
        """Return whether plans, ten a second, move the arm; fail with the state where not."""
        before, end_s = self.arm.commanded()[:3], time.monotonic() + WALL_LIMIT_S
        while np.linalg.norm(self.arm.commanded()[:3] - before) < 5e-3:
            assert time.monotonic() < end_s, f'nothing has moved: {self.state}'
            self.arm.plan()
            self.arm.live(0.1)
        return True
