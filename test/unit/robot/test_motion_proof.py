# SPDX-License-Identifier: Apache-2.0
"""What is proven clear is clear, by dense samples and Pinocchio; the kernels are what they say."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.body_kernels import kinematics
from ocrrl_ros.robot.cartesian_guard import Allowance, CartesianGuard
from ocrrl_ros.robot.catch_up import sampled
from ocrrl_ros.robot.clearance import arm_arrays
from ocrrl_ros.robot.command_shaping import ShapingConfig
from ocrrl_ros.robot.guard_config import GuardConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.motion_kernels import state_at, write_stop
from ocrrl_ros.robot.plan_proof import PlanProof
from ocrrl_ros.robot.trajectory_planner import Plan, TrajectoryPlanner

READY = np.array(fr3.READY_POSITION)
KINEMATICS = FrankaKinematics()
LIMITS = JointLimits.for_image()
PLANNER = TrajectoryPlanner(LIMITS, ShapingConfig())
NARROW = GuardConfig(
    tcp_speed_m_s=0.5, workspace_lower_m=(0.2, -0.3, 0.1), workspace_upper_m=(0.65, 0.3, 0.7),
    body_height_m=0.05, min_singular_value=0.03, self_distance_m=0.02,
    keep_out_planes=((0.7, 0.2, 0.4, -1.0, -0.4, 0.1),))


def _guard(config: GuardConfig = NARROW) -> CartesianGuard:
    """Return a guard of its own; it remembers looks."""
    return CartesianGuard(
        config, KINEMATICS, PLANNER.max_velocity, PLANNER.max_acceleration, PLANNER.max_jerk)


def _random_plan(rng: np.random.Generator, spread_rad: float = 0.5) -> Plan | None:
    """Return a plan from a state on the way somewhere to a goal, at rest or moving, or None."""
    first = PLANNER.plan_goal(
        (READY.tolist(), [0.0] * 7, [0.0] * 7), READY + rng.normal(0.0, spread_rad, 7), None, 0.0,
        rng.uniform(0.05, 1.0))
    if first is None:
        return None
    state = first.trajectory.at_time(rng.uniform(0.0, 0.6))
    velocity = None if rng.random() < 0.5 else rng.normal(0.0, 0.4, 7)
    return PLANNER.plan_goal(
        state, np.array(state[0]) + rng.normal(0.0, spread_rad * rng.random(), 7), velocity,
        rng.uniform(0.0, 0.2), 1.0)


def _complete(guard: CartesianGuard, plan: Plan) -> PlanProof:
    """Return the proof of a plan, gone on with to the end."""
    proof = PlanProof(guard, plan)
    proof.begin(Allowance(math.inf))
    proof.extend(0.0, math.inf, Allowance(math.inf))
    return proof


def _dense(plan: Plan, until_s: float = math.inf) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and velocities (N, 7) of a plan, 2 ms apart, and of its stop."""
    end_s = min(plan.brake_at_s, plan.trajectory.duration, until_s)
    parts = [sampled(
        plan.trajectory, np.linspace(0, end_s, math.ceil(end_s / 0.002) + 2).tolist())]
    if min(plan.brake_at_s, until_s) < plan.trajectory.duration or plan.brake_at_s < math.inf:
        stop = PLANNER.plan_stop(plan.trajectory.at_time(end_s)).trajectory
        parts.append(sampled(stop, np.linspace(
            0, stop.duration, math.ceil(stop.duration / 0.002) + 2).tolist()))
    rows = np.concatenate(parts)
    return rows[:, :7], rows[:, 7:]


def _worst(guard: CartesianGuard, q: np.ndarray, dq: np.ndarray) -> tuple[float, float, float]:
    """Return least TCP clearance, least other clearance and greatest TCP speed, by reference."""
    bodies = min(min(guard.body_clearances(row).values()) for row in q)
    return float(guard.region_clearances(q).min()), bodies, float(guard.tcp_speeds(q, dq).max())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_what_is_proven_is_clear_by_the_slow_reference(seed: int) -> None:
    """Plans that are proven keep every guard; refused ones come at least near to one."""
    rng, guard = np.random.default_rng(seed), _guard()
    for _ in range(3):
        plan = _random_plan(rng, rng.choice([0.1, 0.4]))
        if plan is None:
            continue
        proof = _complete(guard, plan)
        region, body, speed = _worst(guard, *_dense(plan))
        if proof.violation is None:
            assert proof.brake_at_s == plan.brake_at_s
            assert region >= -1e-9
            assert body >= -1e-9
            assert speed <= NARROW.tcp_speed_m_s + 1e-9
        else:
            # One millisecond at full speed, and a capsule around the hand at the base.
            assert region < 0.004 or body < 0.02 or speed > 0.97 * NARROW.tcp_speed_m_s


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1), allowance=st.floats(1.0, 80.0))
def test_what_is_proven_so_far_is_clear_with_its_stop(seed: int, allowance: float) -> None:
    """With too little allowance the plan is proven to a point, from which a stop is clear."""
    rng, guard = np.random.default_rng(seed), _guard()
    plan = _random_plan(rng, 0.3)
    if plan is None:
        return
    proof = PlanProof(guard, plan)
    if not proof.begin(Allowance(allowance)):
        return
    reached = [proof.brake_at_s]
    while not proof.is_done:
        region, body, speed = _worst(guard, *_dense(plan, proof.brake_at_s))
        assert region >= -1e-9
        assert body >= -1e-9
        assert speed <= NARROW.tcp_speed_m_s + 1e-9
        proof.extend(0.0, math.inf, Allowance(allowance))
        reached.append(proof.brake_at_s)
    assert (np.diff(reached) >= 0.0).all()
    assert (proof.violation is None) == (_complete(_guard(), plan).violation is None)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_allowance_is_kept(seed: int) -> None:
    """A proof spends what it may and one step more; more allowance proves no less."""
    rng = np.random.default_rng(seed)
    plan = _random_plan(rng, 0.6)
    if plan is None:
        return
    until = []
    for granted in (5.0, 20.0, 80.0, 320.0):
        guard, allowance = _guard(), Allowance(granted)
        end_s = min(plan.brake_at_s, plan.trajectory.duration)
        verdict = guard.check(
            plan.trajectory, 0.0, end_s, allowance, is_stopped=plan.brake_at_s < math.inf)
        assert granted - allowance.left <= granted + 25.0 + 25.0
        until.append(verdict.path_until_s)
    assert until == sorted(until)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_tables_of_pieces_are_the_trajectories(seed: int) -> None:
    """Position, velocity and acceleration agree with ruckig's to rounding, past the end too."""
    rng = np.random.default_rng(seed)
    plan = _random_plan(rng, 0.8)
    if plan is None:
        return
    state = np.empty((3, 7))
    for time_s in rng.uniform(0.0, plan.trajectory.duration + 0.1, 20):
        state_at(plan.trajectory.table, time_s, state)
        expected = np.array(plan.trajectory.at_time(time_s))
        np.testing.assert_allclose(state[:2], expected[:2], atol=1e-9)
        np.testing.assert_allclose(state[2], expected[2], atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_compiled_stop_is_the_planned_stop(seed: int) -> None:
    """From any speed and acceleration the same motion, equally long."""
    rng = np.random.default_rng(seed)
    start = np.array([
        READY, rng.uniform(-1, 1, 7) * PLANNER.max_velocity * rng.choice([0.0, 0.05, 1.0], 7),
        rng.uniform(-1, 1, 7) * PLANNER.max_acceleration * rng.choice([0.0, 0.1, 1.0], 7)])
    planned = PLANNER.plan_stop(tuple(start.tolist())).trajectory
    table, state = np.empty((7, 10, 5)), np.empty((3, 7))
    duration_s = write_stop(
        start, PLANNER.max_acceleration, PLANNER.max_jerk, np.empty((7, 18)), table)
    assert abs(duration_s - planned.duration) < 1e-9
    for time_s in np.linspace(0.0, planned.duration, 15):
        state_at(table, time_s, state)
        np.testing.assert_allclose(state[:2], planned.at_time(time_s)[:2], atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_compiled_clearances_are_those_of_pinocchio_or_less(seed: int) -> None:
    """Equal where the arm is near itself or a plane, never more, a little less at the base."""
    rng, guard = np.random.default_rng(seed), _guard()
    q = rng.uniform(LIMITS.position_lower, LIMITS.position_upper)
    found = guard.clearances(q)
    expected = [guard.region_clearances(q), *guard.body_clearances(q).values()]
    far = 0.3 - NARROW.self_distance_m
    for index, (value, exact) in enumerate(zip(found, expected)):
        if index in (0, 1, 5):
            assert abs(value - exact) < 1e-6, index
        elif exact > 0.0:
            assert value <= exact + 1e-6, index
            below = 0.05 if index == 2 else 3e-4
            assert value >= min(exact, far) - below, index
        else:
            assert value <= 1e-6, index


def test_compiled_speed_of_the_tcp_is_that_of_pinocchio() -> None:
    """In random states."""
    rng = np.random.default_rng(1)
    arm, frames = arm_arrays(GuardConfig(), PLANNER.max_jerk), np.empty((10, 12))
    for _ in range(50):
        q, dq = rng.uniform(LIMITS.position_lower, LIMITS.position_upper), rng.normal(0, 1, 7)
        speed = kinematics(q, dq, arm[0], frames)
        assert abs(speed - np.linalg.norm(KINEMATICS.jacobian(q)[:3] @ dq)) < 1e-12
        np.testing.assert_allclose(frames[9, :3], KINEMATICS.forward(q)[:3], atol=1e-12)
