# SPDX-License-Identifier: Apache-2.0
"""Adapters that take a stream get the newest wish at a steady rate, and nothing when it is old."""

from hypothesis import given, settings, strategies as st
import numpy as np
from ocrrl_ros.robot.gripper_commands import HandAction, Homed
from ocrrl_ros.robot.gripper_config import HandDriverConfig
from ocrrl_ros.robot.gripper_stream import StreamedHand
from ocrrl_ros.robot.gripper_wish import BinaryWish, ProportionalWish
import pytest


class Stream:
    """A streamed hand in simulated time."""

    def __init__(self, config=None, wish=ProportionalWish):
        """Start at some time."""
        config = config or HandDriverConfig()
        self.logic, self.now_s, self.sent = StreamedHand(config, wish(config)), 50.0, []

    def run(self, seconds, wish=None, *, is_ready=True):
        """Let time pass in steps of 10 ms."""
        for _ in range(round(seconds * 100)):
            self.now_s += 0.01
            if wish is not None:
                self.logic.wish(wish, self.now_s)
            command = self.logic.step(self.now_s, is_ready=is_ready)
            if command is not None:
                self.sent.append(command)

    @property
    def openings(self):
        """Return what was sent."""
        return [command.opening for command in self.sent]


def test_wishes_are_passed_on_as_they_are_at_the_rate():
    stream = Stream()
    stream.run(3.0, 0.3)
    assert len(stream.sent) == pytest.approx(90, abs=2)
    assert set(stream.openings) == {0.3}
    assert {command.action for command in stream.sent} == {HandAction.MOVE}
    assert [command.number for command in stream.sent] == list(range(1, len(stream.sent) + 1))
    assert stream.logic.status(stream.now_s).phase.value == 'streaming'


def test_the_target_goes_in_steps_from_the_measured_opening():
    stream = Stream(HandDriverConfig(max_delta=0.1))
    stream.logic.measure(0.04, stream.now_s)
    stream.run(0.5, 1.0)
    assert stream.openings[:6] == pytest.approx([0.6, 0.7, 0.8, 0.9, 1.0, 1.0])


def test_nothing_is_sent_without_a_fresh_wish():
    stream = Stream()
    stream.run(1.0)
    assert stream.sent == [] and stream.logic.status(stream.now_s).wish == 'none'
    stream.run(0.1, 0.2)
    stream.run(5.0)
    count = len(stream.sent)
    assert count == pytest.approx(1.1 * 30, abs=2)
    status = stream.logic.status(stream.now_s)
    assert (status.phase.value, status.wish) == ('idle', 'stale')
    stream.run(0.1, 0.8)
    assert stream.openings[count] == 0.8


def test_nothing_is_sent_while_nobody_listens():
    stream = Stream()
    stream.run(1.0, 0.2, is_ready=False)
    assert stream.sent == []
    assert stream.logic.status(stream.now_s).phase.value == 'waiting'
    stream.run(0.1, 0.2)
    assert stream.openings[0] == 0.2


def test_a_binary_stream_has_two_values():
    stream = Stream(wish=BinaryWish)
    for opening in (0.5, 0.3, 0.5, 0.7, 0.5):
        stream.run(0.2, opening)
    changes = [a for a, b in zip(stream.openings, [None, *stream.openings]) if a != b]
    assert changes == [0.0, 1.0]


def test_homing_is_not_offered():
    stream = Stream()
    assert 'homing' in stream.logic.ask_home()
    assert stream.logic.status(stream.now_s).homed is Homed.NOT_OFFERED


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.floats(0.01, 1.0))
def test_steps_are_bounded_and_the_last_wish_is_reached(wishes, max_delta):
    stream = Stream(HandDriverConfig(max_delta=max_delta))
    stream.logic.measure(0.0, stream.now_s)
    for opening in wishes:
        stream.run(0.2, opening)
    stream.run(1.0 / max_delta / 30.0 + 0.2, wishes[-1])
    assert np.abs(np.diff([0.0, *stream.openings])).max() <= max_delta + 1e-9
    assert stream.openings[-1] == pytest.approx(wishes[-1])
