# SPDX-License-Identifier: Apache-2.0
"""A recovery goes through its steps in order, and stops by name at the first that fails."""

from ocrrl_ros.core.errors import ConfigError, InputError, MissingDependencyError
from ocrrl_ros.robot.fault_recovery import (
    FaultRecovery, person_must, RecoveryConfig, RecoveryState)
import pytest


class Step:
    """A step that is done after some looks, or fails."""

    def __init__(self, name, looks=1, begin_error=None, poll_error=None):
        self.name, self.begun, self._looks = name, 0, looks
        self._begin_error, self._poll_error = begin_error, poll_error
        self._left = 0

    def begin(self):
        self.begun += 1
        self._left = self._looks
        if self._begin_error is not None:
            raise self._begin_error

    def poll(self):
        if self._poll_error is not None:
            raise self._poll_error
        self._left -= 1
        return 'done' if self._left <= 0 else None

    def awaited(self):
        return f'no answer of {self.name}'


def run(recovery, looks=50, start_s=10.0):
    """Tick every 0.05 s and return the progress that was told, without repetitions."""
    told = []
    recovery.start(start_s)
    for i in range(looks):
        if told[-1:] != [recovery.progress]:
            told.append(recovery.progress)
        recovery.tick(start_s + 0.05 * i)
    return told


def test_steps_come_in_order_and_each_is_told():
    steps = [Step('a', 3), Step('b', 2), Step('c')]
    recovery = FaultRecovery(steps, 5.0)
    assert recovery.state is RecoveryState.IDLE and not any(step.begun for step in steps)
    assert run(recovery) == [
        'recovering, step 1 of 3: a', 'recovering, step 2 of 3: b',
        'recovering, step 3 of 3: c', 'recovered']
    assert recovery.state is RecoveryState.DONE
    assert recovery.report == 'a: done; b: done; c: done'
    assert [step.begun for step in steps] == [1, 1, 1]


def test_a_look_never_does_more_than_one_thing():
    steps = [Step('a'), Step('b')]
    recovery = FaultRecovery(steps, 5.0)
    recovery.start(0.0)
    assert [step.begun for step in steps] == [1, 0] and recovery.report == 'no step was done'
    recovery.tick(0.05)
    assert recovery.report == 'a: done' and steps[1].begun == 0


@pytest.mark.parametrize('step, words', [
    (Step('b', begin_error=MissingDependencyError('franka_msgs', 'colcon build')),
     'franka_msgs is missing; install it with: colcon build'),
    (Step('b', poll_error=InputError('the server has aborted the goal')), 'has aborted'),
    (Step('b', looks=1000), 'not within 1 s: no answer of b')])
def test_the_step_that_fails_is_named_and_nothing_follows_it(step, words):
    last = Step('c')
    recovery = FaultRecovery([Step('a'), step, last], 1.0)
    run(recovery)
    assert recovery.state is RecoveryState.FAILED and not recovery.is_running
    assert recovery.progress.startswith('recovery failed in b: ') and words in recovery.progress
    assert recovery.report.startswith('a: done; b: failed: ') and words in recovery.report
    assert last.begun == 0


def test_after_a_failure_all_of_it_can_be_tried_again():
    steps = [Step('a'), Step('b', looks=1000)]
    recovery = FaultRecovery(steps, 0.5)
    run(recovery)
    steps[1]._looks = 1
    run(recovery, start_s=100.0)
    assert recovery.state is RecoveryState.DONE and recovery.report == 'a: done; b: done'
    assert [step.begun for step in steps] == [2, 2]


def test_no_further_step_begins_while_a_person_has_to_act():
    reasons, second = [], Step('b')
    first = Step('a', looks=3)
    recovery = FaultRecovery([first, second], 5.0, lambda: reasons[0] if reasons else '')
    recovery.start(0.0)
    reasons.append('the user stop is pressed')
    for i in range(10):
        recovery.tick(0.05 * i)
    assert recovery.report == 'a: done; b: failed: the user stop is pressed'
    assert (first.begun, second.begun) == (1, 0)


def test_a_clock_that_jumps_back_ends_a_step_instead_of_prolonging_it():
    recovery = FaultRecovery([Step('a', looks=1000)], 5.0)
    recovery.start(100.0)
    recovery.tick(1.0)
    assert recovery.state is RecoveryState.FAILED


@pytest.mark.parametrize('mode, words', [
    ('user_stopped', 'release the user stop'), ('guiding', 'let go of the guiding buttons'),
    ('reflex', ''), ('idle', ''), ('unknown (9)', ''), ('', '')])
def test_what_a_person_has_to_do_is_said(mode, words):
    text = person_must(mode)
    assert bool(text) == bool(words) and words in text
    assert not text or mode in text and 'residual_policy/recover' in text


@pytest.mark.parametrize('setting, value', [
    ('step_timeout_s', 0.1), ('step_timeout_s', float('nan')), ('hardware', ''),
    ('controller_manager', '')])
def test_impossible_setting_is_named(setting, value):
    with pytest.raises(ConfigError, match=setting):
        RecoveryConfig(**{setting: value})
