# SPDX-License-Identifier: Apache-2.0
"""Tests of the failure-mode rules on made-up grasps."""
import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation import failure_modes
import pytest

DOWN = np.array([1.0, 0.0, 0.0, 0.0])


def make_trace(*, offset=(0.0, 0.0, 0.0), yaw=0.0, closing=40, lowest_from=None):
    """Descend for 2 s onto a cube at (0.5, 0), close at tick ``closing``, rise after 3 s."""
    ticks = np.arange(100)
    height = np.interp(ticks, [0, 40, 60, 80], [0.3, 0.02, 0.02, 0.3])
    tcp = np.tile(np.concatenate([[0.5, 0.0, 0.0], DOWN]), (100, 1))
    tcp[:, 2] = height
    tcp[:, :3] += offset
    tcp[:, 3:] = se3.quat_multiply(se3.quat_from_rotvec(np.array([0.0, 0.0, yaw])), DOWN)
    cube = np.tile(np.array([0.5, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0]), (100, 1))
    held = np.zeros(100, dtype=bool)
    lowest = np.zeros(100)
    if lowest_from is not None:
        held[lowest_from:lowest_from + 10] = True
        lowest[lowest_from:lowest_from + 10] = 0.03
    return failure_modes.GraspTrace(
        time_s=0.05 * ticks, base_T_tcp=tcp, base_T_object=cube, lowest_m=lowest, both_touch=held,
        gripper_command=np.where(ticks >= closing, 0.0, 1.0) if closing else np.ones(100))


@pytest.mark.parametrize(('trace', 'mode'), [
    (make_trace(), 'slip'),
    (make_trace(closing=None), 'no_grasp'),
    (make_trace(offset=(0, 0, 0.016)), 'hover'),
    (make_trace(offset=(0, 0, 0.014)), 'slip'),
    (make_trace(offset=(0.012, 0.012, 0)), 'short'),
    (make_trace(offset=(0.010, 0.010, 0)), 'slip'),
    (make_trace(yaw=np.deg2rad(20)), 'angle'),
    (make_trace(yaw=np.deg2rad(80)), 'slip'),
    (make_trace(closing=30), 'grip_time'),
    (make_trace(closing=72), 'grip_time'),
    (make_trace(lowest_from=70), 'drop'),
])
def test_each_rule_names_its_mode(trace, mode):
    assert failure_modes.classify(trace, left_workspace=False) == mode


def test_an_object_out_of_the_workspace_outranks_the_grasp():
    trace = make_trace(offset=(0, 0, 0.016))
    assert failure_modes.classify(trace, left_workspace=True) == 'workspace'


def test_a_quarter_turned_cube_needs_no_turn_of_the_hand():
    trace = make_trace()
    turned = trace.base_T_object.copy()
    turned[:, 3:] = se3.quat_from_rotvec(np.array([0.0, 0.0, np.pi / 2]))
    trace = dataclasses.replace(trace, base_T_object=turned)
    assert failure_modes.classify(trace, left_workspace=False) == 'slip'


def test_modes_are_counted_without_successes():
    modes = ['success', 'drop', 'drop', 'short']
    assert failure_modes.count_modes(modes) == {'drop': 2, 'short': 1}


def test_total_variation_of_known_samples():
    assert failure_modes.total_variation(['drop', 'short'], ['short', 'drop', 'success']) == 0.0
    assert failure_modes.total_variation(['drop'], ['short']) == 1.0
    assert failure_modes.total_variation(['drop', 'short'], ['drop']) == pytest.approx(0.5)
    with pytest.raises(InputError):
        failure_modes.total_variation(['success'], ['drop'])


def test_arrays_of_different_length_are_refused():
    with pytest.raises(InputError, match='lengths'):
        dataclasses.replace(make_trace(), lowest_m=np.zeros(3))
