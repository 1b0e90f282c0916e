# SPDX-License-Identifier: Apache-2.0
"""Drive a node's ``step(now_s)`` at a steady rate, on wall time or in lockstep."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import time

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.interfaces.lockstep import LockstepClient
from ocrrl_ros.interfaces.monitor import DiagnosticsPublisher, LoopMonitor
from ocrrl_ros.interfaces.polling import PolledServices
from ocrrl_ros.interfaces.realtime import (
    DeadlineLoop, enter_realtime, freeze_garbage, release_garbage, Scheduling)
import rclpy
from rclpy.node import Node

_CLOCK_POLL_S = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Rate and scheduling of a node's loop."""

    rate_hz: float = dataclasses.field(
        default=100.0, metadata={'description': 'rate of the loop on wall time, Hz'})
    realtime_priority: int = dataclasses.field(
        default=0, metadata={'description': 'SCHED_FIFO priority, 0 for the normal scheduler'})

    def __post_init__(self) -> None:
        """Refuse rates that no loop keeps."""
        if not 1.0 <= self.rate_hz <= 1000.0:
            raise ConfigError(f'rate_hz is {self.rate_hz} Hz; allowed: 1 .. 1000')
        if not 0 <= self.realtime_priority <= 90:
            raise ConfigError(f'realtime_priority is {self.realtime_priority}; allowed: 0 .. 90')


class TickLoop:
    """
    Calls ``step(now_s)`` until the context shuts down, and serves the node's services.

    On wall time the calls come at ``rate_hz`` on absolute deadlines, with ``now_s`` from the
    node's clock; a late call is made at once, the ones that should have come meanwhile are not.
    With ``use_sim_time`` every lockstep clock is one call, answered when done.

    :param node: its services are looked at in turn, one per tick, from the same thread;
        everything else that it hears must be a ``PolledSubscription``.
    """

    def __init__(self, node: Node, config: LoopConfig):
        """Attach monitor, diagnostics and executor to the node."""
        self._node = node
        self._config = config
        self._lockstep = (
            LockstepClient(node) if node.get_parameter('use_sim_time').value else None)
        period_s = 0.0 if self._lockstep else 1.0 / config.rate_hz
        self.monitor = LoopMonitor(node.get_name(), period_s)
        self._diagnostics = DiagnosticsPublisher(node, [self.monitor.status])
        self.scheduling: Scheduling | None = None
        self._started_s: float | None = None

    def share_spent(self) -> float:
        """Return how much of the period a step has used so far; 0 in lockstep, which waits."""
        return 0.0 if self._started_s is None else (
            time.monotonic() - self._started_s) * self._config.rate_hz

    def run(self, step: Callable[[float], None]) -> None:
        """Block until shutdown; the caller handles KeyboardInterrupt."""
        self.scheduling = enter_realtime(self._config.realtime_priority)
        self.monitor.set_source('scheduler', lambda: self.scheduling.message)
        self.monitor.set_source('memory', lambda: self.scheduling.memory)
        if self._config.realtime_priority:
            for hint in self.scheduling.hints:
                self._node.get_logger().warning(hint)
        services = PolledServices(self._node)
        freeze_garbage()
        if self._lockstep is not None:
            self._run_lockstep(step, services)
        else:
            self._run_wall(step, services)

    def resume(self, *, collect: bool) -> None:
        """
        Go on after something long inside a step or a service, which is no late period.

        :param collect: much was loaded or dropped; as before the first step the collector looks
            once, and no more. That holds up every loop of the process.
        """
        if collect:
            release_garbage()
            freeze_garbage()
        self.monitor.pause()

    def _run_wall(self, step: Callable[[float], None], services: PolledServices) -> None:
        """Step on absolute deadlines of the monotonic clock."""
        deadlines = DeadlineLoop(1.0 / self._config.rate_hz, skips=True)
        self.monitor.set_source('skipped_periods', lambda: deadlines.skipped)
        clock = self._node.get_clock()
        while rclpy.ok(context=self._node.context):
            self._started_s = deadlines.wait()
            self.monitor.tick(self._started_s)
            now_s = clock.now().nanoseconds * 1e-9
            step(now_s)
            services.serve_one()
            self._diagnostics.publish_if_due(now_s)

    def _run_lockstep(self, step: Callable[[float], None], services: PolledServices) -> None:
        """Step once per clock message and answer it."""
        while rclpy.ok(context=self._node.context):
            now_s = self._lockstep.take()
            if now_s is None:
                time.sleep(_CLOCK_POLL_S)
                services.serve_one()
                continue
            self.monitor.tick(time.monotonic())
            step(now_s)
            self._lockstep.done(now_s)
            self._diagnostics.publish_if_due(now_s)
