# SPDX-License-Identifier: Apache-2.0
"""Poses are compared with the truth of the frame in which they arrive."""

import numpy as np
from ocrrl_ros.evaluation.late_poses import LATE_FRAMES, LatePoses
from ocrrl_ros.evaluation.tracker_sequences import TrueObject
from ocrrl_ros.perception.estimate import ObjectEstimate, TrackState
from ocrrl_ros.perception.object_model import load_object
import pytest

STEP_M = 0.01


def estimate(x_m, *, valid=True):
    """Return an estimate of the cube at x."""
    return ObjectEstimate(
        object_id='cube', stamp_s=0.0, base_T_object=np.array([x_m, 0, 0, 0, 0, 0, 1.0]),
        covariance=np.eye(6), confidence=1.0, state=TrackState.OK, valid=valid, just_lost=False,
        parts={})


def errors(valid=True):
    """Return the errors of each frame while the cube moves by STEP_M a frame."""
    late, found = LatePoses({'cube': load_object('cube')}), []
    for number in range(6):
        x = STEP_M * number
        truth = TrueObject(
            pose=np.array([x, 0, 0, 0, 0, 0, 1.0]), phase=0, speed=np.zeros(2))
        found.append(late.arrive({'cube': truth}))
        late.add({'cube': estimate(x, valid=valid)},
                 {'cube': estimate(x + STEP_M * LATE_FRAMES, valid=valid)})
    return found


def test_a_pose_is_late_by_as_many_frames():
    found = errors()
    assert found[:LATE_FRAMES] == [{}] * LATE_FRAMES
    for error in found[LATE_FRAMES:]:
        assert error['cube'].seen_m == pytest.approx(STEP_M * LATE_FRAMES)
        assert error['cube'].moved_m == pytest.approx(0.0)


def test_poses_that_are_not_valid_never_arrive():
    assert all(found == {} for found in errors(valid=False))
