# SPDX-License-Identifier: Apache-2.0
"""The arm is not talked to while the robot does not listen; the node as a process."""

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.monitor import status_message
from ocrrl_ros.interfaces.robot_watch import mode_name, ROBOT_MODES
from played_arm import arm_beside_node, READY
from played_cell import Cell
import pytest
from ros_harness import NodeProcess, running
from sensor_msgs.msg import JointState

pytest.importorskip(
    'test_msgs.action', reason='test_msgs is missing: pip install ros-test-msgs==2.0.3, or '
    'apt-get install ros-jazzy-test-msgs')

from played_driver import ARM, PlayedDriver  # noqa: E402, I100, I202

DRIVER = 'other_driver/state'


def tell(arm, level, text):
    """Say as the driver how it is."""
    arm.publish(DRIVER, status_message('driver', level, text, {}), qos.LATCHED)


def silent(arm, duration_s=0.4):
    """Return whether no target comes for a while."""
    count = len(arm.targets)
    arm.live(duration_s)
    return len(arm.targets) == count


@pytest.mark.parametrize('level', [DiagnosticStatus.WARN, DiagnosticStatus.ERROR])
def test_a_driver_that_is_not_well_is_a_fault_until_it_is_and_resume(
        ros, probe, tmp_path, level):
    with arm_beside_node(
            probe, tmp_path, f'driver{level[0]}', robot_state_topic=DRIVER) as arm:
        cell = Cell(probe, arm)
        tell(arm, 0, 'moving')
        arm.start()
        assert cell.moves()
        tell(arm, level[0], 'stopped: cartesian_reflex')
        cell.until('fault', DRIVER, 'cartesian_reflex')
        assert silent(arm)
        answer = cell.call('resume')
        assert not answer.success and 'cartesian_reflex' in answer.message
        arm.plan()
        assert silent(arm) and cell.state['state'] == 'fault'
        # Somebody has moved the arm meanwhile: the command begins where it is measured.
        elsewhere = READY + 0.1
        arm.targets.clear()
        arm.rest_at(elsewhere)
        arm.live(0.2)
        tell(arm, 0, 'idle')
        assert silent(arm) and cell.state['state'] == 'fault'
        assert cell.call('resume').success
        arm.live_until(lambda: arm.targets, 'a first target')
        np.testing.assert_allclose(arm.targets[0].position, elsewhere, atol=1e-9)
        assert cell.moves()


def test_an_episode_does_not_start_while_the_driver_is_not_well(ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'unwell', robot_state_topic=DRIVER) as arm:
        cell = Cell(probe, arm)
        tell(arm, 2, 'lost: no connection')
        arm.live(0.3)
        arm.start()
        cell.until('idle', 'cannot start', 'no connection')
        assert silent(arm)
        tell(arm, 0, 'idle')
        arm.live_until(lambda: cell.state['state'] == 'holding', 'the episode')
        assert cell.moves()


def test_a_second_sender_of_targets_is_a_fault_until_it_has_gone(ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'second') as arm:
        cell = Cell(probe, arm)
        arm.start()
        assert cell.moves()
        other = probe.node.create_publisher(JointState, 'second/target_joint', qos.LATEST)
        cell.until('fault', '2 publishers on /second/target_joint')
        assert silent(arm)
        answer = cell.call('resume')
        assert not answer.success and '2 publishers' in answer.message
        probe.node.destroy_publisher(other)
        arm.live_until(lambda: cell.call('resume').success, 'resume without the other')
        assert cell.moves()


@pytest.fixture
def driver(ros, request):
    """Give a driver in the namespace of the test."""
    found = PlayedDriver(request.param)
    yield found
    found.close()


@pytest.mark.parametrize('driver', ['modes'], indirect=True)
def test_only_a_robot_in_mode_move_is_commanded(probe, tmp_path, stand_ins, driver):
    stand_ins('franka_msgs')
    with arm_beside_node(probe, tmp_path, 'modes') as arm:
        cell = Cell(probe, arm)
        arm.start()
        assert cell.moves()
        for number in (0, 1, 3, 4, 5, 6, 7, 255):
            driver.mode = number
            name = ROBOT_MODES[number] if number < 7 else f'unknown ({number})'
            cell.until('fault', f'robot_mode is {name};')
            assert silent(arm, 0.2)
            assert not cell.call('resume').success
            driver.mode = 2
            arm.live_until(lambda: cell.call('resume').success, f'resume after {name}')
            arm.live_until(lambda: cell.state['state'] == 'holding', 'a running episode')
        assert cell.moves()


def test_every_number_has_a_name():
    assert [mode_name(i) for i in (2, 4, 6)] == ['move', 'reflex', 'automatic_error_recovery']
    assert [mode_name(i) for i in (-1, 7, 255)] == [
        'unknown (-1)', 'unknown (7)', 'unknown (255)']


@pytest.mark.parametrize('driver', ['controllers'], indirect=True)
def test_an_arm_whose_controller_is_not_active_is_not_commanded(
        probe, tmp_path, stand_ins, driver):
    stand_ins('controller_manager_msgs')
    with arm_beside_node(probe, tmp_path, 'controllers', recovery__controller=ARM) as arm:
        cell = Cell(probe, arm)
        arm.live_until(lambda: driver.listings, 'a first look')
        arm.start()
        assert cell.moves()
        driver.controllers[ARM] = 'inactive'
        cell.until('fault', f"controller '{ARM}' is inactive")
        assert silent(arm)
        assert not cell.call('resume').success
        driver.controllers[ARM] = 'active'
        arm.live_until(lambda: cell.call('resume').success, 'resume')
        assert cell.moves()
        # Once a second at most: the manager has other work.
        asked, start_s = driver.listings, arm.now_s()
        arm.live(3.2)
        assert driver.listings - asked <= arm.now_s() - start_s + 1.0
        driver.node.destroy_service(driver.listing)
        cell.until('fault', 'list_controllers does not answer')


@pytest.mark.parametrize('driver', ['unloaded'], indirect=True)
def test_a_controller_that_nobody_knows_starts_no_episode(probe, tmp_path, stand_ins, driver):
    stand_ins('controller_manager_msgs')
    with arm_beside_node(probe, tmp_path, 'unloaded', recovery__controller='nobody') as arm:
        arm.live_until(lambda: driver.listings, 'a first look')
        arm.start()
        Cell(probe, arm).until('idle', "controller 'nobody' is not loaded")
        assert silent(arm)


def test_a_named_controller_needs_what_tells_its_state(ros, tmp_path):
    node = NodeProcess('ocrrl_ros.nodes.residual_policy_node', tmp_path / 'log.txt', {
        'residual': 'none', 'recovery.controller': ARM})
    with running(node):
        assert node.wait() == 2
    fatal = [line for line in node.log.splitlines() if 'FATAL' in line]
    assert len(fatal) == 1 and 'Traceback' not in node.log
    assert ARM in fatal[0] and 'apt-get install ros-jazzy-controller-manager-msgs' in fatal[0]
