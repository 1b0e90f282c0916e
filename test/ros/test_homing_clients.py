# SPDX-License-Identifier: Apache-2.0
"""Homing by other controllers, against stand-ins: the wheels lack control_msgs and moveit."""
import threading
import time
from types import SimpleNamespace

import numpy as np
from ocrrl_ros.core.errors import InputError, MissingDependencyError
from ocrrl_ros.interfaces.chunk_conversions import trajectory_times
from ocrrl_ros.interfaces.homing_clients import (
    home_trajectory, make_homing, MoveItHoming, TrajectoryHoming)
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polled_action import GoalEnd
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.homing import HomingConfig, HomingPlanner, HomingState, JointHoming
from ocrrl_ros.robot.robot_config import RobotConfig
import pytest

READY = np.array(READY_POSITION)
START = READY + 0.2
PLANNER = HomingPlanner(config=HomingConfig(lift_m=0.0))


class Client:
    """Stand-in for an action client; the real one is tested in test_polled_action.py."""

    name = 'jtc/follow_joint_trajectory'

    def __init__(self):
        self.is_up, self.goals, self.cancels = True, [], 0
        self.is_busy = self.is_accepted = False
        self.ends = []

    def is_ready(self):
        return self.is_up

    def send(self, goal):
        self.goals.append(goal)
        self.is_busy, self.is_accepted = True, False

    def cancel(self):
        self.cancels += 1
        return self.is_busy

    def forget(self):
        self.is_busy = self.is_accepted = False

    def take(self):
        if not self.ends:
            return None
        self.forget()
        return self.ends.pop()


@pytest.fixture(name='server')
def _server():
    """Give the client of a server."""
    return Client()


@pytest.fixture(name='homing')
def _homing(server):
    """Give the motion of that client."""
    return TrajectoryHoming(PLANNER, server, lambda **fields: SimpleNamespace(**fields))


def accept(server):
    server.is_accepted = True


def end(server, how, text=''):
    server.ends.append(GoalEnd(how, SimpleNamespace(error_string=text)))


def test_trajectory_is_the_checked_way():
    plan = PLANNER.plan(START)
    message = home_trajectory(plan)
    assert list(message.joint_names) == list(ARM_JOINT_NAMES)
    times = trajectory_times(message)
    assert times[-1] == pytest.approx(plan.times_s[-1])
    assert np.diff(times).min() > 0.0 and np.diff(times).max() == pytest.approx(0.1)
    at = np.searchsorted(plan.times_s, times - 1e-6)
    np.testing.assert_array_equal([p.positions for p in message.points], plan.q[at])
    np.testing.assert_allclose([p.velocities for p in message.points], plan.dq[at], atol=1e-12)
    assert list(message.points[-1].velocities) == [0.0] * 7
    np.testing.assert_allclose(message.points[-1].positions, READY, atol=1e-6)


def test_goal_that_succeeds_brings_the_arm_home(server, homing):
    assert homing.start(START, 1.0)
    sent, = server.goals
    assert len(sent.trajectory.points) > 3
    assert homing.tick(1.1, START) is None and homing.state is HomingState.MOVING
    accept(server)
    homing.tick(1.2, START)
    assert homing.is_busy
    end(server, 'succeeded')
    homing.tick(1.3, READY + 0.01)
    assert (homing.state, homing.reason) == (HomingState.DONE, 'at home')
    assert not homing.is_busy


def test_success_is_believed_when_the_joints_say_so(server, homing):
    homing.start(START, 1.0)
    accept(server)
    homing.tick(1.1, START)
    end(server, 'succeeded')
    homing.tick(1.2, START)
    assert homing.state is HomingState.FAILED and '0.200 rad from home' in homing.reason


@pytest.mark.parametrize('status, words', [
    ('aborted', 'aborted the goal: path'), ('canceled', 'canceled'), ('unknown', 'unknown')])
def test_goal_that_ends_otherwise_is_named(server, homing, status, words):
    homing.start(START, 1.0)
    accept(server)
    homing.tick(1.1, START)
    end(server, status, 'path tolerance')
    homing.tick(1.2, START)
    assert homing.state is HomingState.FAILED and words in homing.reason


def test_rejected_goal_names_the_controller(server, homing):
    homing.start(START, 1.0)
    server.ends.append(GoalEnd('rejected'))
    homing.tick(1.1, START)
    assert 'rejected' in homing.reason and 'jtc/' in homing.reason
    assert homing.start(START, 2.0)


def test_absent_server_and_blocked_way_are_named_and_nothing_is_sent(server, homing):
    server.is_up = False
    assert not homing.start(START, 1.0)
    assert 'no action server jtc/' in homing.reason
    server.is_up = True
    blocked = TrajectoryHoming(
        HomingPlanner(is_free=lambda q: 'a wall' if 0.02 < q[0] < 0.1 else None),
        server, SimpleNamespace)
    assert not blocked.start(START, 1.0) and 'a wall' in blocked.reason
    assert not server.goals


@pytest.mark.parametrize('accepted, until_s, words', [
    (False, 3.1, 'has not answered'), (True, 60.0, 'has not ended in time')])
def test_silent_server_is_given_up(server, homing, accepted, until_s, words):
    homing.start(START, 1.0)
    if accepted:
        accept(server)
    homing.tick(1.1, START)
    homing.tick(until_s, START)
    assert homing.state is HomingState.FAILED and words in homing.reason
    assert server.cancels == 1
    assert homing.is_busy
    homing.tick(until_s + 60.0, START)
    assert not homing.is_busy


def test_stop_cancels_and_the_next_start_waits_for_the_end(server, homing):
    homing.start(START, 1.0)
    accept(server)
    homing.tick(1.1, START)
    homing.stop('hold')
    assert server.cancels == 1 and homing.reason == 'hold'
    assert not homing.start(START, 1.2)
    end(server, 'canceled')
    homing.tick(1.3, START)
    assert (homing.state, homing.reason) == (HomingState.FAILED, 'hold')
    assert homing.start(START, 1.4)


def test_other_controllers_have_no_commands_to_look_ahead_from(homing):
    with pytest.raises(InputError, match='no commands'):
        homing.preview(0.02, 3)


class Session:
    """Stand-in for MoveIt: blocks until it is let go."""

    def __init__(self, problem=None):
        self.problem, self.may_end, self.goals = problem, threading.Event(), []
        self.stopped = False

    def move(self, q_home):
        self.goals.append(q_home)
        self.may_end.wait(30.0)
        if isinstance(self.problem, Exception):
            raise self.problem
        return self.problem

    def stop(self):
        self.stopped = True
        self.may_end.set()


def ended(homing):
    """Wait for the thread."""
    end_s = time.monotonic() + 30.0
    while homing.is_busy and time.monotonic() < end_s:
        time.sleep(0.001)
    return not homing.is_busy


@pytest.mark.parametrize('problem, q, state, words', [
    (None, READY, HomingState.DONE, 'at home'),
    (None, START, HomingState.FAILED, '0.200 rad from home'),
    ('MoveIt has found no way home', START, HomingState.FAILED, 'no way'),
    (RuntimeError('no planning scene'), START, HomingState.FAILED, 'no planning scene')])
def test_moveit_moves_in_its_own_thread(problem, q, state, words):
    session = Session(problem)
    homing = MoveItHoming(lambda: session, HomingConfig())
    assert homing.start(START, 1.0)
    assert homing.tick(1.1, START) is None and homing.state is HomingState.MOVING
    session.may_end.set()
    assert ended(homing)
    homing.tick(1.2, q)
    assert homing.state is state and words in homing.reason
    np.testing.assert_array_equal(session.goals, [READY])


def test_moveit_is_stopped_and_started_anew():
    session = Session()
    homing = MoveItHoming(lambda: session, HomingConfig())
    homing.start(START, 1.0)
    while not session.goals:
        time.sleep(0.001)
    homing.stop('hold')
    assert session.stopped and ended(homing)
    homing.tick(1.1, READY)
    assert (homing.state, homing.reason) == (HomingState.FAILED, 'hold')
    assert homing.start(START, 1.2) and ended(homing)
    assert len(session.goals) == 2


def test_way_home_is_chosen_by_name():
    assert make_homing('none', None, RobotConfig(), HomingConfig(), 'jtc') is None
    assert isinstance(
        make_homing('own', None, RobotConfig(), HomingConfig(), 'jtc'), JointHoming)


@pytest.mark.parametrize('name, package', [
    ('follow_joint_trajectory', 'control_msgs'), ('moveit', 'moveit')])
def test_absent_package_is_named_with_its_install_command(name, package):
    if optional(package) is not None:
        pytest.skip(f'{package} is installed here')
    with pytest.raises(MissingDependencyError, match='apt install ros-jazzy-'):
        make_homing(name, None, RobotConfig(), HomingConfig(), 'jtc')
