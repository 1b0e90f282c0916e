# SPDX-License-Identifier: Apache-2.0
"""pylibfranka in a process of its own against a mock robot: connect, move, lose, recover."""
import socket
import time

from mock_fci import loopback_address, mock_robot
import mock_fci_wire as wire
import numpy as np
from ocrrl_ros.core.system_packages import FAILED, OK, WARNING
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig, LoadConfig
from ocrrl_ros.robot.adapters.franka_fci.reachability import check_fci
from ocrrl_ros.robot.adapters.franka_fci.state import RobotMode
from ocrrl_ros.robot.adapters.franka_fci.worker import FciPhase
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest

Q = np.array(READY_POSITION)
TARGET = Q + np.array([0.2, -0.1, 0.1, 0.15, -0.2, 0.1, -0.3])


@pytest.fixture
def driver(robot, connect):
    """Give a driver that is connected, at rest."""
    found = connect(robot.address)
    found.until_phase(FciPhase.IDLE)
    return found


def orders(robot):
    """Return what the robot was asked, less the stop that the library may add after a motion."""
    return [order for order in robot.status()['log'] if order != 'stop']


def moving(driver):
    """Start moving to the target and wait until it is under way."""
    driver.target = TARGET
    driver.until(lambda: driver.state.dq[0] > 0.1)
    return driver


def test_a_connection_moves_nothing_and_says_where_the_arm_is(robot, driver):
    driver.until(lambda: driver.states >= 100)
    assert driver.state.mode is RobotMode.IDLE
    np.testing.assert_allclose(driver.state.q, Q, atol=1e-6)
    np.testing.assert_allclose(
        driver.state.base_T_ee[:3, 3], FrankaKinematics().forward(Q)[:3], atol=1e-6)
    status = robot.status()
    assert (status['log'], status['q']) == ([], Q.tolist())


def test_every_field_of_the_state_is_the_robots(robot, driver):
    # A rotation by 90 degrees about z, by columns; all other numbers differ from each other.
    turned = [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 0.25, 0.5, 0.75, 1]
    shifted = [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 0.125, 0.375, 0.625, 1]
    names = {'q': 'q', 'dq': 'dq', 'tau': 'tau_J', 'q_desired': 'q_d', 'dq_desired': 'dq_d',
             'tau_external': 'tau_ext_hat_filtered', 'twist_desired': 'O_dP_EE_d',
             'wrench_base': 'O_F_ext_hat_K', 'wrench_stiffness': 'K_F_ext_hat_K'}
    fields = {wire_name: [0.5 + 16 * i + k for k in range(wire.FIELDS[wire_name][1])]
              for i, wire_name in enumerate(names.values())}
    started, started_s = robot.status()['steps'], time.monotonic()
    robot.set(success_rate=0.75, fields={**fields, 'O_T_EE': turned, 'O_T_EE_d': shifted})
    driver.until(lambda: driver.state.success_rate == 0.75)
    state = driver.state
    for name, wire_name in names.items():
        np.testing.assert_array_equal(getattr(state, name), fields[wire_name], name)
    np.testing.assert_array_equal(
        state.base_T_ee, [[0, -1, 0, 0.25], [1, 0, 0, 0.5], [0, 0, 1, 0.75], [0, 0, 0, 1]])
    np.testing.assert_array_equal(state.base_T_ee_desired[:3, 3], [0.125, 0.375, 0.625])
    assert started <= round(state.robot_time_s * 1e3) <= robot.status()['steps']
    assert started_s <= state.received_s <= time.monotonic()
    robot.order('mode', mode=wire.GUIDING)
    driver.until(lambda: driver.state.mode is RobotMode.GUIDING)


def test_a_joint_target_is_reached_and_settings_come_before_the_motion(robot, connect):
    driver = connect(robot.address, load=LoadConfig(mass_kg=0.5, flange_com_m=(0.0, 0.0, 0.05)),
                     max_joint_velocity_rad_s=(0.5,) * 7)
    driver.until_phase(FciPhase.IDLE)
    driver.target = TARGET
    driver.until(lambda: np.abs(driver.state.q - TARGET).max() < 2e-3)
    status = robot.status()
    assert status['log'] == ['set 3', 'set 9', 'move']
    assert status['max_velocity'] == [0.5] * 7
    thresholds = FciConfig(robot_ip='x').collision
    assert tuple(status['setters']['3'][:7]) == thresholds.lower_torque_nm
    assert tuple(status['setters']['3'][-6:]) == thresholds.upper_force
    assert status['setters']['9'][:4] == [0.5, 0.0, 0.0, 0.05]
    np.testing.assert_allclose(status['q'], TARGET, atol=2e-3)
    report = driver.link.report
    assert report.phase is FciPhase.MOVING
    assert report.counts['targets_accepted'] == pytest.approx(status['targets'], abs=30)


def test_a_far_target_is_refused_with_the_joint_and_the_setting(robot, driver):
    driver.target = Q + [0, 0, 0.5, 0, 0, 0, 0]
    driver.until(lambda: driver.link.report.refusal)
    assert 'fr3_joint3' in driver.link.report.refusal
    assert 'max_target_distance_rad' in driver.link.report.refusal
    assert orders(robot) == []


def test_without_targets_the_arm_stops_and_goes_on_with_the_next(robot, driver):
    moving(driver).target = None
    driver.until_phase(FciPhase.HOLDING)
    driver.until(lambda: np.abs(driver.state.dq).max() < 1e-3)
    status = robot.status()
    assert status['mode'] == wire.MOVING and status['log'].count('move') == 1
    # It holds what it was at, and that is not the target it had.
    np.testing.assert_allclose(status['q'], status['target'], atol=2e-3)
    driver.target = TARGET
    driver.until(lambda: np.abs(driver.state.q - TARGET).max() < 2e-3)


def test_a_reflex_is_named_stops_targets_and_is_recovered_from(robot, driver):
    moving(driver)
    robot.reflex('cartesian_reflex')
    driver.until_phase(FciPhase.STOPPED)
    driver.until(lambda: driver.state.mode is RobotMode.REFLEX)
    assert driver.state.errors == ('cartesian_reflex',)
    assert 'mode reflex (cartesian_reflex)' in driver.link.report.reason
    driver.until(lambda: 'call error recovery' in driver.link.report.refusal)
    assert orders(robot) == ['set 3', 'move']
    driver.target = None
    answer = driver.ask('recover')
    assert answer.success, answer
    driver.until_phase(FciPhase.IDLE)
    driver.target = np.array(robot.status()['q']) + 0.05
    driver.until(lambda: np.abs(driver.state.q - driver.target).max() < 2e-3)
    assert orders(robot) == ['set 3', 'move', 'recover', 'set 3', 'move']


def test_a_recovery_that_the_robot_refuses_says_why_and_may_be_tried_again(robot, driver):
    moving(driver)
    robot.reflex()
    robot.set(recover_status=wire.RECOVER_MANUAL)
    driver.until_phase(FciPhase.STOPPED)
    answer = driver.ask('recover')
    assert not answer.success and 'manual error recovery required' in answer.message
    robot.set(recover_status=wire.OK)
    assert driver.ask('recover').success


def test_the_user_stop_ends_the_motion_and_is_released_by_a_person(robot, driver):
    moving(driver)
    robot.order('mode', mode=wire.USER_STOPPED)
    driver.until_phase(FciPhase.STOPPED)
    answer = driver.ask('recover')
    assert not answer.success and 'user stop is pressed' in answer.message
    robot.order('mode', mode=wire.IDLE)
    driver.until(lambda: driver.state.mode is RobotMode.IDLE)
    driver.run(0.2)
    assert orders(robot) == ['set 3', 'move']
    assert driver.ask('recover').success
    driver.until_phase(FciPhase.MOVING)


def test_a_refused_setting_is_named_and_nothing_moves(robot, driver):
    robot.set(setter_status=wire.SETTER_NOT_POSSIBLE)
    driver.target = TARGET
    driver.until_phase(FciPhase.STOPPED)
    assert 'setting collision thresholds: Set Collision Behavior' in driver.link.report.reason
    assert 'move' not in robot.status()['log']


def test_stop_ends_the_motion_until_recovery(robot, driver):
    moving(driver)
    assert driver.ask('stop').success
    driver.until_phase(FciPhase.STOPPED)
    assert orders(robot) == ['set 3', 'move', 'finish']
    driver.until(lambda: np.abs(driver.state.dq).max() < 1e-3)
    assert robot.status()['targets'] > 0 and robot.status()['mode'] == wire.IDLE


def test_dropped_states_are_counted_and_survived(robot, driver):
    robot.set(drop_states=0.2)
    moving(driver)
    driver.until(lambda: np.abs(driver.state.q - TARGET).max() < 2e-3)
    before = robot.status()
    driver.run(1.5)
    counts = driver.link.report.counts
    assert counts['states_lost'] >= 0.8 * before['dropped'] > 100
    assert counts['states_share'] < 0.9
    assert driver.link.report.phase is FciPhase.MOVING and driver.link.losses == 0


def test_dropped_commands_only_delay_the_motion(robot, driver):
    robot.set(drop_commands=0.5)
    driver.target = TARGET
    driver.until(lambda: np.abs(driver.state.q - TARGET).max() < 2e-3)
    assert robot.status()['lost_targets'] > 0


def test_silence_is_a_lost_connection_and_states_that_come_again_are_found(robot, driver):
    robot.set(mute_states=True)
    driver.until_phase(FciPhase.LOST)
    assert 'UDP receive: Timeout' in driver.link.report.reason
    robot.set(mute_states=False)
    driver.until_phase(FciPhase.IDLE)
    assert driver.link.losses == 1


def test_a_robot_that_is_switched_off_and_on_is_found_and_waits_for_recovery(robot, driver):
    moving(driver)
    robot.kill()
    driver.until_phase(FciPhase.LOST)
    driver.until(lambda: 'FCI refused' in driver.link.report.reason)
    with mock_robot(robot.address) as again:
        driver.until_phase(FciPhase.STOPPED)
        assert 'connection was lost during a motion' in driver.link.report.reason
        driver.run(0.2)
        assert orders(again) == []
        assert driver.ask('recover').success
        driver.until(lambda: np.abs(driver.state.q - TARGET).max() < 2e-3)
        driver.link.close()
        assert orders(again)[-1] == 'finish'
    assert driver.link.losses == 1


def test_after_a_recovery_a_connection_that_is_lost_at_rest_needs_no_other(robot, driver):
    moving(driver)
    robot.order('disconnect')
    driver.until_phase(FciPhase.STOPPED)
    driver.target = None
    assert driver.ask('recover').success
    driver.until_phase(FciPhase.IDLE)
    robot.order('disconnect')
    driver.until_phase(FciPhase.LOST)
    driver.until_phase(FciPhase.IDLE)


def test_a_link_that_was_closed_connects_anew_and_takes_up_no_motion(robot, driver):
    moving(driver)
    number = driver.link.request('stop')
    driver.link.close()
    assert driver.link.report.phase is FciPhase.CLOSED
    assert driver.link.request('recover') == number + 1
    answers = driver.link.take_answers()
    assert [(answer.number, answer.success) for answer in answers] == [
        (number, False), (number + 1, False)]
    assert all('connection' in answer.message for answer in answers)
    driver.until_phase(FciPhase.STOPPED)
    driver.run(0.2)
    assert robot.status()['moves'] == 1 and robot.status()['connections'] == 2
    driver.link.close()
    driver.until_phase(FciPhase.STOPPED)


def test_a_connection_that_the_robot_closes_during_a_motion_is_lost(robot, driver):
    moving(driver)
    robot.order('disconnect')
    driver.until_phase(FciPhase.LOST)
    driver.until_phase(FciPhase.STOPPED)
    assert robot.status()['connections'] == 2


def test_another_version_is_named_with_both_numbers(pylibfranka, connect):
    with mock_robot(version=9) as robot:
        driver = connect(robot.address)
        driver.until_phase(FciPhase.LOST)
    assert 'server version: 9, library version: 10' in driver.link.report.reason


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(pylibfranka, connect):
    with mock_robot(silent=True) as robot:
        driver = connect(robot.address, connect_timeout_s=0.5)
        driver.until_phase(FciPhase.LOST)
    reason = f'connecting to {robot.address}: no answer within 0.5 s'
    assert driver.link.report.reason == reason


def test_an_address_from_which_nothing_comes_is_given_up_in_time(pylibfranka, connect):
    address = loopback_address()
    with socket.socket() as full:
        # A queue that is full lets no further connection in, as a cable that is not plugged in.
        full.bind((address, wire.PORT))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for item in waiting:
            item.setblocking(False)
            item.connect_ex((address, wire.PORT))
        driver = connect(address, connect_timeout_s=10.0)
        driver.until_phase(FciPhase.LOST)
        for item in waiting:
            item.close()
    assert 'Connection timeout' in driver.link.report.reason


def test_a_hanging_library_does_not_hold_up_the_node(robot, connect):
    robot.set(silent=True)
    driver = connect(robot.address, connect_timeout_s=2.0)
    driver.until(lambda: robot.status()['connections'])
    steps = driver.steps
    driver.until_phase(FciPhase.LOST)
    # With the library in this process a single step would have lasted until the end.
    assert driver.steps > steps + 10


def test_requests_without_a_connection_are_answered_at_once(pylibfranka, connect):
    driver = connect(loopback_address())
    answer = driver.ask('recover')
    assert not answer.success and 'no connection' in answer.message
    assert not driver.link.send_target(TARGET, time.monotonic())


def test_the_pause_between_attempts_grows_to_its_limit(pylibfranka, connect):
    driver = connect(loopback_address(), reconnect_s=0.05, reconnect_max_s=0.4)
    pauses = []

    def noted():
        pause_s = driver.link._pause_s
        if not pauses or pauses[-1] != pause_s:
            pauses.append(pause_s)
        return pause_s == 0.4

    driver.until(noted)
    assert pauses == [0.05, 0.1, 0.2, 0.4]


@pytest.mark.parametrize(('mode', 'state', 'words', 'remedy'), [
    (wire.IDLE, OK, 'mode idle', ''), (wire.REFLEX, WARNING, 'mode reflex', 'error recovery'),
    (wire.USER_STOPPED, WARNING, 'mode user_stopped', 'release the user stop')])
def test_the_check_of_reachability_names_the_mode(robot, mode, state, words, remedy):
    robot.order('mode', mode=mode)
    found = check_fci(robot.address)
    assert (found.name, found.state) == ('FCI', state), found
    assert words in found.detail and remedy in found.remedy
    assert orders(robot) == []


@pytest.mark.parametrize(('fault', 'words', 'remedy'), [
    ({'version': 8}, 'server version: 8', 'update the control box'),
    ({'silent': True}, 'no answer within 1 s', 'one at a time'),
    ({'mute_states': True}, 'UDP receive: Timeout', 'firewall')])
def test_the_check_of_reachability_names_the_failure_and_what_helps(
        robot, fault, words, remedy):
    robot.set(**fault)
    found = check_fci(robot.address, timeout_s=1.0 if 'silent' in fault else 5.0)
    assert found.state == FAILED
    assert words in found.detail and remedy in found.remedy, found


@pytest.mark.parametrize(('address', 'words', 'remedy'), [
    (None, 'Connection to FCI refused', 'activate FCI in Desk'),
    ('no.such.host.invalid', 'Host not found', 'robot_ip')])
def test_the_check_of_reachability_tells_of_no_robot(pylibfranka, address, words, remedy):
    found = check_fci(address or loopback_address())
    assert found.state == FAILED
    assert words in found.detail and remedy in found.remedy, found
