# SPDX-License-Identifier: Apache-2.0
"""When the arm may move, with a robot that only notes what it is asked."""
import numpy as np
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig
from ocrrl_ros.robot.adapters.franka_fci.errors import FciRefusedError
from ocrrl_ros.robot.adapters.franka_fci.state import FciState, RobotMode
from ocrrl_ros.robot.adapters.franka_fci.worker import FciPhase, FciWorker
from ocrrl_ros.robot.fr3 import READY_POSITION
import pytest

Q = np.array(READY_POSITION)
NEAR = Q + 0.1
CONFIG = FciConfig(robot_ip='10.0.0.2')


class Robot:
    """Notes the calls; ``refuses`` names one that fails."""

    def __init__(self):
        self.calls, self.refuses, self.mode = [], '', RobotMode.IDLE

    def _note(self, name, *arguments):
        if name == self.refuses:
            raise FciRefusedError(f'{name} is refused')
        self.calls.append((name, *arguments))

    def begin(self):
        self._note('begin')
        self.mode = RobotMode.MOVE

    def send(self, target):
        self._note('send', target.tolist())

    def finish(self):
        self._note('finish')
        self.mode = RobotMode.IDLE

    def abandon(self):
        self._note('abandon')

    def recover(self):
        self._note('recover')
        self.mode = RobotMode.IDLE

    @property
    def names(self):
        return [call[0] for call in self.calls]


class Setup:
    """A worker and its robot; time goes on by 1 ms per step."""

    def __init__(self, **arguments):
        self.robot = Robot()
        self.worker = FciWorker(self.robot, CONFIG, **arguments)
        self.now_s = 100.0

    def step(self, times=1, errors=(), q_desired=Q):
        zeros = np.zeros(7)
        for _ in range(times):
            self.now_s += 1e-3
            self.worker.step(FciState(
                received_s=self.now_s, robot_time_s=self.now_s, mode=self.robot.mode,
                success_rate=1.0, q=Q, dq=zeros, tau=zeros, q_desired=q_desired,
                dq_desired=zeros, tau_external=zeros, base_T_ee=np.eye(4),
                base_T_ee_desired=np.eye(4), twist_desired=np.zeros(6),
                wrench_base=np.zeros(6), wrench_stiffness=np.zeros(6), errors=errors), self.now_s)

    def target(self, target=NEAR):
        self.worker.on_target(np.array(target), self.now_s)
        self.step()

    def moving(self):
        self.step()
        self.target()
        assert self.worker.phase is FciPhase.MOVING
        return self


def test_nothing_is_asked_of_the_robot_before_a_target_comes():
    setup = Setup()
    setup.step(2000)
    assert setup.robot.calls == []
    assert setup.worker.phase is FciPhase.IDLE


def test_the_first_target_starts_a_motion_and_the_next_ones_go_on_with_it():
    setup = Setup().moving()
    setup.step(20)
    setup.target(Q + 0.05)
    assert setup.robot.calls == [
        ('begin',), ('send', NEAR.tolist()), ('send', (Q + 0.05).tolist())]
    assert setup.worker.counts.accepted == 2


def test_the_robot_gets_the_newest_target_at_most_50_times_a_second():
    setup = Setup()
    setup.step()
    for i in range(1000):
        setup.target(Q + i * 1e-4)
    sent = [call[1] for call in setup.robot.calls if call[0] == 'send']
    assert 45 <= len(sent) <= 56
    assert sent[1] == pytest.approx((Q + 18e-4).tolist())


def test_a_far_target_is_refused_and_the_motion_goes_on_to_the_last_one():
    setup = Setup().moving()
    setup.step(20)
    setup.target(Q + 0.4)
    assert setup.robot.names == ['begin', 'send']
    assert 'max_target_distance_rad' in setup.worker.refusal
    assert setup.worker.counts.refused == 1
    assert setup.worker.phase is FciPhase.MOVING
    setup.step(20)
    setup.target()
    assert setup.worker.refusal == ''


def test_a_target_that_was_long_on_its_way_is_refused():
    setup = Setup()
    setup.step()
    setup.worker.on_target(NEAR, setup.now_s - 0.6)
    setup.step()
    assert setup.robot.calls == []
    assert '0.60 s old' in setup.worker.refusal


def test_without_targets_the_arm_stops_where_the_robot_has_it_and_goes_on_with_the_next():
    setup = Setup().moving()
    here = Q + 0.03
    setup.step(499, q_desired=here)
    assert setup.robot.names == ['begin', 'send']
    setup.step(1000, q_desired=here)
    assert setup.robot.calls[2:] == [('send', here.tolist())]
    assert setup.worker.phase is FciPhase.HOLDING
    setup.target()
    assert setup.worker.phase is FciPhase.MOVING
    assert setup.robot.names == ['begin', 'send', 'send', 'send']


def test_a_stream_of_refused_targets_is_no_stream():
    setup = Setup().moving()
    for _ in range(600):
        setup.target(Q + 0.4)
    assert setup.worker.phase is FciPhase.HOLDING


def test_after_a_reflex_targets_are_refused_until_recovery_in_the_right_order():
    setup = Setup().moving()
    setup.robot.mode = RobotMode.REFLEX
    setup.step(errors=('joint_reflex',))
    setup.target()
    assert setup.robot.names == ['begin', 'send', 'abandon']
    assert setup.worker.phase is FciPhase.STOPPED
    assert 'reflex (joint_reflex)' in setup.worker.refusal
    assert 'cleared' in setup.worker.recover()
    setup.step(1000)
    assert setup.robot.names == ['begin', 'send', 'abandon', 'recover']
    assert setup.worker.phase is FciPhase.IDLE
    setup.target()
    assert setup.robot.names[4:] == ['begin', 'send']


def test_a_reflex_that_was_cleared_in_desk_still_wants_a_recovery():
    setup = Setup().moving()
    setup.robot.mode = RobotMode.REFLEX
    setup.step()
    setup.robot.mode = RobotMode.IDLE
    setup.target()
    assert 'call error recovery' in setup.worker.reason
    assert setup.worker.recover() == 'targets are taken again'
    setup.step(20)
    setup.target()
    assert setup.robot.names == ['begin', 'send', 'abandon', 'begin', 'send']


@pytest.mark.parametrize(('mode', 'words'), [
    (RobotMode.USER_STOPPED, 'user stop is pressed'), (RobotMode.GUIDING, 'guided by hand')])
def test_what_a_person_has_to_do_is_said(mode, words):
    setup = Setup().moving()
    setup.robot.mode = mode
    setup.step()
    with pytest.raises(FciRefusedError, match=words):
        setup.worker.recover()
    assert 'recover' not in setup.robot.names
    setup.robot.mode = RobotMode.IDLE
    setup.target()
    assert setup.worker.phase is FciPhase.STOPPED
    setup.worker.recover()
    setup.step(20)
    setup.target()
    assert setup.worker.phase is FciPhase.MOVING


def test_guiding_at_rest_only_puts_targets_off():
    setup = Setup()
    setup.robot.mode = RobotMode.GUIDING
    setup.step()
    setup.target()
    assert setup.worker.refusal == 'no target is taken: the robot is in mode guiding'
    setup.robot.mode = RobotMode.IDLE
    setup.step()
    assert setup.worker.phase is FciPhase.IDLE
    assert setup.robot.calls == []


@pytest.mark.parametrize(('what', 'calls'), [
    ('begin', []), ('send', ['begin', 'abandon'])])
def test_what_the_robot_refuses_is_not_tried_again_at_every_target(what, calls):
    setup = Setup()
    setup.robot.refuses = what
    setup.step()
    for _ in range(100):
        setup.target()
    assert setup.robot.names == calls
    assert f'{what} is refused; call error recovery' in setup.worker.reason


def test_a_motion_that_the_robot_ends_by_itself_is_named_and_latched():
    setup = Setup().moving()
    setup.robot.mode = RobotMode.IDLE
    setup.step(errors=('power_limit_violation',))
    assert 'the robot has ended the motion (power_limit_violation)' in setup.worker.reason
    assert not setup.worker.in_motion


def test_stop_ends_the_motion_and_keeps_targets_out():
    setup = Setup().moving()
    setup.worker.stop('stopped on request')
    setup.target()
    assert setup.robot.names == ['begin', 'send', 'finish']
    assert 'stopped on request; call error recovery' in setup.worker.reason


def test_a_connection_that_comes_back_during_a_motion_waits_for_recovery():
    setup = Setup(is_latched=True)
    setup.step()
    setup.target()
    assert setup.robot.calls == []
    assert 'connection was lost during a motion' in setup.worker.refusal
    setup.worker.recover()
    setup.target()
    assert setup.worker.phase is FciPhase.MOVING


def test_recovery_without_need_changes_nothing():
    setup = Setup()
    setup.step()
    assert setup.worker.recover() == 'nothing to recover from'
    setup.moving()
    assert setup.worker.recover() == 'nothing to recover from: a motion runs'
    assert setup.worker.in_motion
