# SPDX-License-Identifier: Apache-2.0
"""Tests of the judgement of a command stream."""
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation.loop_periods import arrival_share, judge_stream
import pytest

MS = 1_000_000


def judge(sent_ms, sequence=None, **changes):
    """Judge a stream that is received 0.1 ms after it was sent."""
    sent = (np.asarray(sent_ms) * MS).astype(np.int64)
    numbers = np.arange(len(sent)) + 7 if sequence is None else np.asarray(sequence)
    return judge_stream(numbers, sent, sent + MS // 10, **{
        'rate_hz': 200.0, 'is_fifo': True, **changes})


def test_a_perfect_stream_passes():
    result = judge(np.arange(1000) * 5.0)
    assert result['passed']
    assert (result['sent'], result['received'], result['overwritten']) == (1000, 1000, 0)
    assert result['sent_periods']['share_within_0.5ms'] == 1.0
    assert result['delay_p99_ms'] == pytest.approx(0.1)


def test_lost_messages_are_counted_and_their_gap_is_no_period():
    times = np.delete(np.arange(100) * 5.0, [10, 50, 51])
    result = judge(times, np.delete(np.arange(100), [10, 50, 51]))
    assert (result['sent'], result['received'], result['overwritten']) == (100, 97, 3)
    assert result['sent_periods']['max_ms'] == pytest.approx(5.0)


def test_one_percent_of_late_periods_fails_with_fifo_and_passes_without():
    times = np.arange(1000) * 5.0
    times[::200] += 0.6
    assert judge(times)['sent_periods']['share_within_0.5ms'] == pytest.approx(0.991, abs=2e-3)
    assert not judge(times)['passed']
    assert judge(times, is_fifo=False)['passed']


@pytest.mark.parametrize(('rate_hz', 'late_in_10000', 'passed'), [
    (200.0, 10, True), (200.0, 12, False), (1000.0, 12, True), (1000.0, 30, True),
    (1000.0, 32, False)])
def test_the_share_asked_for_with_fifo_depends_on_the_rate(rate_hz, late_in_10000, passed):
    # 99.9 % at 200 Hz, 99.7 % at 1 kHz; the jump forward makes one period late, and no other.
    times = np.arange(10_001) * 1e3 / rate_hz
    late = np.linspace(100, 9_900, late_in_10000).astype(int)
    times += 0.6 * np.searchsorted(late, np.arange(10_001), side='right')
    result = judge(times, rate_hz=rate_hz)
    assert result['sent_periods']['share_within_0.5ms'] == 1.0 - late_in_10000 * 1e-4
    assert result['goal_share'] == (0.999 if rate_hz == 200.0 else 0.997)
    assert result['passed'] == passed


def test_one_period_above_20_ms_fails_with_fifo():
    times = np.arange(2000) * 5.0
    times[1000:] += 16.0
    assert not judge(times)['passed']


def test_deadlines_without_a_message_are_counted_and_late_messages_are_not():
    times = np.arange(1000) * 5.0
    times[400] += 2.0
    times[500:] += 15.0
    assert judge(times)['sent_periods']['skipped'] == 3
    assert judge(np.arange(1000) * 5.0)['sent_periods']['skipped'] == 0


def test_a_normal_scheduler_at_1_khz_is_reported_but_not_judged():
    times = np.arange(1000) * 1.0
    times[::3] += 0.9
    result = judge(times, rate_hz=1000.0, is_fifo=False)
    assert result['passed']
    assert result['goal_share'] is None


def test_an_empty_stream_is_an_error():
    with pytest.raises(InputError, match='0 commands'):
        judge([])


def test_arrivals_are_counted_between_the_first_and_the_last():
    assert arrival_share(np.array([7, 8, 10, 10])) == (4, 0.75)
    with pytest.raises(InputError, match='no message'):
        arrival_share(np.array([], dtype=np.int64))


def test_silence_between_episodes_is_no_long_period():
    sent = np.r_[np.arange(0, 100, 5), np.arange(900, 1000, 5)]
    assert judge(sent)['sent_periods']['max_ms'] == pytest.approx(805.0)
    windows = [(0, 100 * MS), (900 * MS, 1000 * MS)]
    assert judge(sent, windows_ns=windows)['sent_periods']['max_ms'] == pytest.approx(5.0)
