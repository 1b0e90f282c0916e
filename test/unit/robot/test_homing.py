# SPDX-License-Identifier: Apache-2.0
"""Homing keeps the limits, goes where it was checked, and does not go where it is not free."""
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.guard_config import GuardConfig
from ocrrl_ros.robot.homing import (
    HomingConfig, HomingPlanner, HomingState, JointHoming)
from ocrrl_ros.robot.homing_clearance import ArmClearance
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.robot_config import RobotConfig
import pytest

READY = np.array(READY_POSITION)
LIMITS = JointLimits.for_image()
KINEMATICS = FrankaKinematics()
CLEARANCE = ArmClearance()
PLANNER = HomingPlanner()
GUARDED = PLANNER.make_shaper()
TICK_S = 0.005


def is_guarded(q):
    """Return whether the shipped guards let the arm be there."""
    try:
        GUARDED.seed(q)
    except InputError:
        return False
    return True


def random_starts(count):
    """Return random configurations (count, 7) that are free and inside the shipped guards."""
    rng = np.random.default_rng(3)
    found = []
    while len(found) < count:
        q = rng.uniform(LIMITS.position_lower, LIMITS.position_upper)
        if CLEARANCE(q) is None and is_guarded(q):
            found.append(q)
    return found


def planner(is_free=None, config=None, **guard):
    """Return a planner for a cell with these guards."""
    robot = RobotConfig(guard=GuardConfig(**guard))
    return HomingPlanner(robot, config, is_free)


def low(z_m=0.05):
    """Return a configuration with the TCP low over the table."""
    pose = KINEMATICS.forward(READY)
    pose[:3] = 0.5, 0.1, z_m
    q, converged = KINEMATICS.solve(pose, READY, iterations=200)
    assert converged
    return q


def run(homing, q, follow=lambda q_command: q_command, limit_s=30.0, at=None):
    """Carry a motion out and return times and commands; ``at`` maps a time to what to do."""
    now_s, rows, todo = 7.0, [], dict(at or {})
    while now_s < 7.0 + limit_s:
        for due_s in [due_s for due_s in todo if now_s - 7.0 >= due_s]:
            todo.pop(due_s)()
        command = homing.tick(now_s, q)
        if command is None:
            return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        rows.append(command)
        q = follow(command[0])
        now_s += TICK_S
    raise AssertionError('homing does not end')


def check_limits(q, dq, scale=1.0):
    """Check commands at every tick against the robot's limits, by differences too."""
    lower, upper = LIMITS.velocity_bounds(q)
    assert (q >= LIMITS.position_lower).all() and (q <= LIMITS.position_upper).all()
    assert (dq >= lower - 1e-6).all() and (dq <= upper + 1e-6).all()
    speed = np.diff(q, axis=0) / TICK_S
    assert (np.abs(speed) <= scale * 0.5 * LIMITS.velocity + 1e-6).all()
    np.testing.assert_allclose(
        speed, 0.5 * (dq[1:] + dq[:-1]), atol=0.5 * LIMITS.jerk[0] * TICK_S ** 2)
    acceleration = np.diff(dq, axis=0) / TICK_S
    assert (np.abs(acceleration) <= 0.8 * LIMITS.acceleration + 1e-6).all()
    assert (np.abs(np.diff(acceleration, axis=0)) / TICK_S <= LIMITS.jerk).all()


@pytest.mark.parametrize('start', random_starts(12), ids=range(12))
def test_any_free_start_comes_home_within_the_limits_or_is_refused(start):
    homing = JointHoming(PLANNER)
    if not homing.start(start, 7.0):
        assert homing.state is HomingState.FAILED and 'no free way home' in homing.reason
        assert homing.tick(7.0, start) is None
        return
    q, dq = run(homing, start)
    assert homing.state is HomingState.DONE
    np.testing.assert_allclose(q[0], start, atol=1e-12)
    np.testing.assert_allclose(q[-1], READY, atol=1e-6)
    check_limits(q, dq, 0.3)
    # Every twentieth command, where the planner has looked at other ones.
    assert all(CLEARANCE(position) is None for position in q[7::20])


def test_most_random_starts_have_a_way():
    assert sum(JointHoming(PLANNER).start(q, 0.0) for q in random_starts(12)) >= 10


def test_what_is_carried_out_is_what_was_checked():
    start = low()
    plan = PLANNER.plan(start)
    homing = JointHoming(PLANNER)
    assert homing.start(start, 7.0)
    q, _ = run(homing, start)
    assert len(plan.waypoints) == 2
    for i in range(0, len(plan.q), 5):
        assert np.abs(q - plan.q[i]).max(axis=1).min() < 2e-3


def test_low_tcp_rises_before_it_goes_home():
    plan = PLANNER.plan(low())
    heights = np.array([KINEMATICS.forward(q)[:3] for q in plan.q])
    top = np.flatnonzero(np.abs(plan.q - plan.waypoints[0]).max(axis=1) < 1e-6)[0]
    assert heights[top, 2] == pytest.approx(0.05 + 0.15, abs=1e-3)
    np.testing.assert_allclose(heights[:top, :2], heights[0, :2] + 0 * heights[:top, :2],
                               atol=0.03)
    assert heights[:, 2].min() > 0.045


def wall(q):
    """Block the way near the middle of the table."""
    x, y, z = KINEMATICS.forward(q)[:3]
    return 'the TCP meets a wall' if 0.32 < x < 0.42 and z < 0.45 else None


def test_blocked_way_is_refused_with_what_blocks_each():
    homing = JointHoming(HomingPlanner(is_free=wall))
    assert not homing.start(low(), 0.0)
    assert homing.state is HomingState.FAILED
    assert homing.reason.count('the TCP meets a wall') == 2
    assert 'directly' in homing.reason and 'raised by 0.15 m' in homing.reason
    assert homing.tick(0.0, low()) is None


def test_other_way_is_taken_where_the_first_is_blocked():
    start = low()
    first, second = PLANNER.plan(start), HomingPlanner(config=HomingConfig(lift_m=0.0)).plan(start)
    assert (len(first.waypoints), len(second.waypoints)) == (2, 1)
    apart = np.abs(second.q - first.waypoints[0]).max(axis=1).min()

    def lid(q):
        return 'a lid' if np.abs(q - first.waypoints[0]).max() < 0.5 * apart else None

    plan = HomingPlanner(is_free=lid).plan(start)
    np.testing.assert_array_equal(plan.q, second.q)


def test_way_is_looked_at_as_closely_as_set():
    looked = []
    config = HomingConfig(check_step_rad=0.005, lift_m=0.0)
    HomingPlanner(config=config, is_free=looked.append).plan(READY + 0.2)
    assert np.abs(np.diff(looked[2:], axis=0)).max() <= 0.005 + 1e-9


def test_start_that_is_not_free_is_refused():
    homing = JointHoming(PLANNER)
    assert not homing.start(low(-0.02), 0.0)
    assert 'cannot start' in homing.reason and 'table' in homing.reason


@pytest.mark.parametrize('q', [np.full(7, np.nan), np.zeros(6)])
def test_unusable_start_is_refused(q):
    with pytest.raises(InputError, match='7 finite numbers'):
        PLANNER.plan(q)


def test_start_outside_the_joint_limits_is_refused():
    start = READY.copy()
    start[0] = LIMITS.position_upper[0] + 0.05
    with pytest.raises(InputError, match='outside the joint limits'):
        HomingPlanner(is_free=lambda q: None).plan(start)


def test_arm_that_does_not_follow_is_stopped_and_named():
    homing = JointHoming(PLANNER)
    start = READY + np.array([0.8, 0, 0, 0, 0, 0, 0])
    assert homing.start(start, 7.0)
    q, dq = run(homing, start, follow=lambda q_command: start)
    assert homing.state is HomingState.FAILED
    assert 'joint 1 is 0.3' in homing.reason
    assert np.abs(q[-1] - READY).max() > 0.3
    np.testing.assert_array_equal(np.abs(dq[-1]) < 1e-9, True)
    check_limits(q, dq)


def test_stop_brakes_within_the_limits_and_a_new_start_waits_for_it():
    homing = JointHoming(PLANNER)
    start, states = READY + 0.3, []

    def stop():
        homing.stop('hold')
        states.append((homing.is_busy, homing.start(start, 8.0)))

    assert homing.start(start, 7.0)
    q, dq = run(homing, start, at={0.5: stop})
    assert states == [(True, False)]
    assert (homing.state, homing.reason, homing.is_busy) == (HomingState.FAILED, 'hold', False)
    assert np.abs(q[-1] - READY).max() > 0.05
    check_limits(q, dq)
    assert homing.start(q[-1], 9.0)


def test_lost_joint_state_stops_the_motion():
    homing = JointHoming(PLANNER)
    assert homing.start(READY + 0.3, 7.0)
    run(homing, READY + 0.3, follow=lambda q_command: None)
    assert homing.reason == 'homing stopped: no fresh joint state'


def test_arm_that_stays_beside_home_is_named():
    homing = JointHoming(PLANNER)
    start = READY + 0.2
    assert homing.start(start, 7.0)
    q, _ = run(homing, start, follow=lambda q_command: q_command + 0.1)
    assert homing.state is HomingState.FAILED
    assert 'homing ended 0.100 rad from home' in homing.reason
    np.testing.assert_allclose(q[-1], READY, atol=1e-6)


def test_arm_at_home_is_done_at_once():
    homing = JointHoming(HomingPlanner(config=HomingConfig(lift_m=0.0)))
    assert homing.start(READY, 7.0)
    q, _ = run(homing, READY)
    assert homing.state is HomingState.DONE and len(q) <= 3


@pytest.mark.parametrize('setting, value', [
    ('speed_scale', 0.0), ('lift_m', 2.0), ('check_step_rad', 0.0), ('tolerance_rad', np.nan),
    ('q_home', (0.0,) * 6)])
def test_impossible_setting_is_named(setting, value):
    with pytest.raises(ConfigError, match=setting):
        HomingConfig(**{setting: value})


@pytest.mark.parametrize('q_home, words', [
    ((2.89, *READY_POSITION[1:]), 'allowed'),
    (tuple(low(-0.05)), 'too close to table')])
def test_impossible_home_is_named(q_home, words):
    with pytest.raises(ConfigError, match=f'q_home.*{words}'):
        HomingPlanner(config=HomingConfig(q_home=q_home))


@pytest.mark.parametrize('q, words', [
    ((0.0, -0.3, 0.0, -3.0, 0.0, 0.6, 0.8), 'fr3_hand'),
    (tuple(low(-0.02)), 'too close to table'), (READY_POSITION, None)])
def test_clearance_knows_the_arm_and_the_table(q, words):
    found = CLEARANCE(np.array(q))
    assert found is None if words is None else words in found


def test_higher_table_is_nearer():
    assert CLEARANCE(low(0.03)) is None
    assert 'table' in ArmClearance(table_z_m=0.03)(low(0.03))


def test_tables_reach_the_arm_from_link_3_on():
    assert ArmClearance(table_z_m=0.15)(READY) is None
    assert 'table' in ArmClearance(table_z_m=0.15)(low(0.1))


@pytest.mark.parametrize('start, words, guard', [
    (low(), 'minimum height', {'minimum_height_m': 0.08}),
    (low(), 'body height', {'body_height_m': 0.25}),
    (READY + [0.9, 0, 0, 0, 0, 0, 0], 'keep-out plane 0',
     {'keep_out_planes': ((0.0, 0.2, 0.0, 0.0, -1.0, 0.0),)}),
    (low(), 'workspace box', {'workspace_lower_m': (0.0, -0.7, 0.2)})])
def test_a_start_that_breaks_a_guard_is_refused_by_its_name(start, words, guard):
    with pytest.raises(InputError, match=f'refused: .*{words}'):
        planner(lambda q: None, **guard).plan(start)


def test_a_table_of_another_height_is_that_of_the_guard():
    below = low(-0.05)
    with pytest.raises(InputError, match='table'):
        PLANNER.plan(below)
    pedestal = planner(
        body_height_m=-0.3, minimum_height_m=-0.28, workspace_lower_m=(0.0, -0.7, -0.4))
    assert len(pedestal.plan(below).waypoints) == 2
    with pytest.raises(InputError, match='table'):
        planner(body_height_m=0.2).plan(low(0.1))


def test_a_way_across_a_keep_out_plane_is_refused_though_both_ends_are_inside():
    pose = KINEMATICS.forward(READY)
    pose[0] += 0.25
    reach, _ = KINEMATICS.solve(pose, READY, iterations=200)
    start, home = reach.copy(), reach.copy()
    start[0], home[0] = 1.2, -1.2
    config = HomingConfig(q_home=tuple(home), lift_m=0.0)
    free = planner(lambda q: None, config)
    assert max(KINEMATICS.forward(q)[0] for q in free.plan(start).q) > 0.5
    narrow = planner(lambda q: None, config, keep_out_planes=((0.45, 0.0, 0.0, -1.0, 0.0, 0.0),))
    with pytest.raises(InputError, match='directly: .*keep-out plane 0.* allow no motion'):
        narrow.plan(start)


def test_the_tcp_is_no_faster_than_its_guard_allows():
    start = READY + 0.3
    config = HomingConfig(lift_m=0.0)
    slow, free = planner(config=config, tcp_speed_m_s=0.1), planner(config=config)
    speeds = [np.linalg.norm([KINEMATICS.jacobian(q)[:3] @ dq for q, dq in zip(plan.q, plan.dq)],
                             axis=1).max() for plan in (slow.plan(start), free.plan(start))]
    assert speeds[0] <= 0.1 + 1e-9 < 0.15 < speeds[1]
    homing = JointHoming(slow)
    assert homing.start(start, 7.0)
    q, dq = run(homing, start)
    assert homing.state is HomingState.DONE
    assert max(np.linalg.norm(KINEMATICS.jacobian(a)[:3] @ b) for a, b in zip(q, dq)) <= 0.1 + 1e-9


def test_the_smaller_of_both_speed_scales_counts_from_the_next_way_on():
    def peak(homing):
        assert homing.start(READY + 0.3, 7.0)
        _, dq = run(homing, READY + 0.3)
        assert homing.state is HomingState.DONE
        return np.abs(dq / GUARDED.max_velocity).max()

    homing = JointHoming(HomingPlanner(config=HomingConfig(lift_m=0.0)))
    assert peak(homing) == pytest.approx(0.3, abs=0.01)
    for scale, expected in ((0.1, 0.1), (0.04, 0.04), (1.0, 0.3)):
        homing.limit_speed(scale)
        assert peak(homing) == pytest.approx(expected, abs=0.01)


def test_a_home_that_breaks_a_guard_is_named():
    with pytest.raises(ConfigError, match='q_home.*workspace box'):
        planner(workspace_lower_m=(0.4, -0.7, -0.15))


def test_a_command_that_is_refused_on_the_way_ends_the_motion():
    homing = JointHoming(PLANNER)
    homing._shaper = planner(
        lambda q: None, workspace_upper_m=(0.85, 0.2, 1.0)).make_shaper()
    assert homing.start(READY + 0.05, 7.0)
    homing._waypoints[0] = READY + [1.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    homing._head_for_waypoint()
    run(homing, READY + 0.05)
    assert homing.state is HomingState.FAILED and 'homing stopped: workspace box' in homing.reason


def test_a_command_that_rests_on_the_way_ends_the_motion():
    homing = JointHoming(PLANNER)
    assert homing.start(READY + 0.3, 7.0)
    # As where no proof of the rest of the way was found in time.
    run(homing, READY + 0.3, at={0.3: homing._shaper.stop})
    assert homing.state is HomingState.FAILED and 'rests on the way' in homing.reason
