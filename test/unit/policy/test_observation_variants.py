# SPDX-License-Identifier: Apache-2.0
"""Layouts for comparisons: what they hold, their sizes, and hashes that tell them apart."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.core.se3 import pose, quat_from_rotvec, quat_multiply
from ocrrl_ros.policy.object_poses import ObjectView
from ocrrl_ros.policy.observation import (
    build_observation, ObservationInputs, ObservationLayout, VARIANTS)
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.policy.world_observation import euler_angles
import pytest

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
TCP = pose(np.array([0.5, -0.1, 0.2]), DOWN)
TARGETS = np.stack([pose(np.array([0.51, -0.1, 0.15]), DOWN),
                    pose(np.array([0.53, -0.1, 0.05]), DOWN)])
CUBE = pose(np.array([0.52, 0.03, 0.02]), quat_from_rotvec(np.array([0.0, 0.0, 0.4])))
BOWL = pose(np.array([0.45, 0.2, 0.0]), quat_from_rotvec(np.zeros(3)))


def observe(layout: ObservationLayout, poses: list, valid: list) -> np.ndarray:
    """Return what a layout shows of one robot."""
    view = ObjectView(
        np.stack(poses)[None], np.array([valid]), np.where([valid], 0.05, 0.2))
    return build_observation(layout, ObservationInputs(
        base_T_tcp=TCP[None], tcp_velocity=np.full((1, 3), 0.1), opening=np.array([0.7]),
        objects=view, targets=TARGETS[None], target_openings=np.array([[0.9, 0.4]]),
        phase=np.array([0.25]), gain=np.array([0.5])))[0]


def test_world_layout_holds_poses_and_base_action_in_the_robot_frame_and_nothing_else():
    layout = ObservationLayout(('block', 'bowl'), ('box', 'revolution'), variant='world')
    found = observe(layout, [CUBE, BOWL], [True, True])
    expected = [
        0.5, -0.1, 0.2, 1.0, 0.0, 0.0, 0.0, 0.7,
        0.52, 0.03, 0.02, 0.0, 0.0, np.sin(0.2), np.cos(0.2),
        0.45, 0.2, 0.0, 0.0, 0.0, 0.0, 1.0,
        0.51, -0.1, 0.15, np.pi, 0.0, 0.0, 0.9]
    assert found.dtype == np.float32 and found.shape == (layout.size,) == (29,)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_world_layout_shows_a_lost_object_as_a_row_of_zeros():
    layout = ObservationLayout(('cube',), ('cube',), variant='world')
    found = observe(layout, [CUBE], [False])
    assert (found[8:15] == 0.0).all() and layout.fields()[3][0] == 'cube.base_object_position'


@pytest.mark.parametrize('tilt_rad', [-0.01, 0.01])
def test_world_layout_of_a_hand_that_points_down_does_not_jump(tilt_rad):
    tilted = quat_multiply(quat_from_rotvec(np.array([tilt_rad, 0.0, 0.0])), DOWN)
    assert euler_angles(tilted[None])[0, 0] == pytest.approx(np.pi + tilt_rad)
    layout = ObservationLayout(('cube',), ('cube',), variant='world')
    moved = observe(layout, [pose(CUBE[:3], tilted)], [True])
    assert moved[11] == pytest.approx(np.cos(tilt_rad / 2.0))


def test_euler_angles_are_those_of_turns_about_the_fixed_axes_in_order():
    angles = np.array([0.3, -0.4, 2.0])
    turns = [quat_from_rotvec(angle * axis) for angle, axis in zip(angles, np.eye(3))]
    whole = quat_multiply(turns[2], quat_multiply(turns[1], turns[0]))
    np.testing.assert_allclose(euler_angles(whole[None])[0], angles, atol=1e-9)


@pytest.mark.parametrize(('variant', 'gone'), [
    ('no_plan', {'tcp_next_target_position', 'tcp_next_target_rotvec', 'next_target_opening',
                 'chunk_phase'}),
    ('no_validity', {'block.valid', 'block.age', 'bowl.valid', 'bowl.age'})])
def test_layout_without_some_entries_shows_the_others_as_before(variant, gone):
    whole = ObservationLayout(('block', 'bowl'), ('box', 'revolution'))
    part = dataclasses.replace(whole, variant=variant)
    seen = {layout.variant: observe(layout, [CUBE, BOWL], [True, False])
            for layout in (whole, part)}
    assert set(whole.slices()) - set(part.slices()) == gone
    assert seen[variant].shape == (part.size,)
    for name, where in part.slices().items():
        assert (seen[variant][where] == seen['relative'][whole.slices()[name]]).all(), name


def test_every_task_has_layouts_of_different_hashes_and_the_shipped_one_keeps_its_own():
    for task in ('cube_lift', 'pick_place', 'stack_cube', 'close_drawer', 'stand_cup'):
        layouts = load_task_spec(task).layouts()
        assert [layout.variant for layout in layouts.values()] == list(VARIANTS)
    assert load_task_spec('cube_lift').layout().sha256 == (
        'fda5a4a4d8586e8775504995a263887cc186dc1242057d4b1080186a47740881')
    assert load_task_spec('stack_cube').layout().sha256 == (
        'f56847582f17cd7abd974ec2871551a8623352933d05db48d829af87e779507e')


def test_unknown_layout_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match='no_plan, no_validity, relative, world'):
        load_task_spec('cube_lift').layout('camera')
