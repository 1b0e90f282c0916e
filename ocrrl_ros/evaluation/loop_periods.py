# SPDX-License-Identifier: Apache-2.0
"""Judge the periods of a command stream from what a receiver noted."""
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import InputError

WINDOW_S = 0.0005
FIFO_SHARE_GOAL = 0.995
NORMAL_SHARE_GOAL = 0.95
LONGEST_GOAL_S = 0.020


def period_summary(
        times_ns: np.ndarray, sequence: np.ndarray, nominal_s: float) -> dict[str, float]:
    """
    Return quantiles (ms) of the periods between neighbours and the share near the nominal one.

    :param times_ns: (N,) times of messages.
    :param sequence: (N,) numbers of the messages; pairs with a gap between them are left out.
    """
    neighbours = np.diff(sequence) == 1
    periods = np.diff(times_ns)[neighbours] * 1e-9
    if not len(periods):
        raise InputError('fewer than two neighbouring messages were received')
    p50, p99, p999 = np.quantile(periods, [0.5, 0.99, 0.999]) * 1e3
    return {'p50_ms': float(p50), 'p99_ms': float(p99), 'p99.9_ms': float(p999),
            'max_ms': float(periods.max() * 1e3),
            'share_within_0.5ms': float((np.abs(periods - nominal_s) <= WINDOW_S).mean())}


def judge_stream(sequence: np.ndarray, sent_ns: np.ndarray, received_ns: np.ndarray, *,
                 rate_hz: float, is_fifo: bool) -> dict[str, Any]:
    """
    Count and time a stream.

    :param sequence: (N,) publication numbers.
    :param sent_ns: (N,) times of publication.
    :param received_ns: (N,) times of reception.
    :param is_fifo: whether the sender ran under SCHED_FIFO, which sets the goal.
    """
    if len(sequence) < 2:
        raise InputError(f'{len(sequence)} commands were received; is an episode running?')
    order = np.argsort(sequence)
    sequence, sent_ns, received_ns = sequence[order], sent_ns[order], received_ns[order]
    sent = int(sequence[-1] - sequence[0] + 1)
    periods = period_summary(sent_ns, sequence, 1.0 / rate_hz)
    goal = FIFO_SHARE_GOAL if is_fifo else NORMAL_SHARE_GOAL
    judged = is_fifo or rate_hz <= 200.0
    good = periods['share_within_0.5ms'] >= goal
    if is_fifo:
        good = good and periods['max_ms'] <= LONGEST_GOAL_S * 1e3
    return {'rate_hz': rate_hz, 'sent': sent, 'received': len(sequence),
            'overwritten': sent - len(sequence), 'sent_periods': periods,
            'received_periods': period_summary(received_ns, sequence, 1.0 / rate_hz),
            'delay_p99_ms': float(np.quantile(received_ns - sent_ns, 0.99) * 1e-6),
            'goal_share': goal if judged else None, 'passed': bool(good or not judged)}
