# SPDX-License-Identifier: Apache-2.0
"""The deployment logic holds on every fault, names it, and is exact without a residual."""

import re

from controller_rig import FakeGate, FakeResidual, READY, Rig, START, TICK_S
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.core.se3 import pose, pose_identity
from ocrrl_ros.policy.action_chunk import ChunkConfig
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.controller import ControllerState
from ocrrl_ros.policy.plan_lead import LeadConfig
import pytest


def test_nothing_is_commanded_before_the_first_episode():
    rig = Rig(start=False)
    rig.plan()
    rig.run(0.2)
    assert rig.command is None and rig.controller.state is ControllerState.IDLE


def test_commands_end_at_rest_after_the_episode():
    rig = Rig()
    rig.plan((0.0, 0.05, 0.0))
    rig.run(0.3)
    rig.controller.stop_episode()
    last = None
    for _ in range(200):
        command = rig.controller.command_tick(TICK_S)
        last = command if command is not None else last
    assert command is None and np.abs(last.dq).max() < 1e-9


def test_commands_follow_the_chunk():
    rig = Rig()
    rig.plan((0.0, 0.0, -0.03))
    rig.run(0.7)
    assert np.allclose(rig.tcp()[:3], START[:3] + [0, 0, -0.03 * 0.7 / 0.75], atol=0.003)


def test_disabled_residual_leaves_the_base_bit_for_bit():
    rig = Rig(FakeResidual())
    rig.controller.set_enabled(False)
    rig.plan(opening=0.8)
    rig.run(0.3)
    assert rig.actions
    for action in rig.actions:
        assert (action.command_pose == action.base_pose).all() and action.gain == 0.0
        assert action.command_gripper == action.base_gripper


def test_enabled_residual_offsets_the_target_and_flips_the_gripper():
    rig = Rig(FakeResidual(), chunk=ChunkConfig(lead=LeadConfig(rest_m=1.0)))
    rig.see_cube()
    rig.plan((0.0, 0.0, 0.0))
    rig.run(0.6)
    assert np.allclose(rig.tcp()[:3] - START[:3], [0.02, 0, 0], atol=0.002)
    assert rig.command.gripper == 0.0


@pytest.mark.parametrize(('is_on', 'lead_m'), [(True, 0.01), (False, 0.2)])
def test_plan_waits_for_an_arm_that_is_held_back_while_the_residual_acts(is_on, lead_m):
    rig = Rig(FakeResidual())
    rig.controller.set_enabled(is_on)
    rig.plan((0.0, 0.3, 0.0))
    for _ in range(100):
        rig.see_arm(READY)
        rig.see_cube()
        rig.run(TICK_S, see_arm=False)
    # Poses fade in at the start.
    leads = [np.linalg.norm(action.base_pose[:3] - START[:3]) for action in rig.actions[65:]]
    assert max(leads) == pytest.approx(lead_m, abs=0.02 if lead_m > 0.1 else 1e-6)


def test_residual_wins_against_a_base_that_leads_away_from_it_for_good():
    # The base heads along y at 0.1 m/s; in the frame of a hand that points down that is -y.
    for lead, wins in ((LeadConfig(), True), (LeadConfig(rest_m=1.0), False)):
        rig = Rig(FakeResidual((0, 1.0, 0, 0, 0, 0, 0)), chunk=ChunkConfig(lead=lead))
        rig.see_cube()
        rig.plan((0.0, 0.08, 0.0))
        rig.run(0.7)
        assert bool(rig.tcp()[1] < -0.02) is wins


def test_operator_gain_scales_the_residual():
    rig = Rig(FakeResidual(), residual_gain=0.25)
    rig.see_cube()
    rig.plan((0.0, 0.0, 0.0))
    rig.run(0.6)
    assert np.allclose(rig.tcp()[0] - START[0], 0.005, atol=0.001)


def test_gate_weighs_the_residual_and_its_weight_is_told():
    gate = FakeGate(0.5)
    rig = Rig(FakeResidual(), gate=gate, residual_gain=0.5)
    rig.see_cube()
    rig.plan((0.0, 0.0, 0.0))
    rig.run(0.6)
    assert gate.resets == 1
    assert rig.actions[-1].gain == 0.5
    assert rig.actions[-1].weight == 0.5
    assert np.allclose(rig.tcp()[0] - START[0], 0.005, atol=0.001)


def test_closed_gate_is_exactly_the_base_and_none_is_a_weight_of_one():
    for gate, weight in ((FakeGate(0.0), 0.0), (None, 1.0)):
        rig = Rig(FakeResidual(), gate=gate)
        rig.see_cube()
        rig.plan((0.0, 0.0, 0.0))
        rig.run(0.1)
        action = rig.actions[-1]
        assert action.weight == weight
        assert (action.command_pose == action.base_pose).all() == (weight == 0.0)


def test_ended_chunk_stops_the_arm_and_a_new_one_moves_it_again():
    rig = Rig()
    rig.plan((0.0, 0.05, 0.0))
    rig.run(1.3)
    assert rig.controller.state is ControllerState.HOLDING
    assert 'stale' in rig.controller.reason
    assert np.abs(rig.command.dq).max() < 1e-6
    rig.plan((0.0, 0.08, 0.0))
    rig.run(0.3)
    assert rig.controller.state is ControllerState.RUNNING_BASE
    assert np.abs(rig.command.dq).max() > 1e-3


def test_silent_arm_stops_the_motion_and_is_named():
    rig = Rig()
    rig.plan((0.0, 0.05, 0.0))
    rig.run(0.2)
    rig.run(0.4, see_arm=False)
    assert rig.controller.state is ControllerState.HOLDING
    assert 'joint state' in rig.controller.reason
    assert np.abs(rig.command.dq).max() < 1e-6


def test_chunks_of_before_the_start_are_dropped():
    rig = Rig()
    assert 'older than the episode' in rig.plan(stamp_s=9.9)


def test_new_instruction_drops_the_plan():
    rig = Rig()
    rig.plan()
    rig.run(0.1)
    rig.controller.on_instruction(rig.now_s)
    rig.run(0.1)
    assert rig.controller.state is ControllerState.HOLDING


def test_start_without_a_fresh_arm_state_is_refused():
    rig = Rig(start=False)
    with pytest.raises(InputError, match='cannot start'):
        rig.controller.start_episode(rig.now_s + 0.2)


def test_start_without_any_arm_state_or_outside_the_limits_is_refused_and_changes_nothing():
    controller = build_controller('cube_lift')
    with pytest.raises(InputError, match='no joint state'):
        controller.start_episode(10.0)
    rig = Rig(start=False)
    rig.see_arm(np.full(7, 3.2))
    with pytest.raises(InputError, match='joint limits'):
        rig.controller.start_episode(rig.now_s)
    assert rig.plan(stamp_s=9.9) is None
    assert rig.run(0.1).state is ControllerState.IDLE and rig.command is None


def test_refused_start_keeps_the_arm_idle_with_its_reason_until_it_starts():
    rig = Rig(start=False)
    rig.controller.refuse_start('the test says so')
    rig.plan()
    rig.run(0.1)
    assert rig.controller.state is ControllerState.IDLE and rig.command is None
    assert rig.controller.machine.start_refused and rig.controller.reason == 'the test says so'
    rig.controller.start_episode(rig.now_s)
    assert not rig.controller.machine.start_refused


def test_resume_without_an_episode_does_not_let_the_arm_move():
    rig = Rig(start=False)
    rig.controller.hold('test')
    rig.controller.resume(rig.now_s)
    rig.plan((0.0, 0.05, 0.0))
    rig.run(0.1)
    assert rig.controller.state is ControllerState.IDLE and rig.command is None


def test_gain_changes_from_the_next_policy_tick_on_and_is_checked():
    rig = Rig(FakeResidual())
    rig.see_cube()
    rig.plan((0.0, 0.0, 0.0))
    rig.run(0.4)
    rig.see_cube()
    rig.controller.set_residual_gain(0.25)
    rig.run(0.02)
    assert rig.actions[-1].gain == 0.25
    with pytest.raises(ConfigError, match='residual_gain is 1.5'):
        rig.controller.set_residual_gain(1.5)
    assert rig.controller.config.residual_gain == 0.25


def test_speed_scale_lowered_in_full_motion_brakes_within_the_limits():
    rig = Rig()
    rig.plan((0.0, 0.2, 0.0))
    rig.run(0.3)
    shaper = rig.controller.arm.follower.shaper
    before, fast = rig.command, np.abs(rig.command.dq / shaper.max_velocity).max()
    rig.controller.set_speed_scale(0.1)
    for tick in range(60):
        rig.run(TICK_S)
        change = np.abs(rig.command.dq - before.dq) / TICK_S
        assert (change <= shaper.max_acceleration + 1e-6).all()
        before = rig.command
    assert rig.controller.state is ControllerState.RUNNING_BASE
    assert 0.1 < fast and np.abs(rig.command.dq / shaper.max_velocity).max() <= 0.1 + 1e-6


def test_hold_stays_until_resume_and_needs_a_new_plan():
    rig = Rig()
    rig.plan((0.0, 0.05, 0.0))
    rig.run(0.1)
    rig.controller.hold('test')
    rig.plan((0.0, 0.05, 0.0))
    rig.run(0.3)
    assert rig.controller.machine.is_latched
    assert np.abs(rig.command.dq).max() < 1e-6
    rig.controller.resume(rig.now_s)
    rig.run(0.1)
    assert rig.controller.state is ControllerState.HOLDING
    rig.plan((0.0, 0.05, 0.0))
    rig.run(0.1)
    assert rig.controller.state is ControllerState.RUNNING_BASE


def test_lost_deadman_latches_a_hold():
    rig = Rig(require_deadman=True)
    rig.controller.on_deadman(True, rig.now_s)
    rig.plan()
    rig.run(0.1)
    assert rig.controller.state is ControllerState.RUNNING_BASE
    rig.run(0.3)
    assert rig.controller.machine.is_latched
    assert 'dead-man' in rig.controller.reason


def test_silent_episode_holds_until_it_is_heard_again():
    rig = Rig(max_episode_age_s=0.5)
    rig.controller.episode.is_required = True
    rig.controller.episode.beat(rig.now_s)
    rig.plan()
    rig.run(0.45)
    assert rig.controller.state is ControllerState.RUNNING_BASE
    rig.plan()
    rig.run(0.3)
    assert rig.controller.state is ControllerState.HOLDING
    assert re.fullmatch(r'episode/state silent for 0\.\d+ s', rig.controller.reason)
    assert np.abs(rig.command.dq).max() < 1e-6
    assert not rig.controller.machine.is_latched
    rig.controller.episode.beat(rig.now_s)
    rig.plan()
    rig.run(0.1)
    assert rig.controller.state is ControllerState.RUNNING_BASE


def test_without_an_episode_node_nothing_waits_for_one():
    rig = Rig(max_episode_age_s=0.5)
    for chunk in range(3):
        rig.plan()
        rig.run(0.3)
        assert rig.controller.state is ControllerState.RUNNING_BASE


def test_silent_episode_hides_no_dead_man_switch_that_falls_silent():
    rig = Rig(require_deadman=True, max_episode_age_s=0.5)
    rig.controller.episode.is_required = True
    rig.controller.on_deadman(True, rig.now_s)
    rig.plan()
    rig.run(0.1)
    assert rig.controller.machine.state is ControllerState.HOLDING
    assert rig.controller.reason == 'episode/state has not been heard'
    rig.run(0.2)
    assert rig.controller.machine.is_latched
    assert 'dead-man switch silent' in rig.controller.reason


def test_released_deadman_latches_at_once():
    rig = Rig(require_deadman=True)
    rig.controller.on_deadman(True, rig.now_s)
    rig.plan()
    rig.run(0.05)
    rig.controller.on_deadman(False, rig.now_s)
    assert rig.controller.machine.is_latched


def test_object_entries_appear_and_vanish_with_the_loss_message():
    residual = FakeResidual(np.zeros(7))
    rig = Rig(residual)
    rig.plan()
    cube = pose(np.array([0.5, 0.0, 0.02]), pose_identity()[3:])
    rig.controller.on_object_pose('cube', cube, np.zeros(36), rig.now_s)
    rig.run(TICK_S)
    valid = rig.controller.layout.slices()['cube.valid']
    assert residual.observations[-1][0, valid] == 1.0
    rig.controller.on_object_pose('cube', cube, np.full(36, -1.0), rig.now_s)
    rig.run(4 * TICK_S)
    assert residual.observations[-1][0, valid] == 0.0


def test_residual_fades_when_poses_stay_away():
    rig = Rig(FakeResidual())
    rig.see_cube()
    gains = []
    for _ in range(5):
        rig.plan((0.0, 0.0, 0.0))
        rig.run(0.25)
        gains.append(rig.actions[-1].gain)
    assert gains[1] == 1.0 and gains[-1] == 0.0


def test_residual_stays_silent_until_the_object_was_seen():
    rig = Rig(FakeResidual())
    rig.plan((0.0, 0.0, 0.0))
    rig.run(0.4)
    assert rig.actions and all(action.gain == 0.0 for action in rig.actions)
    assert all((action.command_pose == action.base_pose).all() for action in rig.actions)


@pytest.mark.parametrize('q', [np.full(7, np.nan), np.zeros(6)])
def test_bad_joint_state_is_refused_and_the_last_one_kept(q):
    rig = Rig()
    with pytest.raises(InputError, match='joint state'):
        rig.controller.on_joint_state(q, np.zeros(7), rig.now_s)
    rig.plan()
    rig.run(0.02, see_arm=False)
    assert rig.controller.state is ControllerState.RUNNING_BASE


def test_unknown_object_and_bad_pose_are_refused():
    rig = Rig()
    with pytest.raises(UnknownNameError, match='cube'):
        rig.controller.on_object_pose('bowl', pose_identity(), np.zeros(36), 10.0)
    with pytest.raises(InputError, match='object cube'):
        rig.controller.on_object_pose('cube', np.full(7, np.nan), np.zeros(36), 10.0)


def test_network_that_answers_nan_is_an_error():
    rig = Rig(FakeResidual(np.full(7, np.nan)))
    rig.plan()
    with pytest.raises(InputError, match='residual network'):
        rig.run(0.1)


def test_an_operators_hold_outlives_the_episode():
    rig = Rig()
    rig.plan((0.0, 0.05, 0.0))
    rig.run(0.1)
    rig.controller.hold('test')
    rig.controller.stop_episode()
    assert rig.controller.machine.is_latched
    with pytest.raises(InputError, match='cannot start: test; call residual_policy/resume'):
        rig.controller.start_episode(rig.now_s)
    rig.controller.resume(rig.now_s)
    assert rig.controller.state is ControllerState.IDLE
    rig.controller.start_episode(rig.now_s)


def test_hold_after_the_episode_falls_silent_at_rest():
    rig = Rig()
    rig.plan((0.0, 0.05, 0.0))
    rig.run(0.1)
    rig.controller.hold('test')
    rig.controller.stop_episode()
    rig.run(1.0)
    assert rig.controller.command_tick(TICK_S) is None


def test_a_robot_that_does_not_listen_cannot_start():
    rig = Rig(start=False)
    rig.controller.on_robot('controller joint_impedance_controller is inactive')
    with pytest.raises(InputError, match='inactive'):
        rig.controller.start_episode(rig.now_s)
    assert rig.controller.state is ControllerState.IDLE
    rig.controller.on_robot('')
    rig.controller.start_episode(rig.now_s)


def test_state_names_who_moves_the_arm():
    rig = Rig(FakeResidual())
    rig.plan()
    rig.run(0.05)
    assert rig.controller.state is ControllerState.RUNNING_BASE
    rig.see_cube()
    rig.run(0.1)
    assert rig.controller.state is ControllerState.RUNNING_RESIDUAL
    rig.controller.set_enabled(False)
    rig.run(0.05)
    assert rig.controller.state is ControllerState.RUNNING_BASE


@pytest.mark.parametrize('stop', [
    lambda controller: controller.hold('test'), lambda controller: controller.fault('test'),
    lambda controller: controller.on_robot('reflex')])
def test_another_world_knows_nothing_of_the_last_ones_holds_and_faults(stop):
    rig = Rig()
    stop(rig.controller)
    rig.controller.reset()
    rig.see_arm()
    rig.controller.start_episode(rig.now_s)
    assert rig.controller.state is ControllerState.RUNNING_BASE
