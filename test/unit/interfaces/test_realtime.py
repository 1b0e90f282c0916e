# SPDX-License-Identifier: Apache-2.0
"""What a loop asks of the system, what it got, and what is said where that is less."""
import os
from types import SimpleNamespace

from ocrrl_ros.interfaces import realtime, tick_loop
from ocrrl_ros.interfaces.realtime import enter_realtime, middleware_threads, Scheduling
from ocrrl_ros.interfaces.tick_loop import LoopConfig, TickLoop
import pytest
import rclpy
from rclpy.parameter import Parameter

GONE = 78
REFUSED = 'memlock limit 8 MB, unlimited is needed'


@pytest.fixture
def system(monkeypatch):
    """Give a function that says what the system permits, and the calls that were made."""
    calls = []

    def permit(fifo, memory_problem='', threads=()):
        def set_scheduler(process, policy, parameters):
            calls.append((process, policy, parameters.sched_priority))
            if process == GONE:
                raise ProcessLookupError(3, 'No such process')
            if not fifo:
                raise PermissionError(1, 'Operation not permitted')

        def lock():
            calls.append('lock')
            return memory_problem

        monkeypatch.setattr(os, 'sched_setscheduler', set_scheduler)
        monkeypatch.setattr(realtime, 'lock_memory', lock)
        monkeypatch.setattr(realtime, 'middleware_threads', lambda: threads)
        monkeypatch.setattr(realtime, 'limits_lines', lambda: (
            'ada - rtprio 50', 'ada - memlock unlimited'))
        return calls
    return permit


def test_fifo_and_locked_memory_are_asked_for_and_children_do_not_inherit_fifo(system):
    calls = system(True)
    got = enter_realtime(20)
    assert calls == ['lock', (0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 20)]
    assert (got.is_fifo, got.priority, got.message) == (True, 20, 'SCHED_FIFO priority 20')
    assert (got.is_locked, got.memory, got.hints) == (True, 'locked', ())


@pytest.mark.parametrize(('priority', 'theirs'), [(20, 19), (1, 1)])
def test_threads_of_the_middleware_follow_below_the_loop_even_if_one_is_gone(
        system, priority, theirs):
    calls = system(True, threads=(77, GONE, 79))
    assert enter_realtime(priority).is_fifo
    fifo = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    assert calls[1:] == [(0, fifo, priority), *((one, fifo, theirs) for one in (77, GONE, 79))]


def test_threads_of_the_middleware_stay_where_fifo_is_refused(system):
    calls = system(False, threads=(77,))
    enter_realtime(20)
    assert [call[0] for call in calls[1:]] == [0]


def test_threads_of_the_middleware_are_told_by_their_names(tmp_path):
    for number, name in ((11, 'python'), (13, 'dds.udp.7412'), (12, 'dds.ev.0')):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / 'comm').write_text(name + '\n')
    (tmp_path / '14').mkdir()
    assert middleware_threads(tmp_path) == [12, 13]


def test_fast_dds_has_threads_of_that_name(ros_context):
    node = rclpy.create_node('threads', context=ros_context)
    assert middleware_threads()
    node.destroy_node()


def test_refused_fifo_names_the_line_that_permits_it(system):
    system(False)
    got = enter_realtime(20)
    assert not got.is_fifo and got.is_locked
    hint, = got.hints
    assert hint == got.message
    for words in ('SCHED_FIFO 20 is not permitted', 'Operation not permitted',
                  '"ada - rtprio 50"', '/etc/security/limits.d/ocrrl.conf'):
        assert words in hint


def test_refused_memory_names_the_line_that_permits_it(system):
    system(True, REFUSED)
    got = enter_realtime(20)
    assert got.is_fifo and not got.is_locked
    hint, = got.hints
    assert hint == got.memory
    for words in ('not locked', REFUSED, '"ada - memlock unlimited"',
                  '/etc/security/limits.d/ocrrl.conf'):
        assert words in hint


def test_memory_is_left_alone_where_nobody_asks_for_it(system):
    calls = system(True)
    got = enter_realtime(20, locks_memory=False)
    assert 'lock' not in calls
    assert got.is_fifo and not got.is_locked


def test_priority_zero_asks_for_nothing(system):
    calls = system(True)
    got = enter_realtime(0)
    assert calls == []
    assert not got.is_fifo and not got.is_locked
    assert 'priority 0' in got.message and 'priority 0' in got.memory


@pytest.mark.parametrize(('priority', 'warned'), [(0, []), (20, ['no fifo', 'no memory'])])
def test_the_diagnosis_of_a_loop_has_both_and_the_log_what_was_refused(
        ros_context, monkeypatch, priority, warned):
    monkeypatch.setattr(tick_loop, 'enter_realtime', lambda asked: Scheduling(
        'SCHED_OTHER', 0, 'no fifo', 'no memory'))
    node = rclpy.create_node('steady', context=ros_context)
    said = []
    monkeypatch.setattr(node.get_logger(), 'warning', said.append)
    loop = TickLoop(node, LoopConfig(realtime_priority=priority))

    def end(now_s):
        raise StopIteration

    with pytest.raises(StopIteration):
        loop.run(end)
    values = {value.key: value.value for value in loop.monitor.status(0.0).values}
    node.destroy_node()
    assert (values['scheduler'], values['memory']) == ('no fifo', 'no memory')
    assert said == warned


@pytest.mark.parametrize('use_sim_time', [False, True])
def test_a_step_knows_how_much_of_its_period_is_over(ros_context, monkeypatch, use_sim_time):
    node = rclpy.create_node('busy', context=ros_context, parameter_overrides=[
        Parameter('use_sim_time', value=use_sim_time)])
    loop = TickLoop(node, LoopConfig(rate_hz=100.0))
    now = [100.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    monkeypatch.setattr('time.sleep', lambda s: now.__setitem__(0, now[0] + s))
    if use_sim_time:
        monkeypatch.setattr(loop, '_lockstep', SimpleNamespace(take=lambda: 3.0))
    spent = []

    def step(now_s):
        spent.append(loop.share_spent())
        now[0] += 0.004
        spent.append(loop.share_spent())
        raise StopIteration

    with pytest.raises(StopIteration):
        loop.run(step)
    node.destroy_node()
    assert spent == pytest.approx([0.0, 0.0] if use_sim_time else [0.0, 0.4])
