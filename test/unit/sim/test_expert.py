# SPDX-License-Identifier: Apache-2.0
"""The scripted policies decide from geometry, and the expert does lift the cube."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.policy.base_policy import BaseInputs
from ocrrl_ros.sim.expert import ExpertConfig, grasp_quaternions, ScriptedExpert
from ocrrl_ros.sim.stand_in import RandomBase, StandInBase, StandInConfig
from ocrrl_ros.sim.truth import TruthState
import pytest

DOWN = np.array([1.0, 0.0, 0.0, 0.0])


def _truth(tcp: tuple[float, float, float], yaw: float = 0.0, **changes: object) -> TruthState:
    """Return one world with a cube at (0.5, 0, 0.02) and the hand pointing down."""
    turn = se3.quat_from_rotvec(np.array([0.0, 0.0, yaw]))
    fields = {
        'object_poses': se3.pose(np.array([0.5, 0.0, 0.02]), turn)[None, None],
        'object_linear': np.zeros((1, 1, 3)), 'object_angular': np.zeros((1, 1, 3)),
        'object_half_extents': np.full((1, 1, 3), 0.02),
        'finger_contact': np.zeros((1, 1, 2), dtype=bool),
        'base_T_tcp': se3.pose(np.asarray(tcp), DOWN)[None],
        'width': np.array([0.08]), 'width_speed': np.zeros(1),
        'start_poses': se3.pose(np.array([0.5, 0.0, 0.02]), turn)[None, None]}
    return TruthState(**{**fields, **changes})


def _inputs(truth: TruthState) -> BaseInputs:
    n = len(truth)
    return BaseInputs(
        stamp_s=np.zeros(n), rgb=None, base_T_tcp=truth.base_T_tcp, gripper=np.ones(n),
        instructions=('lift the red cube',) * n, privileged=truth)


def test_chunk_has_sixteen_finite_unit_poses_within_the_speed_limit():
    chunk = ScriptedExpert().infer(_inputs(_truth((0.3, 0.1, 0.48), yaw=0.7)))
    assert chunk.poses.shape == (1, 16, 7)
    assert chunk.grippers.shape == (1, 16)
    se3.check_pose(chunk.poses, 'expert')
    steps = np.linalg.norm(np.diff(chunk.poses[0, :, :3], axis=0), axis=1)
    assert steps.max() <= 0.25 * 0.05 + 1e-9


def test_far_hand_stays_open_and_heads_above_the_cube():
    chunk = ScriptedExpert().infer(_inputs(_truth((0.45, 0.0, 0.14))))
    assert (chunk.grippers == 1.0).all()
    assert np.linalg.norm(chunk.poses[0, -1, :2] - [0.5, 0.0]) < 0.01


def test_hand_beside_the_cube_rises_before_it_moves_sideways():
    chunk = ScriptedExpert().infer(_inputs(_truth((0.43, 0.0, 0.03))))
    beside = np.abs(chunk.poses[0, :, 0] - 0.5) > 0.02
    on_the_way = beside & (chunk.poses[0, :, 0] > 0.431)
    assert beside[:4].all()
    assert chunk.poses[0, on_the_way, 2].min() > 0.075


def test_aligned_hand_closes_and_waits():
    chunk = ScriptedExpert().infer(_inputs(_truth((0.5, 0.0, 0.02))))
    assert (chunk.grippers == 0.0).all()
    np.testing.assert_allclose(chunk.poses[0, :, :3], [[0.5, 0.0, 0.02]] * 16, atol=1e-9)


def test_lift_waits_until_the_fingers_have_stopped():
    held = {'finger_contact': np.ones((1, 1, 2), dtype=bool), 'width': np.array([0.04])}
    moving = _truth((0.5, 0.0, 0.02), width_speed=np.array([-0.05]), **held)
    still = _truth((0.5, 0.0, 0.02), **held)
    expert = ScriptedExpert()
    assert expert.infer(_inputs(moving)).poses[0, :, 2].max() < 0.025
    assert expert.infer(_inputs(still)).poses[0, -1, 2] == pytest.approx(0.12, abs=1e-6)


def test_empty_closed_hand_opens_again():
    empty = _truth((0.5, 0.0, 0.02), width=np.array([0.0]))
    assert (ScriptedExpert().infer(_inputs(empty)).grippers == 1.0).all()


@pytest.mark.parametrize('yaw', np.radians([-170.0, -60.0, -45.0, 0.0, 30.0, 44.0, 80.0, 135.0]))
def test_grasp_takes_the_nearest_of_four_symmetric_yaws(yaw):
    cube = se3.quat_from_rotvec(np.array([[0.0, 0.0, yaw]]))
    goal = grasp_quaternions(cube, DOWN[None])
    assert se3.quat_angle(goal, DOWN[None])[0] <= np.pi / 4 + 1e-9
    relative = se3.quat_to_matrix(goal[0]).T @ se3.quat_to_matrix(cube[0])
    np.testing.assert_allclose(np.abs(relative).max(axis=0), 1.0, atol=1e-9)


def test_grasp_ignores_which_face_the_cube_lies_on():
    tumbled = se3.quat_multiply(
        se3.quat_from_rotvec(np.array([0.0, 0.0, 0.3])),
        se3.quat_from_rotvec(np.array([np.pi / 2, 0.0, 0.0])))
    upright = se3.quat_from_rotvec(np.array([0.0, 0.0, 0.3]))
    angle = se3.quat_angle(
        grasp_quaternions(tumbled[None], DOWN[None]), grasp_quaternions(upright[None], DOWN[None]))
    assert angle[0] < 1e-6


def test_worlds_are_independent_of_their_batch():
    expert = ScriptedExpert()
    tcps = [(0.45, 0.0, 0.14), (0.5, 0.0, 0.02), (0.43, 0.0, 0.03)]
    single = [expert.infer(_inputs(_truth(tcp))).poses[0] for tcp in tcps]
    fields = [field.name for field in dataclasses.fields(TruthState)]
    batch = TruthState(**{
        name: np.concatenate([getattr(_truth(tcp), name) for tcp in tcps]) for name in fields})
    np.testing.assert_allclose(expert.infer(_inputs(batch)).poses, single, atol=1e-12)


def test_scripted_policies_refuse_to_run_without_truth():
    inputs = dataclasses.replace(_inputs(_truth((0.5, 0.0, 0.1))), privileged=None)
    for policy in (ScriptedExpert(), StandInBase(1, np.random.default_rng(0))):
        with pytest.raises(InputError, match='simulator truth'):
            policy.infer(inputs)


def test_stand_in_without_error_is_the_expert_and_errors_last_an_episode():
    inputs = _inputs(_truth((0.45, 0.0, 0.14)))
    exact = StandInBase(
        1, np.random.default_rng(0), StandInConfig(lateral_m=0.0, hover_m=0.0, per_chunk_m=0.0))
    expected = ScriptedExpert().infer(inputs).poses
    np.testing.assert_allclose(exact.infer(inputs).poses, expected)
    wrong = StandInBase(1, np.random.default_rng(0), StandInConfig(per_chunk_m=0.0))
    first, second = wrong.infer(inputs).poses, wrong.infer(inputs).poses
    np.testing.assert_array_equal(first, second)
    wrong.reset(np.array([0]))
    assert np.abs(wrong.infer(inputs).poses - first).max() > 1e-4


def test_random_base_draws_one_target_per_chunk_in_its_box():
    chunk = RandomBase(np.random.default_rng(0)).infer(_inputs(_truth((0.5, 0.0, 0.3))))
    assert np.ptp(chunk.poses, axis=1).max() == 0.0
    assert set(np.unique(chunk.grippers)) <= {0.0, 1.0}


def test_bad_speed_is_refused():
    with pytest.raises(ConfigError, match='speed_m_s is 3.0'):
        ExpertConfig(speed_m_s=3.0)
