# SPDX-License-Identifier: Apache-2.0
"""The observation is relative, symmetric, zero where invalid, and hashed."""

import numpy as np
from ocrrl_ros.core.se3 import (
    pose, pose_identity, pose_multiply, quat_from_rotvec, quat_multiply, quat_normalize)
from ocrrl_ros.core.symmetry import symmetry_group
from ocrrl_ros.policy.object_poses import ObjectView
from ocrrl_ros.policy.observation import (
    build_observation, NEAR_M, ObservationInputs, ObservationLayout)
import pytest

LAYOUT = ObservationLayout(('cube',), ('cube',))
TCP = pose(np.array([0.5, 0.0, 0.2]), np.array([1.0, 0.0, 0.0, 0.0]))
CUBE = pose(np.array([0.52, 0.03, 0.02]), quat_from_rotvec(np.array([0.0, 0.0, 0.3])))


def _observe(tcp=TCP, cube=CUBE, valid=True, layout=LAYOUT):
    targets = np.stack([tcp, tcp])[None]
    view = ObjectView(
        (cube if valid else pose_identity())[None, None], np.array([[valid]]),
        np.array([[0.05 if valid else 0.2]]))
    return build_observation(layout, ObservationInputs(
        base_T_tcp=tcp[None], tcp_velocity=np.zeros((1, 3)), opening=np.ones(1), objects=view,
        targets=targets, target_openings=np.ones((1, 2)), phase=np.zeros(1), gain=np.ones(1)))[0]


def test_size_matches_the_layout():
    assert _observe().shape == (LAYOUT.size,) and _observe().dtype == np.float32


def test_invalid_object_zeroes_every_entry_but_the_age():
    observation, slices = _observe(valid=False), LAYOUT.slices()
    for name, part in slices.items():
        if name.startswith('cube.') and name != 'cube.age':
            assert (observation[part] == 0).all(), name
    assert observation[slices['cube.age']] == 1.0


@pytest.mark.parametrize('member', range(24))
def test_equivalent_cube_poses_look_the_same(member):
    turned = CUBE.copy()
    turned[3:] = quat_multiply(CUBE[3:], symmetry_group('cube')[member])
    assert np.allclose(_observe(cube=turned), _observe(), atol=1e-6)


def test_object_entries_do_not_change_when_tcp_and_object_move_together():
    shift = pose(np.array([0.05, -0.1, 0.0]), quat_from_rotvec(np.array([0.0, 0.0, 0.4])))
    moved = _observe(tcp=pose_multiply(shift, TCP), cube=pose_multiply(shift, CUBE))
    part = LAYOUT.slices()['cube.tcp_object_position']
    assert np.allclose(moved[part], _observe()[part], atol=1e-6)


def _observe_two(valid=(True, True)):
    layout = ObservationLayout(('cube', 'base_cube'), ('cube', 'cube'))
    above = CUBE.copy()
    above[:3] += (0.012, 0.0, 0.04)
    poses = np.where(np.array(valid)[:, None], [above, CUBE], pose_identity())
    view = ObjectView(poses[None], np.array([valid]), np.zeros((1, 2)))
    observation = build_observation(layout, ObservationInputs(
        base_T_tcp=TCP[None], tcp_velocity=np.zeros((1, 3)), opening=np.ones(1), objects=view,
        targets=np.stack([TCP, TCP])[None], target_openings=np.ones((1, 2)), phase=np.zeros(1),
        gain=np.ones(1)))[0]
    assert observation.shape == (layout.size,)
    return observation[layout.slices()['base_cube.tcp_first_object_near']]


def test_goal_entry_shows_the_first_object_as_seen_from_the_other_at_the_scale_of_a_grasp():
    # TCP points down: its x is the base's, its y and z are the base's reversed.
    assert np.allclose(_observe_two(), np.tanh(np.array([0.012, 0.0, -0.04]) / NEAR_M), atol=1e-6)


@pytest.mark.parametrize('valid', [(True, False), (False, True), (False, False)])
def test_goal_entry_is_zero_unless_both_objects_are_seen(valid):
    assert (_observe_two(valid) == 0.0).all()


@pytest.mark.parametrize('spin_rad', [0.0, 0.1, 2.0, -3.0])
def test_turn_of_a_cup_about_its_axis_does_not_show(spin_rad):
    layout = ObservationLayout(('cup',), ('revolution',))
    lying = pose(CUBE[:3], quat_from_rotvec(np.array([0.0, 1.5, 0.0])))
    spun = lying.copy()
    spun[3:] = quat_multiply(lying[3:], quat_from_rotvec(np.array([0.0, 0.0, spin_rad])))
    one, other = _observe(cube=lying, layout=layout), _observe(cube=spun, layout=layout)
    assert np.allclose(one, other, atol=1e-6)
    turn = one[layout.slices()['cup.tcp_object_rotation_6d']]
    # The hand points down, so the cup's axis along base x is along TCP x and slightly into z.
    assert np.allclose(turn, [np.sin(1.5), 0.0, -np.cos(1.5), 0.0, 0.0, 0.0], atol=1e-6)


def test_hash_changes_with_the_layout():
    assert LAYOUT.sha256 == ObservationLayout(('cube',), ('cube',)).sha256
    assert LAYOUT.sha256 != ObservationLayout(('cube',), ('none',)).sha256
    assert LAYOUT.sha256 != ObservationLayout(('cube',), ('cube',), lookahead_s=0.25).sha256


@pytest.mark.parametrize(('name', 'order'), [
    ('none', 1), ('half_turn_z', 2), ('box', 4), ('square_prism', 8), ('cube', 24)])
def test_symmetry_groups_are_closed(name, order):
    group = symmetry_group(name)
    assert len(group) == order
    products = quat_multiply(group[:, None], group[None]).reshape(-1, 4)
    nearest = np.abs(quat_normalize(products) @ group.T).max(axis=1)
    assert np.allclose(nearest, 1.0)
