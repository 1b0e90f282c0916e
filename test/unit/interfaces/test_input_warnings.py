# SPDX-License-Identifier: Apache-2.0
"""Warnings are throttled by cause, and causes survive changing numbers."""

from types import SimpleNamespace

from ocrrl_ros.core.errors import BundleError, InputError
from ocrrl_ros.interfaces.input_warnings import cause_of, InputWarnings
import pytest


class Rig:
    """Warnings with a clock and a log of the test's own."""

    def __init__(self):
        """Start at 10 s."""
        self.now_s, self.log = 10.0, []
        logger = SimpleNamespace(warning=self.log.append)
        self.warnings = InputWarnings(
            SimpleNamespace(get_logger=lambda: logger), lambda: self.now_s)


@pytest.mark.parametrize(('one', 'other'), [
    ('joint state is 0.123 s old, allowed: 0.1 s', 'joint state is 12.4 s old, allowed: 0.1 s'),
    ('the chunk ended 0.15 s ago', 'the chunk ended 1e-05 s ago'),
    ('position is [nan, -0.1]', 'position is [0.5, inf]')])
def test_texts_of_one_cause_are_equal(one, other):
    assert cause_of(one) == cause_of(other)


def test_texts_of_two_causes_differ():
    assert cause_of('joint state is 0.1 s old') != cause_of('the chunk is 0.1 s old')
    assert cause_of("frame 'world'") != cause_of("frame 'map'")
    assert 'finance' in cause_of('finance')


def test_one_cause_is_logged_every_two_seconds_and_hides_no_other():
    rig = Rig()
    for _ in range(5):
        rig.warnings.warn(f'joint state is {rig.now_s} s old')
        rig.warnings.warn('pose in frame')
        rig.now_s += 0.5
    assert rig.log == ['joint state is 10.0 s old', 'pose in frame',
                       'joint state is 12.0 s old', 'pose in frame']


def test_ever_new_texts_are_no_flood():
    rig = Rig()
    for index in range(1000):
        rig.warnings.warn('no JSON: ' + 'x' * index)
        rig.now_s += 0.01
    assert 40 <= len(rig.log) <= 60


def test_refused_input_becomes_a_warning_and_other_errors_stay_errors():
    rig = Rig()

    def fail(error):
        raise error

    rig.warnings.attempt(fail, BundleError('a network has failed'))
    assert rig.log.pop() == 'a network has failed'
    rig.warnings.attempt(fail, InputError('no use'))
    assert rig.log == ['no use']
    with pytest.raises(ZeroDivisionError):
        rig.warnings.attempt(fail, ZeroDivisionError())


def test_a_refusal_that_does_not_name_its_topic_gets_it():
    rig = Rig()

    def fail(text):
        raise InputError(text)

    rig.warnings.attempt(fail, 'joint state is nonsense', source='arm/joint_states')
    rig.warnings.attempt(fail, 'arm/joint_states is empty', source='arm/joint_states')
    assert rig.log == [
        'arm/joint_states: joint state is nonsense', 'arm/joint_states is empty']
