# SPDX-License-Identifier: Apache-2.0
"""What each driver of the gripper node sends, field by field, and what it makes of the answers."""

import dataclasses
from types import SimpleNamespace

from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.interfaces import gripper_actions
from ocrrl_ros.interfaces.gripper_actions import FrankaDriver, GripperCommandDriver
from ocrrl_ros.interfaces.gripper_drivers import DriverNames, make_driver, make_logic
from ocrrl_ros.interfaces.gripper_state import opening_from_command, width_from_fingers
from ocrrl_ros.interfaces.polled_action import GoalEnd
from ocrrl_ros.robot.gripper_commands import CommandResult, HandAction, HandCommand, Outcome
from ocrrl_ros.robot.gripper_config import HandDriverConfig
from ocrrl_ros.robot.gripper_driver import CommandedHand
from ocrrl_ros.robot.gripper_stream import StreamedHand
import pytest
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

GRASP = HandCommand(
    number=7, action=HandAction.GRASP, width_m=0.01, speed_m_s=0.1, force_n=50.0,
    epsilon_inner_m=0.02, epsilon_outer_m=0.08)
MOVE = HandCommand(
    number=8, action=HandAction.MOVE, opening=1.0, width_m=0.078, speed_m_s=0.2, force_n=40.0)
STOP = HandCommand(number=9, action=HandAction.STOP)
HOME = HandCommand(number=10, action=HandAction.HOME)


def message(name, **fields):
    """Return a message class with these fields and no others."""
    cls = dataclasses.make_dataclass(name, [
        (field, object, dataclasses.field(default_factory=kind))
        for field, kind in fields.items()])
    return dataclasses.dataclass(cls, slots=True)


def actions():
    """Return the action types of franka_msgs and control_msgs with their goals' fields alone."""
    epsilon = message('GraspEpsilon', inner=float, outer=float)
    command = message('GripperCommand', position=float, max_effort=float)
    return SimpleNamespace(
        Move=SimpleNamespace(Goal=message('MoveGoal', width=float, speed=float)),
        Grasp=SimpleNamespace(Goal=message(
            'GraspGoal', width=float, epsilon=epsilon, speed=float, force=float)),
        Homing=SimpleNamespace(Goal=message('HomingGoal')),
        GripperCommand=SimpleNamespace(Goal=message('GripperCommandGoal', command=command)))


class Client:
    """Notes goals and ends them as it is told."""

    def __init__(self, node, action_type, name):
        self.action_type, self.name, self.goals, self.end = action_type, name, [], None
        self.is_there, self.under_way, self.cancels = True, False, 0

    def is_ready(self):
        return self.is_there

    def send(self, goal):
        assert isinstance(goal, self.action_type.Goal)
        self.goals.append(goal)
        self.under_way = True

    def cancel(self):
        self.cancels += self.under_way
        return self.under_way

    def take(self):
        end, self.end = self.end, None
        self.under_way = self.under_way and end is None
        return end


@pytest.fixture
def node(ros_context):
    found = Node('hand', context=ros_context)
    yield found
    found.destroy_node()


@pytest.fixture
def made(node, monkeypatch):
    """Return a function that makes a driver, and its clients by name."""
    monkeypatch.setattr(gripper_actions, 'optional', lambda module: actions())

    def make(kind, name):
        clients = {}

        def make_client(node, action_type, name):
            clients[name] = Client(node, action_type, name)
            return clients[name]

        return kind(node, name, make_client), clients

    return make


def test_franka_gets_each_field_of_its_goals(made):
    driver, clients = made(FrankaDriver, 'left_gripper')
    assert set(clients) == {
        'left_gripper/move', 'left_gripper/grasp', 'left_gripper/homing'}
    for command in (GRASP, MOVE, HOME):
        driver.send(command)
    grasp, = clients['left_gripper/grasp'].goals
    assert (grasp.width, grasp.speed, grasp.force) == (0.01, 0.1, 50.0)
    assert (grasp.epsilon.inner, grasp.epsilon.outer) == (0.02, 0.08)
    move, = clients['left_gripper/move'].goals
    assert (move.width, move.speed) == (0.078, 0.2)
    assert len(clients['left_gripper/homing'].goals) == 1


@pytest.mark.parametrize(('end', 'success', 'outcome'), [
    ('succeeded', True, Outcome.SUCCEEDED), ('succeeded', False, Outcome.FAILED),
    ('aborted', False, Outcome.FAILED), ('canceled', False, Outcome.CANCELED)])
def test_franka_tells_how_a_goal_ended_with_the_drivers_words(made, end, success, outcome):
    driver, clients = made(FrankaDriver, 'franka_gripper')
    driver.send(GRASP)
    assert driver.take() == []
    clients['franka_gripper/grasp'].end = GoalEnd(
        end, SimpleNamespace(success=success, error='libfranka says'))
    assert driver.take() == [CommandResult(7, outcome, 'libfranka says')]
    assert driver.take() == []


@pytest.mark.parametrize(('end', 'outcome'), [
    ('rejected', Outcome.REJECTED), ('unknown', Outcome.SERVER_GONE)])
@pytest.mark.parametrize(('kind', 'name'), [
    (FrankaDriver, 'franka_gripper'), (GripperCommandDriver, 'franka_gripper/move')])
def test_a_goal_without_a_result_is_told_by_its_end(made, kind, name, end, outcome):
    driver, clients = made(kind, name)
    driver.send(MOVE)
    clients['franka_gripper/move'].end = GoalEnd(end)
    assert driver.take() == [CommandResult(8, outcome, '')]


def test_franka_is_ready_with_all_of_its_servers_and_names_what_is_missing(made):
    driver, clients = made(FrankaDriver, 'franka_gripper')
    clients['franka_gripper/grasp'].is_there = False
    assert not driver.is_ready()
    assert driver.missing() == ['franka_gripper/grasp', 'franka_gripper/stop']


def test_an_answer_to_a_goal_before_the_stop_is_not_taken_for_the_stops(made):
    driver, clients = made(FrankaDriver, 'franka_gripper')
    driver.send(GRASP)
    driver.send(STOP)
    clients['franka_gripper/grasp'].end = GoalEnd(
        'succeeded', SimpleNamespace(success=True, error=''))
    assert driver.take() == []


def test_gripper_command_gets_half_of_the_width_and_the_greatest_force(made):
    driver, clients = made(GripperCommandDriver, 'hand/command')
    driver.send(MOVE)
    goal, = clients['hand/command'].goals
    assert (goal.command.position, goal.command.max_effort) == (0.039, 40.0)


@pytest.mark.parametrize(('end', 'reached', 'stalled', 'outcome'), [
    ('succeeded', True, False, Outcome.SUCCEEDED), ('succeeded', False, False, Outcome.FAILED),
    ('succeeded', False, True, Outcome.SUCCEEDED), ('aborted', False, True, Outcome.SUCCEEDED),
    ('aborted', False, False, Outcome.FAILED), ('canceled', False, True, Outcome.CANCELED)])
def test_fingers_that_an_object_stops_have_done_what_they_can(
        made, end, reached, stalled, outcome):
    driver, clients = made(GripperCommandDriver, 'hand/command')
    driver.send(MOVE)
    clients['hand/command'].end = GoalEnd(end, SimpleNamespace(
        position=0.03, effort=0.0, stalled=stalled, reached_goal=reached))
    result, = driver.take()
    assert (result.number, result.outcome) == (8, outcome)
    assert ('stalled' in result.detail) == stalled and '0.0300 m' in result.detail


def test_to_stop_gripper_command_is_to_cancel_its_goal(made):
    driver, clients = made(GripperCommandDriver, 'hand/command')
    client = clients['hand/command']
    driver.send(STOP)
    assert driver.take() == [CommandResult(9, Outcome.SUCCEEDED)]
    assert client.cancels == 0
    driver.send(MOVE)
    driver.send(STOP)
    assert (client.cancels, driver.take()) == (1, [])
    client.end = GoalEnd('canceled')
    assert driver.take() == [CommandResult(9, Outcome.SUCCEEDED)]
    assert driver.take() == []


@pytest.mark.parametrize(('name', 'mode', 'binary'), [
    ('franka', 'auto', True), ('franka', 'binary', True), ('gripper_command', 'auto', False),
    ('gripper_command', 'binary', True)])
def test_the_logic_fits_the_driver(made, name, mode, binary):
    kind = FrankaDriver if name == 'franka' else GripperCommandDriver
    driver, _ = made(kind, 'hand')
    logic = make_logic(driver, mode, HandDriverConfig(), name)
    assert isinstance(logic, CommandedHand)
    logic.wish(0.2, 0.0)
    logic.step(0.0, is_ready=True)
    stop = CommandResult(1, Outcome.SUCCEEDED)
    command = logic.step(0.1, is_ready=True, results=[stop])
    assert (command is None) == binary
    if not binary:
        assert command.opening == 0.2
    assert (logic.ask_home() is None) == (name == 'franka')


def test_franka_cannot_move_to_widths(made):
    driver, _ = made(FrankaDriver, 'hand')
    with pytest.raises(ConfigError, match='mode is proportional; driver franka allows: auto'):
        make_logic(driver, 'proportional', HandDriverConfig(), 'franka')


def test_topics_are_streams_and_an_unknown_driver_is_refused(node):
    for name in ('width_percent', 'crisp'):
        driver = make_driver(name, node, DriverNames())
        assert isinstance(make_logic(driver, 'auto', HandDriverConfig(), name), StreamedHand)
        assert not driver.is_ready() and len(driver.missing()) == 1
    with pytest.raises(UnknownNameError, match='suction.*crisp, franka'):
        make_driver('suction', node, DriverNames())


@pytest.mark.parametrize('data', [[], [0.1, 0.2], [float('nan')], [1.01], [-0.01], [float('inf')]])
def test_commands_that_are_no_opening_are_refused(data):
    with pytest.raises(InputError, match='gripper/gripper_position_controller/commands'):
        opening_from_command(Float64MultiArray(data=data))


def test_what_rounding_adds_to_an_end_is_cut_off():
    assert opening_from_command(Float64MultiArray(data=[1.0 + 1e-9])) == 1.0
    assert opening_from_command(Float64MultiArray(data=[-1e-9])) == 0.0


def test_the_width_is_the_sum_of_both_fingers_whatever_stands_before_their_names():
    joints = JointState(
        name=['a_finger_joint2', 'other', 'a_finger_joint1'], position=[0.01, 9.0, 0.03])
    assert width_from_fingers(joints, 'fingers') == pytest.approx(0.04)
    joints.position = [-0.001, 9.0, 0.0]
    assert width_from_fingers(joints, 'fingers') == 0.0
