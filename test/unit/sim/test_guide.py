# SPDX-License-Identifier: Apache-2.0
"""What leads a residual does the task, changes smoothly and keeps the base's pace."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.policy.base_policy import BaseInputs
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.experts import cup_grasp, expert_for
from ocrrl_ros.sim.guide import FunnelConfig, guide_for, keep_pace
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.truth import TruthState
from ocrrl_ros.sim.world import SimWorld
import pytest

GUIDED = ('cube_lift', 'pick_place', 'stack_cube', 'stand_cup')


def start_of(name: str) -> TruthState:
    """Return the truth of one start state."""
    world = SimWorld(get_task(name), load_domain('sim'), load_physics())
    world.reset(np.random.default_rng(4))
    return world.task_state()


def first_targets(policy, name: str, truth: TruthState) -> np.ndarray:
    """Return the policy's first targets (N, 7)."""
    n = len(truth)
    return policy.infer(BaseInputs(
        stamp_s=np.zeros(n), rgb=None, base_T_tcp=truth.base_T_tcp, gripper=np.ones(n),
        instructions=(get_task(name).instruction,) * n, privileged=truth)).poses[:, 0]


def above_the_grasp(name: str, sideways_m: np.ndarray) -> TruthState:
    """Return worlds (N,) that differ in where the hand is beside its way down to a grasp."""
    n = len(sideways_m)
    start = start_of(name)
    truth = type(start)(**{
        item.name: np.repeat(getattr(start, item.name), n, axis=0)
        for item in dataclasses.fields(start)})
    # A hand that heads for the object turns into its grasp within a few seconds.
    for _ in range(100):
        truth = dataclasses.replace(
            truth, base_T_tcp=first_targets(expert_for(get_task(name)), name, truth))
    tcp = truth.base_T_tcp.copy()
    tcp[:, 2] = truth.object_poses[:, 0, 2] + 0.03
    tcp[:, :3] += se3.quat_rotate(
        tcp[:, 3:], np.column_stack([sideways_m, np.zeros(n), np.zeros(n)]))
    return dataclasses.replace(truth, base_T_tcp=tcp)


@pytest.mark.parametrize('name', GUIDED)
def test_guide_changes_little_where_the_expert_turns_round(name: str):
    truth = above_the_grasp(name, np.linspace(0.0, 0.05, 201))

    def largest_change_m(policy) -> float:
        wanted = first_targets(policy, name, truth)[:, :3] - truth.base_T_tcp[:, :3]
        return np.linalg.norm(np.diff(wanted, axis=0), axis=1).max()

    assert largest_change_m(guide_for(get_task(name))) < 0.003
    assert largest_change_m(expert_for(get_task(name))) > 0.008


@pytest.mark.parametrize('name', GUIDED)
def test_guide_gets_to_the_grasp_on_an_ideal_arm(name: str):
    guide = guide_for(get_task(name))
    truth = start_of(name)
    for _ in range(200):
        truth = dataclasses.replace(truth, base_T_tcp=first_targets(guide, name, truth))
    held = truth.object_poses[:, 0]
    place = cup_grasp(held) if name == 'stand_cup' else held
    assert np.linalg.norm(truth.base_T_tcp[0, :3] - place[0, :3]) < 0.005
    closing = guide.infer(BaseInputs(
        stamp_s=np.zeros(1), rgb=None, base_T_tcp=truth.base_T_tcp, gripper=np.ones(1),
        instructions=('',), privileged=truth)).grippers
    assert (closing == 0.0).all()


def test_drawer_is_led_by_the_base_itself():
    assert guide_for(get_task('close_drawer')) is None


def test_hand_beside_the_grasp_and_too_low_goes_up_before_it_goes_over():
    truth = above_the_grasp('stack_cube', np.array([0.05]))
    way = first_targets(
        guide_for(get_task('stack_cube')), 'stack_cube', truth) - truth.base_T_tcp
    assert way[0, 2] > 0.009
    assert np.linalg.norm(way[0, :2]) < 0.003


def test_height_of_the_funnel_rises_with_either_error():
    funnel = FunnelConfig(inner_m=0.004, wide_m=0.030, inner_rad=0.04, wide_rad=0.25)
    height = funnel.height(
        np.array([0.0, 0.019, 0.1, 0.0]), np.array([0.0, 0.0, 0.0, 0.165]))
    np.testing.assert_allclose(height, [0.0, 0.5, 1.0, 0.5])
    np.testing.assert_allclose(
        FunnelConfig().brake(np.array([-0.1, 0.0, 0.01, 0.0275, 0.1])), [0, 0, 0, 0.5, 1.0])


def test_guide_is_no_faster_than_the_base_but_never_held_up():
    still = np.array([[0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]] * 3)
    wanted, base = still.copy(), still.copy()
    wanted[:, 0] += [0.05, 0.05, 0.004]
    base[:, 1] += [0.02, 0.0, 0.02]
    paced = keep_pace(still, wanted, base)
    np.testing.assert_allclose(paced[:, 0] - 0.5, [0.02, 0.01, 0.004])
    np.testing.assert_allclose(paced[:, 1], 0.0, atol=1e-12)


def test_guide_turns_no_faster_than_the_base():
    still = np.array([[0.5, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0]] * 2)
    turn = se3.quat_from_rotvec(np.array([[0.0, 0.0, 0.6]] * 2))
    own = se3.quat_from_rotvec(np.array([[0.0, 0.3, 0.0], [0.0, 0.0, 0.0]]))
    paced = keep_pace(
        still, se3.pose(still[:, :3], turn), se3.pose(still[:, :3], own))
    np.testing.assert_allclose(
        se3.quat_angle(still[:, 3:], paced[:, 3:]), [0.3, 0.1], atol=1e-9)
