# SPDX-License-Identifier: Apache-2.0
"""The arm goes home once per episode, when asked to, on fresh states and under the switch."""
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.episode_homing import EpisodeHoming
from ocrrl_ros.policy.heartbeat import Heartbeat
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.homing import HomingConfig, HomingPlanner, HomingState, JointHoming
import pytest

READY = np.array(READY_POSITION)
START = READY + 0.6
PLANNER = HomingPlanner(config=HomingConfig(speed_scale=1.0, lift_m=0.0), is_free=lambda q: None)
TICK_S = 0.005


class Rig:
    """An arm that follows, and the homing of its episodes."""

    def __init__(self, planner=PLANNER):
        self.switch = Heartbeat('switch', 0.2, is_required=True, absent='is not pressed')
        self.homing = EpisodeHoming(
            JointHoming(planner), max_state_age_s=0.1, heartbeats=[self.switch])
        self.now_s, self.q, self.commands = 5.0, START, 0
        self.reports, self.pressed = True, True

    def tick(self, wants=True):
        """Let one tick pass and return whether the arm is home."""
        self.now_s += TICK_S
        if self.reports:
            self.homing.on_joint_state(self.q, self.now_s)
        if self.pressed:
            self.switch.beat(self.now_s)
        is_home = wants and self.homing.is_home(self.now_s)
        command = self.homing.tick(self.now_s, TICK_S)
        if command is not None:
            self.q = command[0]
            self.commands += 1
        return is_home

    def until_home(self):
        """Tick until home."""
        for _ in range(2000):
            if self.tick():
                return
        raise AssertionError('never home')


def test_nothing_moves_before_an_episode_wants_to_start():
    rig = Rig()
    for _ in range(100):
        assert not rig.tick(wants=False)
    assert rig.commands == 0


def test_arm_is_home_before_the_episode_starts_and_goes_there_anew_for_the_next():
    rig = Rig()
    rig.until_home()
    np.testing.assert_allclose(rig.q, READY, atol=1e-6)
    moved = rig.commands
    assert rig.tick() and rig.commands == moved
    rig.homing.stop('another episode')
    rig.q = START
    assert not rig.tick()
    rig.until_home()
    assert rig.commands > 1.5 * moved


def test_start_waits_for_a_joint_state():
    rig = Rig()
    rig.reports = False
    with pytest.raises(InputError, match='cannot start homing: joint state is'):
        rig.tick()
    assert not rig.homing.has_failed
    rig.reports = True
    rig.until_home()


def test_blocked_way_fails_and_is_named():
    rig = Rig(HomingPlanner(
        config=PLANNER.config, is_free=lambda q: 'a wall' if 0.02 < q[0] < 0.1 else None))
    with pytest.raises(InputError, match='a wall'):
        rig.tick()
    assert rig.homing.has_failed and rig.commands == 0


@pytest.mark.parametrize('lose, words', [
    ('reports', 'joint state is'), ('pressed', 'switch silent')])
def test_loss_on_the_way_brakes_and_fails(lose, words):
    rig = Rig()
    for _ in range(30):
        rig.tick()
    setattr(rig, lose, False)
    with pytest.raises(InputError, match=words):
        for _ in range(2000):
            rig.tick()
    assert rig.homing.has_failed
    for _ in range(200):
        rig.tick(wants=False)
    here, sent = rig.q, rig.commands
    rig.tick(wants=False)
    assert rig.commands == sent and np.abs(here - READY).max() > 0.02


def test_released_switch_stops_the_motion_at_once_and_lets_none_begin():
    rig = Rig()
    rig.pressed = False
    with pytest.raises(InputError, match='not pressed'):
        rig.tick()
    rig.pressed = True
    for _ in range(30):
        rig.tick()
    rig.pressed = False
    rig.switch.forget()
    rig.tick()
    assert rig.homing.motion.state is HomingState.FAILED


def test_next_motion_waits_until_the_last_one_has_braked():
    rig = Rig()
    for _ in range(30):
        rig.tick()
    rig.homing.stop('hold')
    assert not rig.tick()
    assert rig.homing.motion.reason == 'hold'
    rig.until_home()
