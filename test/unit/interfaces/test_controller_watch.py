# SPDX-License-Identifier: Apache-2.0
"""A manager that falls silent is noticed; a system clock that is set is no silent manager."""
from types import SimpleNamespace

from ocrrl_ros.interfaces import controller_watch, robot_watch
from ocrrl_ros.interfaces.robot_watch import RobotWatch
from ocrrl_ros.robot.fault_recovery import RecoveryConfig
import pytest

ARM = 'joint_impedance_controller'
STEP_S = 0.05


class Manager:
    """Stands for client and server; answers at the next look."""

    def __init__(self):
        self.is_up = self.answers = True
        self.states = {ARM: 'active'}
        self.questions, self.is_open = 0, False

    def is_ready(self):
        return self.is_up

    def send(self):
        self.questions += 1
        self.is_open = True

    def take(self):
        if not (self.is_open and self.answers):
            return None
        self.is_open = False
        return SimpleNamespace(controller=[
            SimpleNamespace(name=name, state=state) for name, state in self.states.items()])


class Cell:
    """The watch of a robot on two clocks."""

    def __init__(self, monkeypatch):
        self.manager = Manager()
        monkeypatch.setattr(
            controller_watch, 'optional', lambda name: SimpleNamespace(ListControllers=None))
        monkeypatch.setattr(controller_watch, 'PolledClient', lambda *arguments: self.manager)
        monkeypatch.setattr(robot_watch, 'optional', lambda name: None)
        self.now_s, self.monotonic_s = 1.7e9, 50.0
        node = SimpleNamespace(count_publishers=lambda topic: 1)
        self.watch = RobotWatch(
            node, 'target_joint', '', RecoveryConfig(controller=ARM),
            clock=lambda: self.monotonic_s)

    def live(self, duration_s):
        """Look for a while and return what was found, in order, without repetitions."""
        found = []
        for _ in range(round(duration_s / STEP_S)):
            self.now_s += STEP_S
            self.monotonic_s += STEP_S
            problem = self.watch.step(self.now_s)
            if problem is not None and found[-1:] != [problem]:
                found.append(problem)
        return found


@pytest.fixture(name='cell')
def _cell(monkeypatch):
    """Give a watch whose manager has answered."""
    found = Cell(monkeypatch)
    found.live(0.5)
    return found


@pytest.mark.parametrize('by_s', [1.0, 2.5, 10.0, 3600.0, -0.5, -1.0, -2.5, -3600.0])
@pytest.mark.parametrize('before_s', [0.1, 0.7])
def test_a_clock_that_is_set_is_no_silent_manager(cell, by_s, before_s):
    cell.live(before_s)
    cell.now_s += by_s
    assert cell.live(5.0) == ['']


@pytest.mark.parametrize('by_s', [0.0, 3600.0, -3600.0])
@pytest.mark.parametrize('how', ['answers', 'is_up'])
def test_a_manager_that_falls_silent_is_noticed_whatever_the_clock_does(cell, by_s, how):
    setattr(cell.manager, how, False)
    cell.now_s += by_s
    assert cell.live(2.9) == ['']
    found = cell.live(1.5)[-1]
    assert 'list_controllers does not answer' in found and ARM in found
    setattr(cell.manager, how, True)
    cell.live(4.0)
    assert cell.live(1.0) == ['']


def test_nothing_is_known_before_the_first_answer(monkeypatch):
    cell = Cell(monkeypatch)
    cell.manager.answers = False
    found = cell.live(0.2)
    assert len(found) == 1 and 'is not known' in found[0]
    cell.manager.answers = True
    assert cell.live(0.2)[-1] == ''


def test_a_pause_of_this_process_is_no_silence(cell):
    cell.now_s += 20.0
    cell.monotonic_s += 20.0
    assert cell.live(3.0) == ['']


def test_the_manager_is_asked_once_a_second(cell):
    before = cell.manager.questions
    cell.now_s -= 100.0
    cell.live(10.0)
    assert 9 <= cell.manager.questions - before <= 10


def test_a_controller_that_is_not_active_is_named_within_two_looks(cell):
    cell.manager.states[ARM] = 'inactive'
    assert 'is inactive' in cell.live(1.2)[-1]
