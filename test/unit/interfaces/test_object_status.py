# SPDX-License-Identifier: Apache-2.0
"""Every object has its status, with all that its confidence was made of."""

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.interfaces.object_status import status_array
from ocrrl_ros.perception.confidence import FEATURES
from ocrrl_ros.perception.estimate import ObjectEstimate, TrackState
import pytest

SURE = np.diag([1e-6] * 3 + [1e-4] * 3)


def estimate(name='cube', *, covariance=SURE, rotvec=(0.0, 0.0, 0.0), state=TrackState.OK):
    """Return an estimate whose parts are their own numbers."""
    return ObjectEstimate(
        object_id=name, stamp_s=5.0, covariance=covariance, confidence=0.9, state=state,
        base_T_object=se3.pose(np.zeros(3), se3.quat_from_rotvec(np.array(rotvec))),
        valid=state is TrackState.OK, just_lost=False,
        parts={part: float(number) for number, part in enumerate(FEATURES)})


def test_two_objects_have_a_status_each_with_all_parts():
    message = status_array(
        [estimate(), estimate('bowl', state=TrackState.STALE)], 5.0, {'bowl': 'nobody says'})
    assert [(status.name, status.level, status.message) for status in message.status] == [
        ('objects/cube', DiagnosticStatus.OK, 'ok'),
        ('objects/bowl', DiagnosticStatus.STALE, 'stale: nobody says')]
    for status, valid in zip(message.status, ('True', 'False')):
        values = {item.key: item.value for item in status.values}
        assert values['confidence'] == '0.9' and values['valid'] == valid
        assert {name: float(values[name]) for name in FEATURES} == {
            name: number for number, name in enumerate(FEATURES)}
        assert values['unobserved'] == ''


@pytest.mark.parametrize(('rotvec', 'axis'), [
    ((0.0, 0.0, 0.7), 2), ((0.5 * np.pi, 0.0, 0.0), 1), ((0.0, 0.5 * np.pi, 0.0), 0)])
def test_a_turn_about_the_objects_own_axis_is_named_however_it_lies(rotvec, axis):
    spread = SURE.copy()
    spread[3 + axis, 3 + axis] = 3.0
    assert estimate(covariance=spread, rotvec=rotvec).unobserved == ('rz',)


def test_a_position_of_which_nothing_is_known_is_named():
    spread = SURE.copy()
    spread[0, 0] = 0.06 ** 2
    assert estimate(covariance=spread).unobserved == ('x',)
