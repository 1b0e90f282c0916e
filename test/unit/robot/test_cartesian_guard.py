# SPDX-License-Identifier: Apache-2.0
"""Nothing that a guard forbids is commanded, and what is refused names its guard."""

from __future__ import annotations

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.se3 import pose
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot import clearance, fr3
from ocrrl_ros.robot.clearance import arm_arrays
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.guard_config import GuardConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.self_collision import BodyModel, PARTS
import pytest

READY = np.array(fr3.READY_POSITION)
KINEMATICS = FrankaKinematics()
LIMITS = JointLimits.for_image()
START = KINEMATICS.forward(READY)
STILL = np.zeros(6)


def _follower(**guard) -> TargetFollower:
    """Return a guarded follower that rests in the ready posture."""
    follower = TargetFollower(
        KINEMATICS, CommandShaper(LIMITS, None, GuardConfig(**guard), KINEMATICS))
    follower.seed(READY)
    return follower


def _at(x: float, y: float, z: float) -> np.ndarray:
    """Return an upright TCP pose."""
    return pose(np.array([x, y, z]), START[3:])


def _drive(follower: TargetFollower, target: np.ndarray, seconds: float = 1.5) -> np.ndarray:
    """Aim at 50 Hz and return the commanded positions (N, 7), 5 ms apart."""
    rows = []
    for _ in range(round(seconds / 0.02)):
        follower.aim(target, STILL, 0.02)
        rows += [follower.sample(0.005)[0] for _ in range(4)]
    return np.array(rows)


def _random_postures(count: int, seed: int = 0) -> np.ndarray:
    """Return joint positions (count, 7) within the limits."""
    return np.random.default_rng(seed).uniform(
        LIMITS.position_lower, LIMITS.position_upper, (count, 7))


def test_compiled_motion_of_the_tcp_is_that_of_pinocchio() -> None:
    """Position and speed agree in random states."""
    guard = _follower().shaper.guard
    rng = np.random.default_rng(1)
    for q in _random_postures(50):
        dq = rng.normal(0.0, 1.0, 7)
        expected = np.linalg.norm(KINEMATICS.jacobian(q)[:3] @ dq)
        assert guard.tcp_speeds(q, dq) == pytest.approx(expected, abs=1e-12)
        planes = GuardConfig().planes()
        position = KINEMATICS.forward(q)[:3]
        assert guard.region_clearances(q) == pytest.approx(
            min(np.dot(normal, position) - offset for normal, offset, _ in planes), abs=1e-12)


def test_no_clearance_changes_faster_than_its_weights_say() -> None:
    """The bounds that paths are checked with hold between random neighbours."""
    guard = _follower(
        minimum_height_m=0.1, body_height_m=0.1, min_singular_value=0.01,
        keep_out_planes=((-0.4, 0.0, 0.0, 1.0, 0.3, 0.2),)).shaper.guard
    rng = np.random.default_rng(2)
    weights = arm_arrays(guard.config, np.zeros(7))[6]
    shares = np.zeros(len(weights))
    for q in _random_postures(400):
        step = rng.normal(0.0, 0.02, 7) * (rng.random(7) < 0.5)
        # Solids are told to 0.2 mm.
        change = np.abs(guard.clearances(q + step) - guard.clearances(q)) - 1e-4
        shares = np.maximum(shares, change / np.maximum(weights @ np.abs(step), 1e-9))
    assert (shares <= 1.0).all(), shares
    assert (shares > 0.2).all(), shares


def test_joint_reaches_cover_the_tcp_and_are_tight() -> None:
    """Random postures come near each, and never beyond."""
    reach = np.array(clearance.TCP_REACH_M)
    seen = np.max([
        np.linalg.norm(KINEMATICS.jacobian(q)[:3], axis=0) for q in _random_postures(500)], axis=0)
    assert (seen <= reach + 1e-9).all(), seen
    assert (seen >= 0.9 * reach).all(), seen
    assert (np.array(clearance.BODY_REACH_M) >= reach).all()


@pytest.mark.parametrize(('guard', 'target', 'axis', 'sign', 'border'), [
    ({'workspace_upper_m': (0.6, 0.7, 1.0)}, (0.8, 0.0, 0.45), 0, -1.0, 0.6),
    ({'workspace_lower_m': (0.0, -0.1, -0.05)}, (0.45, -0.4, 0.45), 1, 1.0, -0.1),
    ({'minimum_height_m': 0.3}, (0.45, 0.0, 0.0), 2, 1.0, 0.3),
    ({'keep_out_planes': ((0.0, 0.15, 0.0, 0.0, -2.0, 0.0),)}, (0.4, 0.5, 0.5), 1, -1.0, 0.15)])
def test_targets_outside_are_moved_to_the_border(guard, target, axis, sign, border) -> None:
    """The arm goes to the border's inside and stays there; elsewhere nothing is moved."""
    follower = _follower(**guard)
    rows = _drive(follower, _at(*target), 2.5)
    ends = np.array([KINEMATICS.forward(q)[axis] for q in rows])
    assert (sign * ends >= sign * border).all()
    assert follower.clipped_targets > 0
    if not guard.get('keep_out_planes'):
        assert abs(ends[-1] - border) < 0.01
    inside = _at(0.35, 0.0, 0.55)
    assert follower.shaper.guard.clipped(inside) is inside


def test_fast_goal_is_slowed_down_and_still_reached() -> None:
    """A quarter of a metre per second, where the joints alone would give more."""
    guarded, free = _follower(tcp_speed_m_s=0.25), _follower()
    goal = READY + np.array([0.6, 0.2, 0.0, 0.2, 0.0, 0.0, 0.0])
    peaks = []
    for follower in (guarded, free):
        shaper = follower.shaper
        assert shaper.set_goal(goal) == (follower is free)
        states = [shaper.sample(0.002) for _ in range(3000)]
        peaks.append(max(shaper.guard.tcp_speeds(q, dq) for q, dq, _ in states))
        np.testing.assert_allclose(shaper.q, goal, atol=1e-6)
    assert 0.1 < peaks[0] <= 0.25 < 0.4 < peaks[1]
    assert guarded.shaper.guard_counts == {'TCP speed': 1}


@pytest.mark.parametrize(('goal', 'name', 'guard'), [
    ([0.0, -0.5, 0.0, -2.9, 0.0, 0.6, 0.8], 'self-collision', {'self_distance_m': 0.05}),
    ([0.0, 0.9, 0.0, -0.2, 0.0, 1.6, 0.8], 'singularity', {'min_singular_value': 0.1}),
    ([0.0, 0.9, 0.0, -1.8, 0.0, 2.6, 0.8], 'body height',
     {'body_height_m': 0.3, 'minimum_height_m': -0.14})])
def test_goal_that_cannot_be_moved_is_refused_by_name(goal, name, guard) -> None:
    """The arm brakes, every posture on the way is allowed, and the way back is open."""
    shaper = _follower(**guard).shaper
    assert not shaper.set_goal(np.array(goal))
    assert shaper.refusal.startswith(name), shaper.refusal
    assert shaper.guard_counts[name] == 1
    for share in np.linspace(0.05, 1.0, 20):
        shaper.set_goal(READY + share * (goal - READY))
        for _ in range(100):
            q = shaper.sample(0.005)[0]
            assert min(shaper.guard.body_clearances(q).values()) >= 0.0
    assert shaper.refusal
    shaper.sample(2.0)
    assert shaper.set_goal(READY)
    shaper.sample(5.0)
    np.testing.assert_allclose(shaper.q, READY, atol=1e-6)


def test_stop_that_would_leave_the_workspace_begins_where_it_does_not() -> None:
    """Two joints hold the TCP at a wall; each stopping by itself would carry it through."""
    free = _follower().shaper
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(300):
        free.seed(READY)
        free.set_goal(READY + rng.normal(0.0, 0.6, 7))
        free.sample(0.15)
        plan, begin_s = free._plan, free._time_s
        free.stop()
        stop = free._plan.trajectory
        path = [plan.trajectory.at_time(begin_s + t)[0] for t in np.linspace(-begin_s, 3, 600)]
        stopping = [stop.at_time(t)[0] for t in np.linspace(0, stop.duration, 60)]
        low, lowest = (
            min(KINEMATICS.forward(np.array(q))[2] for q in part) for part in (path, stopping))
        if low - lowest < 0.006:
            continue
        guarded = _follower(minimum_height_m=low - 0.003).shaper
        if not guarded.set_goal(np.array(plan.trajectory.at_time(9.0)[0])):
            continue
        found += 1
        guarded.sample(0.15)
        guarded.stop()
        assert guarded.late_stops == 1
        heights = []
        for _ in range(1000):
            heights.append(KINEMATICS.forward(guarded.sample(0.005)[0])[2])
        assert min(heights) >= low - 0.003
        assert guarded.is_at_rest
    assert found > 0


def test_start_that_a_guard_forbids_is_refused_by_name() -> None:
    """Outside the box, and inside but too fast to stay there."""
    shaper = _follower(workspace_upper_m=(0.5, 0.7, 1.0)).shaper
    q, _ = KINEMATICS.solve(_at(0.6, 0.0, 0.5), READY, iterations=50)
    with pytest.raises(InputError, match='workspace box .upper x.'):
        shaper.seed(q)
    np.testing.assert_array_equal(shaper.q, READY)
    q, _ = KINEMATICS.solve(_at(0.495, 0.0, 0.5), READY, iterations=50)
    shaper.seed(q)
    with pytest.raises(InputError, match='workspace box .upper x.'):
        shaper.seed(q, KINEMATICS.joint_velocity(q, np.array([0.3, 0, 0, 0, 0, 0])))


def test_guards_that_do_not_act_leave_every_bit_of_the_command() -> None:
    """The same goals with and without guards give the same numbers."""
    plain, guarded = CommandShaper(LIMITS), _follower().shaper
    plain.seed(READY)
    rng = np.random.default_rng(4)
    for _ in range(60):
        goal, speed = READY + rng.normal(0.0, 0.02, 7), rng.normal(0.0, 0.1, 7)
        for shaper in (plain, guarded):
            shaper.set_goal(goal, speed, 0.05)
        for one, other in zip(plain.sample(0.02), guarded.sample(0.02)):
            np.testing.assert_array_equal(one, other)
    assert not guarded.guard_counts


def test_primitive_model_sees_the_hand_at_the_forearm_and_the_table() -> None:
    """The ready posture is free; a folded wrist is not; a plane is named."""
    models = {part.links: BodyModel(KINEMATICS.model, GuardConfig().body_planes(), part)
              for part in PARTS}
    assert all(model.distance(READY) > 0.05 for model in models.values())
    folded = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 0.45, 2.356])
    assert models[4, 8].distance(folded) < 0.0
    assert 'fr3_link5 and fr3_hand' in models[4, 8].describe(folded)
    low, _ = KINEMATICS.solve(_at(0.5, 0.0, 0.1), READY, iterations=50)
    hand = KINEMATICS.frame_pose(low, fr3.HAND_FRAME)[2]
    assert models[None].distance(low) == pytest.approx(hand - 0.066, abs=3e-3)
    assert models[None].describe(low) == 'body height (fr3_hand)'


@pytest.mark.parametrize(('change', 'words'), [
    ({'tcp_speed_m_s': 4.0}, 'tcp_speed_m_s is 4.0 m/s'),
    ({'workspace_lower_m': (0.9, 0.0, 0.0)}, 'leaves no room'),
    ({'minimum_height_m': 0.995}, 'leaves no room'),
    ({'keep_out_planes': ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0),)}, 'normal that is not zero'),
    ({'self_distance_m': -1.0}, 'self_distance_m is -1.0 m'),
    ({'min_singular_value': 0.5}, 'min_singular_value is 0.5'),
    ({'goal_reserve_m': 0.0}, 'goal_reserve_m is 0.0 m'),
    ({'body_height_m': np.nan}, 'body_height_m is nan m')])
def test_settings_that_leave_no_room_are_refused(change, words) -> None:
    """The message names the value."""
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(GuardConfig(), **change)
