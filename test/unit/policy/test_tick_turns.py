# SPDX-License-Identifier: Apache-2.0
"""Inputs and policy ticks are spread over command ticks by rate and by the time that is left."""

from ocrrl_ros.policy.tick_turns import TickTurns
import pytest


class Work:
    """Notes what was done in which command tick."""

    def __init__(self, rate_hz, due=(), share=0.0):
        """Take in which ticks a policy tick is due, and what share of a period is over then."""
        self.due, self.share, self.now_s, self.done = due, share, 0, []
        self.turns = TickTurns(
            rate_hz, (self.note('arm'), self.note('others')), self.begin, self.note('end'),
            lambda: self.share)

    def note(self, name):
        """Return a part of the work that is noted by its name."""
        def part(now_s):
            assert now_s == self.now_s
            self.done[-1].append(name)
        return part

    def begin(self, now_s):
        """Begin a policy tick where one is due."""
        if now_s in self.due:
            self.done[-1].append('begin')
        return now_s in self.due

    def run(self, count):
        """Return what was done in each of so many command ticks."""
        for self.now_s in range(count):
            self.done.append([])
            self.turns.step(self.now_s)
        return self.done


def test_everything_is_done_at_once_where_there_is_time():
    assert Work(200.0, due=(1,)).run(3) == [
        ['arm', 'others'], ['arm', 'others', 'begin', 'end'], ['arm', 'others']]


@pytest.mark.parametrize(('share', 'waits'), [(0.39, False), (0.4, True), (3.0, True)])
def test_second_half_waits_where_the_period_is_nearly_over(share, waits):
    first, second, third = Work(500.0, due=(0,), share=share).run(3)
    assert first == ['arm', 'others', 'begin'] + ([] if waits else ['end'])
    assert second == (['end'] if waits else []) + ['arm', 'others']
    assert third == ['arm', 'others']


def test_policy_tick_may_be_due_right_after_one_that_waited():
    assert Work(200.0, due=(0, 1), share=1.0).run(3) == [
        ['arm', 'others', 'begin'], ['end', 'arm', 'others', 'begin'], ['end', 'arm', 'others']]


def test_at_a_fast_rate_every_tick_does_one_thing():
    assert Work(1000.0, due=(3, 7)).run(10) == [
        ['arm'], ['others'], ['arm'], ['begin'], ['end'], ['others'], ['arm'], ['begin'], ['end'],
        ['others']]
