# SPDX-License-Identifier: Apache-2.0
"""The arm is on its way home in one state alone; what ends it asks for a person."""

from controller_rig import READY, Rig, TICK_S
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.command_clock import CommandClock, LONGEST_S
from ocrrl_ros.policy.controller import ControllerState
from ocrrl_ros.policy.episode_clock import EpisodeState
from ocrrl_ros.policy.episode_homing import EpisodeHoming
from ocrrl_ros.policy.episode_start import EpisodeStart
from ocrrl_ros.robot.homing import HomingConfig, HomingPlanner, JointHoming
import pytest

AWAY = READY + 0.4
REFLEX = 'robot_mode is reflex'
CONFIG = HomingConfig(speed_scale=0.3, lift_m=0.0, max_error_rad=1.0)


class Cell(Rig):
    """An arm that follows homing and policy, and the episodes that are asked for."""

    def __init__(self, check=None, **config):
        """Lie away from home, without an episode."""
        super().__init__(start=False, **config)
        homing = EpisodeHoming(
            JointHoming(HomingPlanner(config=CONFIG, is_free=lambda q: None)),
            max_state_age_s=0.1,
            heartbeats=(self.controller.deadman, self.controller.episode))
        self.start = EpisodeStart(self.controller, homing, check)
        self.q, self.sent, self.refusal = AWAY, [], ''
        self.problem, self.deadman = '', True
        self.clock = CommandClock(TICK_S)

    @property
    def state(self):
        """Return the state of the controller."""
        return self.controller.state

    def ask(self, running=True, number=1):
        """Ask for an episode, or end it."""
        self.start.follow(EpisodeState(
            number=number, running=running, task='cube_lift', started_s=self.now_s), 0.0)

    def live(self, duration_s):
        """Tick for a while, in the order of the node."""
        for _ in range(round(duration_s / TICK_S)):
            self.now_s += TICK_S
            dt_s = self.clock.step(self.now_s)
            command = self.controller.command_tick(dt_s)
            is_silent = command is None
            command = self.start.command(self.now_s, dt_s) if is_silent else command
            if command is not None:
                self.q = command.q
                self.sent.append(command.q)
            self.controller.heed_clock(self.now_s)
            self.controller.on_joint_state(self.q, np.zeros(7), self.now_s)
            self.start._homing.on_joint_state(self.q, self.now_s)
            self.start.on_robot(self.problem)
            if self.deadman is not None:
                self.controller.on_deadman(self.deadman, self.now_s)
            self.refusal = ''
            try:
                self.start.step(self.now_s, is_silent=is_silent)
            except InputError as error:
                self.refusal = str(error)
            self.controller.policy_tick(self.now_s)

    def stands_still(self, duration_s=1.0):
        """Return whether nothing is sent for a while."""
        count = len(self.sent)
        self.live(duration_s)
        return len(self.sent) == count

    def homing(self, **config):
        """Be on the way home."""
        self.ask()
        self.live(0.3)
        assert self.state is ControllerState.HOMING and len(self.sent) > 20
        return self


def test_the_arm_goes_home_and_then_waits_for_the_base():
    cell = Cell()
    cell.ask()
    cell.live(5.0)
    assert cell.state is ControllerState.HOLDING
    np.testing.assert_allclose(cell.q, READY, atol=1e-3)


def test_a_robot_that_stops_on_the_way_home_is_a_fault_and_nothing_more_is_sent():
    cell = Cell().homing()
    cell.problem = REFLEX
    cell.live(TICK_S)
    assert cell.state is ControllerState.FAULT and cell.controller.reason == REFLEX
    assert cell.stands_still()
    with pytest.raises(InputError, match=f'cannot resume: {REFLEX}'):
        cell.controller.resume(cell.now_s)
    cell.problem = ''
    assert cell.stands_still() and cell.state is ControllerState.FAULT


def test_after_resume_the_way_home_begins_where_the_arm_is_now():
    cell = Cell().homing()
    cell.problem = REFLEX
    cell.live(0.1)
    cell.problem, cell.q = '', READY - 0.2
    cell.live(0.1)
    cell.sent.clear()
    cell.controller.resume(cell.now_s)
    cell.live(0.1)
    assert cell.state is ControllerState.HOMING
    np.testing.assert_allclose(cell.sent[0], READY - 0.2, atol=1e-3)
    cell.live(5.0)
    np.testing.assert_allclose(cell.q, READY, atol=1e-3)


def test_preflight_is_asked_again_before_the_next_way_home():
    refusals = []

    def check(now_s):
        if refusals:
            raise InputError(refusals[0])

    cell = Cell(check).homing()
    cell.problem = REFLEX
    cell.live(0.1)
    cell.problem, refusals[:] = '', ['preflight refuses: stamps']
    cell.live(0.1)
    cell.controller.resume(cell.now_s)
    assert cell.stands_still() and 'stamps' in cell.refusal
    assert cell.state is ControllerState.IDLE


def test_no_way_home_begins_while_the_robot_does_not_listen():
    cell = Cell()
    cell.problem = REFLEX
    cell.ask()
    assert cell.stands_still()
    assert cell.state is ControllerState.IDLE and cell.refusal == f'cannot start: {REFLEX}'
    cell.problem = ''
    cell.live(0.2)
    assert cell.state is ControllerState.HOMING and cell.sent


def test_what_brakes_at_the_end_of_an_episode_is_cut_where_the_robot_stops():
    cell = Cell().homing()
    cell.ask(running=False)
    count = len(cell.sent)
    cell.live(3 * TICK_S)
    assert len(cell.sent) == count + 3
    cell.problem = REFLEX
    cell.live(TICK_S)
    assert cell.stands_still() and cell.state is ControllerState.IDLE


@pytest.mark.parametrize('act', ['hold', 'fault'])
def test_whatever_latches_or_faults_ends_the_way_home(act):
    cell = Cell().homing()
    getattr(cell.controller, act)('somebody else')
    cell.live(0.5)
    assert cell.stands_still() and np.abs(cell.q - READY).max() > 0.05
    assert cell.controller.reason == 'somebody else'


def test_a_hold_is_not_left_while_the_robot_does_not_listen():
    cell = Cell().homing()
    cell.controller.hold('operator')
    cell.live(0.5)
    cell.problem = REFLEX
    cell.live(0.1)
    with pytest.raises(InputError, match=f'cannot resume: {REFLEX}'):
        cell.controller.resume(cell.now_s)
    cell.problem = ''
    assert cell.stands_still()


@pytest.mark.parametrize('hang_s', [0.02, 0.045, 0.09])
def test_a_late_tick_on_the_way_home_is_never_a_jump(hang_s):
    cell = Cell().homing()
    cell.now_s += hang_s
    # What was measured while the process hung lies in the queue when it goes on.
    cell.start._homing.on_joint_state(cell.q, cell.now_s)
    cell.live(0.3)
    assert cell.state is ControllerState.HOMING
    steps = np.abs(np.diff(cell.sent, axis=0)).max(axis=1)
    speed = 0.3 * cell.controller.arm.follower.shaper.max_velocity.max()
    assert steps.max() <= speed * (LONGEST_S + TICK_S)
    if hang_s > LONGEST_S:
        assert steps.max() <= speed * TICK_S * 1.001
    cell.live(5.0)
    np.testing.assert_allclose(cell.q, READY, atol=1e-3)


@pytest.mark.parametrize('by_s', [1.0, -1.0, 3600.0, -3600.0])
def test_a_clock_that_is_set_brakes_on_the_way_home_without_a_jump(by_s):
    cell = Cell().homing()
    cell.now_s += by_s
    cell.live(1.0)
    steps = np.abs(np.diff(cell.sent, axis=0)).max(axis=1)
    assert steps.max() <= 0.3 * cell.controller.arm.follower.shaper.max_velocity.max() * 0.006
    assert cell.state is ControllerState.IDLE and np.abs(cell.q - READY).max() > 0.05
    assert 'homing stopped: joint state is' in cell.controller.reason
    assert cell.stands_still()


def switched():
    """Return a cell under a dead-man switch, on the way home."""
    return Cell(require_deadman=True).homing()


@pytest.mark.parametrize('value, words', [
    (False, 'dead-man switch released'), (None, 'dead-man switch silent')])
def test_a_dead_man_switch_that_is_lost_on_the_way_home_latches(value, words):
    cell = switched()
    cell.deadman = value
    cell.live(1.0)
    assert cell.controller.machine.is_latched and words in cell.controller.reason
    assert cell.stands_still() and np.abs(cell.q - READY).max() > 0.05
    cell.deadman = True
    assert cell.stands_still() and cell.controller.machine.is_latched
    cell.controller.resume(cell.now_s)
    cell.live(5.0)
    np.testing.assert_allclose(cell.q, READY, atol=1e-3)


def test_a_release_between_two_presses_latches_on_the_way_home():
    cell = switched()
    for pressed in (False, True):
        cell.controller.on_deadman(pressed, cell.now_s)
    cell.live(0.5)
    assert cell.stands_still() and cell.controller.reason == 'dead-man switch released'


def test_a_clock_that_is_set_is_no_switch_that_falls_silent():
    cell = switched()
    cell.now_s += 1.0
    cell.live(0.5)
    assert cell.state is ControllerState.IDLE and 'joint state' in cell.controller.reason


def test_an_episode_of_before_is_not_joined():
    cell = Cell()
    with pytest.raises(InputError, match='started during episode 3'):
        cell.start.follow(EpisodeState(number=3, running=True, started_s=1.0), 5.0)
    assert cell.stands_still()
    cell.ask(number=4)
    cell.live(0.2)
    assert cell.state is ControllerState.HOMING
