# SPDX-License-Identifier: Apache-2.0
"""Judge the periods of a command stream from what a receiver noted."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import InputError

WINDOW_S = 0.0005
#: Share of periods within the window under SCHED_FIFO, up to 200 Hz and above.
FIFO_SHARE_GOAL, FAST_FIFO_SHARE_GOAL = 0.999, 0.997
NORMAL_SHARE_GOAL = 0.95
LONGEST_GOAL_S = 0.020
_FAST_ABOVE_HZ = 200.0


def share_goal(rate_hz: float, *, is_fifo: bool) -> float | None:
    """Return the share of periods that has to lie in the window; None: that is not judged."""
    if is_fifo:
        return FIFO_SHARE_GOAL if rate_hz <= _FAST_ABOVE_HZ else FAST_FIFO_SHARE_GOAL
    return NORMAL_SHARE_GOAL if rate_hz <= _FAST_ABOVE_HZ else None


def period_summary(
        times_ns: np.ndarray, sequence: np.ndarray, nominal_s: float,
        inside: np.ndarray | None = None) -> dict[str, float]:
    """
    Return quantiles (ms) of the periods between neighbours and the share near the nominal one.

    ``skipped`` is how many deadlines passed in the longer ones without a message of their own, to
    be read beside the share: a sender that is held up for long has few periods, not many bad ones.

    :param times_ns: (N,) times of messages.
    :param sequence: (N,) numbers of the messages; pairs with a gap between them are left out.
    :param inside: (N - 1,) which pairs count; all when None.
    """
    neighbours = np.diff(sequence) == 1
    if inside is not None:
        neighbours &= inside
    periods = np.diff(times_ns)[neighbours] * 1e-9
    if not len(periods):
        raise InputError('fewer than two neighbouring messages were received')
    p50, p99, p999 = np.quantile(periods, [0.5, 0.99, 0.999]) * 1e3
    skipped = np.maximum(np.rint(periods / nominal_s) - 1.0, 0.0).sum()
    return {'p50_ms': float(p50), 'p99_ms': float(p99), 'p99.9_ms': float(p999),
            'skipped': int(skipped), 'max_ms': float(periods.max() * 1e3),
            'share_within_0.5ms': float((np.abs(periods - nominal_s) <= WINDOW_S).mean())}


def arrival_share(numbers: np.ndarray) -> tuple[int, float]:
    """
    Return how many messages were published from the first to the last, and the share received.

    :param numbers: (N,) publication numbers of what was received.
    :raises InputError: nothing was received.
    """
    if not len(numbers):
        raise InputError('no message was received; is the publisher running?')
    published = int(numbers.max() - numbers.min() + 1)
    return published, len(np.unique(numbers)) / published


def pairs_within(sent_ns: np.ndarray, windows_ns: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return which of the N - 1 neighbouring pairs lie in one of the windows, (N - 1,) bool."""
    inside = np.zeros(len(sent_ns) - 1, dtype=bool)
    for begin, end in windows_ns:
        inside |= (sent_ns[:-1] >= begin) & (sent_ns[1:] <= end)
    return inside


def judge_stream(sequence: np.ndarray, sent_ns: np.ndarray, received_ns: np.ndarray, *,
                 rate_hz: float, is_fifo: bool,
                 windows_ns: Sequence[tuple[int, int]] | None = None) -> dict[str, Any]:
    """
    Count and time a stream.

    :param sequence: (N,) publication numbers.
    :param sent_ns: (N,) times of publication.
    :param received_ns: (N,) times of reception.
    :param is_fifo: whether the sender ran under SCHED_FIFO, which with the rate sets the goal.
    :param windows_ns: begin and end of the episodes: between them the stream is silent on
        purpose. The whole time when None.
    """
    if len(sequence) < 2:
        raise InputError(f'{len(sequence)} commands were received; is an episode running?')
    order = np.argsort(sequence)
    sequence, sent_ns, received_ns = sequence[order], sent_ns[order], received_ns[order]
    sent = int(sequence[-1] - sequence[0] + 1)
    inside = None if windows_ns is None else pairs_within(sent_ns, windows_ns)
    periods = period_summary(sent_ns, sequence, 1.0 / rate_hz, inside)
    goal = share_goal(rate_hz, is_fifo=is_fifo)
    good = goal is None or periods['share_within_0.5ms'] >= goal
    if is_fifo:
        good = good and periods['max_ms'] <= LONGEST_GOAL_S * 1e3
    return {'rate_hz': rate_hz, 'sent': sent, 'received': len(sequence),
            'overwritten': sent - len(sequence), 'sent_periods': periods,
            'received_periods': period_summary(received_ns, sequence, 1.0 / rate_hz, inside),
            'delay_p99_ms': float(np.quantile(received_ns - sent_ns, 0.99) * 1e-6),
            'goal_share': goal, 'passed': bool(good)}
