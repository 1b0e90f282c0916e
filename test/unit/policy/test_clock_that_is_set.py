# SPDX-License-Identifier: Apache-2.0
"""A clock that is set, back or forward, stops the arm at most until inputs are fresh again."""
from controller_rig import Rig, START, TICK_S
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.clock_watch import ClockWatch
from ocrrl_ros.policy.command_clock import CommandClock
from ocrrl_ros.policy.controller import ControllerState
from ocrrl_ros.policy.episode_clock import EpisodeClock
from ocrrl_ros.policy.replanning import ReplanConfig, Replanner
import pytest


def test_motion_goes_on_by_one_period_when_the_clock_is_set_and_late_ticks_keep_their_time():
    clock = CommandClock(0.005)
    times_s = [10.0, 10.005, 10.013, 11.013, 11.018, 5.0, 5.005]
    steps = [clock.step(time_s) for time_s in times_s]
    assert steps == pytest.approx([0.0, 0.005, 0.008, 0.005, 0.005, 0.005, 0.005])


def test_a_loop_slower_than_any_late_tick_keeps_its_time():
    clock = CommandClock(0.1)
    assert [clock.step(time_s) for time_s in (0.0, 0.1, 0.18)] == pytest.approx([0.0, 0.1, 0.08])


def test_a_slewed_clock_is_not_taken_for_one_that_was_set_back():
    watch = ClockWatch(0.2)
    assert [watch.went_back(time_s) for time_s in (5.0, 5.1, 5.09, 5.2)] == [0.0] * 4
    assert watch.went_back(4.2) == pytest.approx(1.0)
    assert watch.went_back(4.3) == 0.0


def test_stamps_ahead_of_the_clock_are_refused_once_there_is_a_clock():
    watch = ClockWatch(0.2)
    watch.check('x', 100.0)
    watch.start(10.0)
    watch.check('x', 10.2)
    with pytest.raises(InputError, match=r'x is 0\.300 s ahead of the clock, allowed: 0\.2 s'):
        watch.check('x', 10.3)


def settled_rig(**config):
    """Return a rig that follows a chunk."""
    rig = Rig(**config)
    rig.controller.on_deadman(True, rig.now_s)
    rig.plan()
    rig.run(0.1)
    assert rig.controller.state is ControllerState.RUNNING_BASE
    return rig


def set_clock(rig, by_s):
    """Set the clock and let a policy tick see it before anything new arrives."""
    rig.now_s += by_s
    rig.controller.policy_tick(rig.now_s)
    return rig.controller


@pytest.mark.parametrize('by_s', [-1.0, -3600.0])
def test_a_clock_set_back_holds_until_all_inputs_are_of_the_new_time(by_s):
    rig = settled_rig()
    controller = set_clock(rig, by_s)
    assert controller.state is ControllerState.HOLDING
    assert 'the clock went back by' in controller.reason
    rig.run(0.1)
    assert controller.reason == 'no chunk from the base policy yet'
    rig.plan()
    rig.run(0.1)
    assert controller.state is ControllerState.RUNNING_BASE


def test_stamps_of_the_old_time_are_refused_while_the_clock_is_back():
    rig = settled_rig()
    old_s = rig.now_s
    controller = set_clock(rig, -1.0)
    with pytest.raises(InputError, match='joint state is 1.000 s ahead'):
        controller.on_joint_state(rig.command.q, np.zeros(7), old_s)
    with pytest.raises(InputError, match='object cube is 1.000 s ahead'):
        controller.on_object_pose('cube', START, np.zeros(36), old_s)
    assert 'from the future' in rig.plan(stamp_s=old_s)
    controller.policy_tick(rig.now_s + TICK_S)
    assert controller.state is ControllerState.HOLDING


def test_a_clock_set_forward_holds_until_inputs_are_of_the_new_time():
    rig = settled_rig()
    controller = set_clock(rig, 1.0)
    assert controller.state is ControllerState.HOLDING
    assert 'joint state is 1.00' in controller.reason
    rig.run(0.1)
    rig.plan()
    rig.run(0.1)
    assert controller.state is ControllerState.RUNNING_BASE


@pytest.mark.parametrize('by_s', [-1.0, -3600.0])
def test_a_clock_set_back_hides_no_dead_man_switch_that_falls_silent(by_s):
    rig = settled_rig(require_deadman=True)
    controller = set_clock(rig, by_s)
    rig.run(0.3)
    assert controller.state is ControllerState.HOLDING and controller.machine.is_latched
    assert 'dead-man switch silent' in controller.reason


@pytest.mark.parametrize('by_s', [-1.0, -3600.0])
def test_a_clock_set_back_hides_no_episode_that_falls_silent(by_s):
    rig = settled_rig(max_episode_age_s=0.5)
    rig.controller.episode.is_required = True
    rig.controller.episode.beat(rig.now_s)
    controller = set_clock(rig, by_s)
    rig.run(0.6)
    assert 'episode/state silent' in controller.reason


def test_a_person_s_last_target_does_not_outlast_a_clock_set_back():
    rig = settled_rig()
    rig.controller.takeover.on_target(START, rig.now_s)
    rig.run(0.05)
    assert rig.controller.state is ControllerState.TAKEOVER
    set_clock(rig, -3600.0)
    rig.run(0.05)
    assert rig.controller.state is ControllerState.HOLDING


def test_planning_goes_on_at_once_after_the_clock_was_set_back():
    replanner = Replanner(ReplanConfig(period_s=0.4, latency_s=0.0))
    replanner.set_running(True, 100.0)
    replanner.planned(ActionChunk(100.0, 0.05, np.tile(START, (2, 1)), np.ones(2)), 100.0)
    assert replanner.take_ready(100.0) is not None
    assert not replanner.wants_image(100.1)
    assert replanner.wants_image(40.0)
    assert replanner.accepts(40.0) and not replanner.accepts(39.9)


def test_an_episode_ends_in_bounded_time_whatever_the_clock_does():
    clock = EpisodeClock('cube_lift', 'lift', 15.0)
    clock.start(100.0)
    assert not clock.is_overdue(99.0)
    assert clock.is_overdue(115.0) and clock.is_overdue(-3500.0)
