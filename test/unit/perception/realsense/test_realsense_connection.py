# SPDX-License-Identifier: Apache-2.0
"""A camera that is unplugged is reported once, looked for, and taken up again."""
import time

from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.adapters.realsense.connection import (
    CameraConnection, CameraLostError, CameraState)
import pytest
from software_camera import SoftwareCamera

FRAME = object()
LIMIT_S = 20.0


class Source:
    """An open camera that does what ``answers`` say, one per poll, the last for ever."""

    name = 'D435 1'

    def __init__(self, *answers):
        self._answers, self.closed = list(answers), False

    def poll(self):
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return None if answer == 'end' else answer

    def has_ended(self):
        return self._answers[0] == 'end'

    def close(self):
        self.closed = True


class Plan:
    """Opens, one after the other, sources or failures; the last for ever."""

    def __init__(self, *outcomes):
        self._outcomes, self.attempts = list(outcomes), 0

    def __call__(self):
        self.attempts += 1
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def run(connection, start_s, seconds, period_s=0.1):
    """Step for a while; return (frames, changes as 'state: reason')."""
    frames, changes = 0, []
    for index in range(round(seconds / period_s)):
        frames += connection.step(start_s + index * period_s) is not None
        changes += [f'{state.value}: {reason}' for state, reason in connection.take_changes()]
    return frames, changes


def test_a_camera_that_is_not_there_is_looked_for_every_period_and_told_about_once(settings):
    plan = Plan(CameraLostError('no camera'))
    connection = CameraConnection(plan, settings(reconnect_period_s=2.0))
    frames, changes = run(connection, 0.0, 10.05)
    assert (frames, changes) == (0, ['searching: no camera'])
    assert plan.attempts == 5
    assert not connection.state.is_fine


def test_silence_is_a_loss_and_frames_are_a_recovery_each_told_once(settings):
    silent, healthy = Source(FRAME, FRAME, None), Source(FRAME)
    absent = CameraLostError('no camera')
    plan = Plan(silent, absent, absent, healthy)
    connection = CameraConnection(plan, settings(max_silence_s=1.0, reconnect_period_s=2.0))
    _, changes = run(connection, 0.0, 12.0)
    assert changes == [
        'streaming: D435 1', 'lost: no frame of colour and depth for 1 s', 'lost: no camera',
        'streaming: D435 1']
    assert silent.closed and not healthy.closed
    assert (connection.losses, connection.state.is_fine) == (1, True)


def test_a_device_that_was_removed_is_lost_at_once(settings):
    plan = Plan(Source(FRAME, CameraLostError('D435 1 was unplugged')), Source(FRAME))
    connection = CameraConnection(plan, settings())
    _, changes = run(connection, 0.0, 0.3)
    assert changes == ['streaming: D435 1', 'lost: D435 1 was unplugged']


def test_a_start_may_take_longer_than_a_silence_but_not_for_ever(settings):
    connection = CameraConnection(
        Plan(Source(None)), settings(max_silence_s=1.0, first_frame_s=5.0))
    assert run(connection, 0.0, 4.9)[1] == []
    assert run(connection, 4.9, 1.0)[1] == [
        'searching: no frame of colour and depth for 5 s']


def test_unusable_frames_are_told_about_until_they_are_usable(settings):
    bad = InputError('fx is 0.0 px')
    connection = CameraConnection(
        Plan(Source(bad), Source(bad), Source(FRAME)), settings(reconnect_period_s=1.0))
    _, changes = run(connection, 0.0, 4.0)
    assert changes == ['searching: fx is 0.0 px', 'streaming: D435 1']


def test_wrong_settings_end_the_first_start_but_not_a_reconnection(settings):
    wrong = ConfigError('color_profile is 1x1x1')
    with pytest.raises(ConfigError):
        CameraConnection(Plan(wrong), settings()).step(0.0)
    connection = CameraConnection(
        Plan(Source(FRAME, CameraLostError('gone')), wrong, Source(FRAME)), settings())
    _, changes = run(connection, 0.0, 6.0)
    assert changes[1:] == ['lost: gone', 'lost: color_profile is 1x1x1', 'streaming: D435 1']


def test_a_recording_that_is_over_stays_over(settings):
    plan = Plan(Source(FRAME, 'end'))
    connection = CameraConnection(plan, settings())
    _, changes = run(connection, 0.0, 20.0)
    assert changes[1:] == ['ended: the recording is over: D435 1']
    assert (plan.attempts, connection.state.is_fine) == (1, True)


def test_a_clock_that_is_set_back_does_not_stop_the_search(settings):
    plan = Plan(CameraLostError('no camera'))
    connection = CameraConnection(plan, settings())
    connection.step(1e6)
    run(connection, 10.0, 5.0)
    assert plan.attempts >= 3


def stream_until(connection, opener, predicate, clock):
    """Send and step with simulated time until the predicate holds; return the frames."""
    frames, end_s = [], time.monotonic() + LIMIT_S
    while not predicate():
        assert time.monotonic() < end_s, (connection.state, connection.reason)
        clock[0] += 0.033
        if opener.plugged is not None and connection.state is not CameraState.LOST:
            opener.plugged.send(clock[0])
        # The library's threads hand over in real time.
        time.sleep(0.005)
        frame = connection.step(clock[0])
        frames += [] if frame is None else [frame]
    return frames


def test_a_software_camera_that_is_unplugged_and_plugged_in_again_streams_again(
        make_opener, rs):
    opener, clock = make_opener(), [0.0]
    connection = CameraConnection(opener.open_source, opener._config)
    connection.step(0.0)
    first = stream_until(
        connection, opener, lambda: connection.state is CameraState.STREAMING, clock)
    opener.plugged = None
    stream_until(connection, opener, lambda: connection.state is CameraState.LOST
                 and connection.reason == 'no RealSense camera is connected', clock)
    opener.plugged = SoftwareCamera(rs)
    while connection.state is CameraState.LOST:
        clock[0] += 0.5
        connection.step(clock[0])
    again = stream_until(
        connection, opener, lambda: connection.state is CameraState.STREAMING, clock)
    connection.close()
    assert first and again
    assert connection.losses == 1
