# SPDX-License-Identifier: Apache-2.0
"""A policy tick may be done in two halves; whatever stops the arm in between drops the second."""

from controller_rig import Rig, TICK_S
import numpy as np
import pytest

STOPS = {
    'hold': lambda rig: rig.controller.hold('asked for'),
    'fault': lambda rig: rig.controller.fault('broken'),
    'robot': lambda rig: rig.controller.on_robot('robot_mode is reflex'),
    'dead man': lambda rig: rig.controller.on_deadman(False, rig.now_s),
    'end': lambda rig: rig.controller.stop_episode(),
    'new start': lambda rig: rig.controller.start_episode(rig.now_s),
    'clock': lambda rig: rig.controller.heed_clock(rig.now_s - 5.0),
    'new world': lambda rig: rig.controller.reset()}


def moving_rig(**config):
    """Return a rig in motion whose next policy tick is begun."""
    rig = Rig(**config)
    rig.controller.on_deadman(True, rig.now_s)
    rig.plan((0.0, 0.06, 0.0))
    rig.run(0.2)
    rig.controller.on_deadman(True, rig.now_s)
    rig.see_arm()
    rig.controller.begin_policy_tick(rig.now_s)
    return rig


def test_halves_make_the_whole():
    halves, whole = moving_rig(), moving_rig()
    first = halves.controller.end_policy_tick(halves.now_s)
    second = whole.controller.policy_tick(whole.now_s)
    np.testing.assert_array_equal(first.command_pose, second.command_pose)
    assert first.stamp_s == second.stamp_s and first.ik_converged
    commands = [[rig.controller.command_tick(TICK_S).q for _ in range(8)]
                for rig in (halves, whole)]
    np.testing.assert_array_equal(*commands)


@pytest.mark.parametrize(('late_s', 'left_s'), [(0.0, 0.045), (0.002, 0.043), (0.1, 0.0)])
def test_target_of_a_late_half_is_still_due_at_its_time(monkeypatch, late_s, left_s):
    rig = moving_rig()
    durations = []
    monkeypatch.setattr(
        rig.controller.arm, 'aim',
        lambda target, twist, duration_s: durations.append(duration_s) or True)
    assert rig.controller.config.aim_ahead_s == 0.05
    assert rig.controller.end_policy_tick(rig.now_s + late_s).stamp_s == rig.now_s
    assert durations == [pytest.approx(left_s)]


@pytest.mark.parametrize('stop', STOPS)
def test_what_was_decided_before_a_stop_is_dropped(stop):
    rig = moving_rig(require_deadman=True)
    STOPS[stop](rig)
    state = rig.controller.state
    assert rig.controller.end_policy_tick(rig.now_s) is None
    assert rig.controller.state is state


@pytest.mark.parametrize('stop', ['hold', 'fault', 'end', 'dead man'])
def test_arm_that_was_stopped_between_the_halves_brakes_as_after_a_whole(stop):
    halves, whole = moving_rig(require_deadman=True), moving_rig(require_deadman=True)
    whole.controller.end_policy_tick(whole.now_s)
    commands = []
    for rig in (halves, whole):
        STOPS[stop](rig)
        rig.controller.end_policy_tick(rig.now_s)
        commands.append([rig.controller.command_tick(TICK_S) for _ in range(60)])
    for command in commands:
        rest = [tick.dq for tick in command if tick is not None]
        assert np.abs(rest[0]).max() > 1e-3 and np.abs(rest[-1]).max() < 1e-9


def test_half_that_is_asked_for_twice_is_done_once():
    rig = moving_rig()
    assert rig.controller.end_policy_tick(rig.now_s) is not None
    assert rig.controller.end_policy_tick(rig.now_s) is None
