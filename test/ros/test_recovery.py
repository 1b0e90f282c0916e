# SPDX-License-Identifier: Apache-2.0
"""`residual_policy/recover` as a process beside a driver that must be asked in its order."""

import contextlib
import threading

from diagnostic_msgs.msg import DiagnosticStatus
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.monitor import status_message
from played_arm import arm_beside_node
from played_cell import Cell
import pytest
from std_srvs.srv import Trigger

pytest.importorskip(
    'test_msgs.action', reason='test_msgs is missing: pip install ros-test-msgs==2.0.3, or '
    'apt-get install ros-jazzy-test-msgs')

from played_driver import (  # noqa: E402, I100, I202
    ARM, BROADCASTERS, GUIDING, IDLE, PlayedDriver, REFLEX, USER_STOPPED)

PACKAGES = ('franka_msgs', 'controller_manager_msgs')
WAY_BACK = [
    'error_recovery', 'FrankaHardwareInterface to active (3)',
    f'activate {ARM}, {", ".join(BROADCASTERS)} (2)']


@pytest.fixture
def cell(ros, probe, tmp_path, stand_ins):
    """Return a context of an arm in an episode, its driver and who looks on."""
    @contextlib.contextmanager
    def begin(namespace, packages=PACKAGES, *, starts=True, **parameters):
        stand_ins(*packages)
        driver = PlayedDriver(namespace)
        try:
            with arm_beside_node(probe, tmp_path, namespace, **parameters) as arm:
                found = Cell(probe, arm)
                found.driver = driver
                if starts:
                    arm.live_until(
                        lambda: driver.listings or 'recovery__controller' not in parameters,
                        'a first look at the controllers')
                    arm.start()
                    assert found.moves()
                yield found
        finally:
            driver.close()
    return begin


def until_fallen(found):
    """Wait until the error has taken hardware and controllers: before it, they are active."""
    found.arm.live_until(lambda: found.driver.has_fallen, 'the fall of the hardware')


def test_a_reflex_is_recovered_in_order_and_nothing_moves_before_resume(cell):
    with cell('order', recovery__controller=ARM) as found:
        found.driver.stop_by(REFLEX)
        found.until('fault', 'robot_mode is reflex')
        until_fallen(found)
        count = len(found.arm.targets)
        refused = found.call('resume')
        assert not refused.success and 'robot_mode is reflex' in refused.message
        answer = found.call('recover')
        assert answer.success, answer.message
        assert found.driver.calls == WAY_BACK
        assert answer.message == (
            'error recovery: done; hardware active: made active; controllers active: activated '
            f'{ARM}, {", ".join(BROADCASTERS)}; robot takes targets: yes; call '
            'residual_policy/resume')
        found.until('fault', 'robot_mode is reflex', 'recovered: call residual_policy/resume')
        told = [state.message for state in found.arm.states]
        steps = [next(i for i, text in enumerate(told) if f'step {n} of 4' in text)
                 for n in (1, 2, 3)]
        assert steps == sorted(steps)
        found.arm.plan()
        found.arm.live(0.3)
        assert len(found.arm.targets) == count
        assert found.call('resume').success
        assert found.moves()


def test_resume_and_a_second_request_are_refused_while_it_goes_on(cell):
    with cell('twice', recovery__controller=ARM) as found:
        found.driver.stop_by(REFLEX)
        found.until('fault', 'reflex')
        until_fallen(found)
        gate, recover = threading.Event(), found.driver._recover
        found.driver._server.register_execute_callback(
            lambda handle: (gate.wait(30.0), recover(handle))[1])
        found.ask('recover')
        found.until('fault', 'step 1 of 4: error recovery')
        for name, words in (('recover', 'under way'), ('resume', 'recovering, step 1')):
            answer = found.call(name)
            assert not answer.success and words in answer.message
        gate.set()
        found.until('fault', 'recovered')


def test_the_step_that_fails_is_named_and_all_of_it_can_be_tried_again(cell):
    with cell('fails', recovery__controller=ARM) as found:
        found.driver.stop_by(REFLEX)
        found.until('fault', 'reflex')
        until_fallen(found)
        found.driver.recovers = False
        answer = found.call('recover')
        assert not answer.success
        assert answer.message == (
            'error recovery: failed: action_server/error_recovery has aborted the goal')
        assert found.driver.calls == ['error_recovery']
        found.until('fault', 'reflex', 'recovery failed in error recovery')
        found.driver.recovers = True
        assert found.call('recover').success
        assert found.driver.calls[1:] == WAY_BACK


@pytest.mark.parametrize('mode, words', [
    (USER_STOPPED, 'release the user stop'), (GUIDING, 'let go of the guiding buttons')])
def test_where_a_person_has_to_act_first_that_is_said_and_nothing_is_called(cell, mode, words):
    with cell(f'person{mode}', recovery__controller=ARM) as found:
        found.driver.mode = mode
        found.until('fault', 'robot_mode is')
        answer = found.call('recover')
        assert not answer.success and words in answer.message and not found.driver.calls
        found.until('fault', 'recovery failed', words)
        found.driver.stop_by(REFLEX)
        until_fallen(found)
        found.arm.live(0.5)
        assert found.call('recover').success
        assert found.driver.calls == WAY_BACK


def test_a_user_stop_that_nobody_tells_of_any_more_does_not_lock_the_recovery_out(cell):
    with cell('stopped', recovery__controller=ARM) as found:
        found.driver.stop_by(USER_STOPPED)
        found.until('fault', 'user_stopped')
        until_fallen(found)
        found.arm.live(1.3)
        assert found.call('recover').success
        assert found.driver.calls == WAY_BACK


@pytest.mark.parametrize('packages, step, words', [
    ((), 'error recovery', 'franka_msgs'),
    (('franka_msgs',), 'hardware active', 'ros-jazzy-controller-manager-msgs')])
def test_what_is_not_installed_is_named_by_the_step_that_needs_it(cell, packages, step, words):
    with cell(f'missing{len(packages)}', packages, starts=False,
              robot_state_topic='other_driver/state') as found:
        found.arm.publish('other_driver/state', status_message(
            'other', 2, 'it has stopped', {}), qos.LATCHED)
        found.arm.live(0.3)
        answer = found.call('recover')
        assert not answer.success
        assert f'{step}: failed: {words}' in answer.message or (
            f'{step}: failed: ' in answer.message and words in answer.message)
        assert 'install it with' in answer.message
        assert found.driver.calls == (['error_recovery'] if packages else [])


def test_who_waits_for_an_episode_must_resume_as_well(cell):
    with cell('waiting', recovery__controller=ARM, starts=False) as found:
        found.driver.stop_by(REFLEX)
        until_fallen(found)
        found.arm.live(0.7)
        found.arm.start()
        found.until('idle', 'cannot start', 'reflex')
        assert found.call('recover').success
        found.arm.live(0.3)
        assert found.state['state'] == 'fault' and not found.arm.targets
        assert found.call('resume').success
        found.arm.live_until(lambda: found.state['state'] == 'holding', 'the episode')
        assert found.moves()


def test_without_a_stopped_robot_there_is_nothing_to_recover_from(cell):
    with cell('healthy') as found:
        found.until('holding', 'base policy is stale')
        answer = found.call('recover')
        assert not answer.success and 'the robot takes targets' in answer.message
        found.arm.plan()
        found.until('running_base')
        answer = found.call('recover')
        assert not answer.success and 'nothing to recover from: running_base' in answer.message
        assert found.call('hold').success
        answer = found.call('recover')
        assert not answer.success and 'the robot takes targets' in answer.message
        assert found.state['latched'] == 'True' and not found.driver.calls
        assert found.call('resume').success
        assert found.moves()


def test_a_robot_that_fell_silent_can_be_recovered_without_knowing_why(cell):
    with cell('silent') as found:
        found.driver.stop_by(IDLE, is_told=False)
        found.until('holding', 'base policy is stale')
        found.arm.live(1.5)
        answer = found.call('recover')
        assert answer.success, answer.message
        assert found.driver.calls == [
            *WAY_BACK[:2], f'activate {", ".join(BROADCASTERS)} (2)']
        assert found.state['state'] == 'fault'
        assert found.call('resume').success
        assert found.moves()


def test_the_other_driver_is_asked_by_its_service(cell):
    with cell('fci', (), robot_state_topic='fci_arm/state',
              recovery__driver='fci_arm') as found:
        node = found.driver.node
        state = node.create_publisher(DiagnosticStatus, 'fci_arm/state', qos.LATCHED)

        def recover(request, response):
            # As fci_arm does: the new state is told, then the service answers.
            found.driver.calls.append('fci_arm')
            state.publish(status_message('fci_arm', 0, 'idle', {'robot_mode': 'idle'}))
            response.success, response.message = True, 'it is idle'
            return response

        node.create_service(Trigger, 'fci_arm/error_recovery', recover)
        state.publish(status_message(
            'fci_arm', 2, 'stopped: joint_reflex', {'robot_mode': 'reflex'}))
        found.until('fault', 'joint_reflex')
        answer = found.call('recover')
        assert answer.success and answer.message.startswith('error recovery: it is idle;')
        assert found.driver.calls == ['fci_arm']
        assert found.call('resume').success
        assert found.moves()
