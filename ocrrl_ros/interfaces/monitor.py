# SPDX-License-Identifier: Apache-2.0
"""Measure a node's loop and the age of its inputs, and report both once per second."""

from __future__ import annotations

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
from ocrrl_ros.core.timing import PeriodStatistics
from ocrrl_ros.interfaces.conversions import to_stamp
from ocrrl_ros.interfaces.qos import RELIABLE
from rclpy.node import Node

DIAGNOSTICS_TOPIC = '/diagnostics'
#: A period above this multiple of the nominal one is an overrun.
_OVERRUN_FACTOR = 2.0
_BAND_S = 0.5e-3


def status_message(
        name: str, level: int, message: str, values: dict[str, object]) -> DiagnosticStatus:
    """Return a diagnostic status with the values as text; floats with four digits."""
    status = DiagnosticStatus(name=name, message=message, hardware_id='ocrrl')
    status.level = bytes([level])
    status.values = [
        KeyValue(key=key, value=f'{value:.4g}' if isinstance(value, float) else str(value))
        for key, value in values.items()]
    return status


class LoopMonitor:
    """
    Collects the periods of one loop and the newest stamp of each input.

    :param name: name of the node.
    :param period_s: nominal period; 0 for work that comes when it comes.
    """

    def __init__(self, name: str, period_s: float):
        """Start without samples."""
        self._name = name
        self._period_s = period_s
        overrun_s = period_s * _OVERRUN_FACTOR if period_s > 0.0 else float('inf')
        self.periods = PeriodStatistics(capacity=4096, overrun_s=overrun_s)
        self._inputs: dict[str, tuple[float, float]] = {}
        self._extra: dict[str, object] = {}
        self._sources: dict[str, Callable[[], object]] = {}
        self._problems: dict[str, str] = {}
        self._reported_overruns = 0

    def tick(self, now_s: float) -> None:
        """Note the start of one loop period, monotonic seconds."""
        self.periods.tick(now_s)

    def pause(self) -> None:
        """Leave out the period that runs: something else than the loop's work has its time."""
        self.periods.pause()

    def on_input(self, name: str, stamp_s: float, max_age_s: float = float('inf')) -> None:
        """Note the stamp of the newest message of an input."""
        self._inputs[name] = (stamp_s, max_age_s)

    def set_value(self, name: str, value: object) -> None:
        """Add a value to every following report."""
        self._extra[name] = value

    def set_source(self, name: str, read: Callable[[], object]) -> None:
        """Add what ``read`` returns to every following report."""
        self._sources[name] = read

    def set_problem(self, name: str, text: str) -> None:
        """Warn of something in every following report, until it is set to ''."""
        self._problems[name] = text

    def forget(self) -> None:
        """Report no input, value and problem of before; periods and sources stay."""
        for told in (self._inputs, self._extra, self._problems):
            told.clear()

    def share_within(self, band_s: float) -> float:
        """Return the share of the newest periods that are the nominal one +- ``band_s``."""
        samples = self.periods.samples()
        return float(np.mean(np.abs(samples - self._period_s) <= band_s)) if len(samples) else 0.0

    def status(self, now_s: float) -> DiagnosticStatus:
        """
        Return OK, or WARN with problems, stale inputs and overruns since the last report.

        :param now_s: time on the clock of the inputs' stamps.
        """
        summary = self.periods.summary()
        values: dict[str, object] = {
            'period_nominal_ms': self._period_s * 1e3, 'period_p50_ms': summary.p50_s * 1e3,
            'period_p99_ms': summary.p99_s * 1e3, 'period_max_ms': summary.max_s * 1e3,
            'periods': summary.count, 'overruns': summary.overruns}
        if self._period_s > 0.0:
            values['share_within_half_ms'] = self.share_within(_BAND_S)
        problems = [text for text in self._problems.values() if text]
        for name, (stamp_s, max_age_s) in self._inputs.items():
            age_s = now_s - stamp_s
            values[f'age_{name}_ms'] = age_s * 1e3
            if age_s > max_age_s:
                problems.append(f'{name} is {age_s:.2f} s old (allowed {max_age_s} s)')
        fresh = summary.overruns - self._reported_overruns
        self._reported_overruns = summary.overruns
        if fresh:
            problems.append(f'{fresh} periods above {_OVERRUN_FACTOR:g} x nominal')
        values.update(self._extra)
        values.update((name, read()) for name, read in self._sources.items())
        level = DiagnosticStatus.WARN if problems else DiagnosticStatus.OK
        return status_message(
            self._name, level[0], '; '.join(problems) or 'running', values)


class DiagnosticsPublisher:
    """
    Publishes a node's statuses on ``/diagnostics`` at 1 Hz.

    :param sources: each returns one status for the time it is given.
    """

    def __init__(
            self, node: Node, sources: list[Callable[[float], DiagnosticStatus]],
            period_s: float = 1.0):
        """Create the publisher; the caller's loop or timer calls ``publish_if_due``."""
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS_TOPIC, RELIABLE)
        self._sources = sources
        self._period_s = period_s
        self._next_s = float('-inf')

    def publish_if_due(self, now_s: float, stamp_s: float | None = None) -> bool:
        """
        Publish when a second has passed, and return whether it did.

        :param now_s: time that the second is counted on.
        :param stamp_s: ROS time for the message and the sources where ``now_s`` is on another
            clock; ``now_s`` itself when None.
        """
        if now_s < self._next_s and now_s > self._next_s - 10.0 * self._period_s:
            return False
        self._next_s = now_s + self._period_s
        stamp_s = max(now_s if stamp_s is None else stamp_s, 0.0)
        message = DiagnosticArray(status=[source(stamp_s) for source in self._sources])
        message.header.stamp = to_stamp(stamp_s)
        self._publisher.publish(message)
        return True
