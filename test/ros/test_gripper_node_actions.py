# SPDX-License-Identifier: Apache-2.0
"""The node `gripper` as a process, before action servers that behave like franka_gripper's."""

import os
from pathlib import Path
import signal
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.conversions import from_stamp
import pytest
from ros_harness import NodeProcess, running, WALL_LIMIT_S
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

pytest.importorskip(
    'test_msgs.action', reason='test_msgs is missing: pip install ros-test-msgs==2.0.3, or '
    'apt-get install ros-jazzy-test-msgs')

from played_gripper import PlayedGripper  # noqa: E402, I100, I202
from stand_in_actions import write_packages  # noqa: E402

MODULE = 'ocrrl_ros.nodes.gripper_node'
COMMANDS = 'gripper/gripper_position_controller/commands'


class Desk:
    """Wishes openings at 30 Hz and listens to the node."""

    def __init__(self, probe):
        """Subscribe."""
        self._probe = probe
        self.states = probe.listen(DiagnosticStatus, 'gripper/state', qos.LATCHED)
        self.openings = probe.listen(JointState, 'gripper/joint_states', qos.RELIABLE)
        self.diagnoses = probe.listen(DiagnosticArray, '/diagnostics', qos.RELIABLE)
        self.node = None

    def wish(self, opening, predicate, what):
        """Wish an opening (None: nothing) until the predicate holds."""
        end_s = time.monotonic() + WALL_LIMIT_S
        while not predicate():
            assert time.monotonic() < end_s, f'no {what}; state {self.values}; {self.node.log}'
            assert self.node.process.poll() is None, self.node.log
            if opening is not None:
                self._probe.publish(COMMANDS, Float64MultiArray(data=[opening]), qos.LATEST)
            self._probe.poll()
            time.sleep(1.0 / 30.0)

    def until_phase(self, phase, opening):
        """Wish an opening until the node is in a phase."""
        self.wish(opening, lambda: self.values.get('phase') == phase, f'phase {phase}')

    @property
    def phases(self):
        """Return the phases that were told, without repetitions."""
        found = [self._values(state)['phase'] for state in self.states]
        return [a for a, b in zip(found, [None, *found]) if a != b]

    @property
    def values(self):
        """Return the values of the newest state."""
        return self._values(self.states[-1]) if self.states else {}

    def _values(self, state):
        return {pair.key: pair.value for pair in state.values}


@pytest.fixture
def gripper(ros):
    found = PlayedGripper(stop_m=0.03)
    yield found
    found.close()


@pytest.fixture
def desk(ros):
    from ros_harness import Probe
    probe = Probe()
    yield Desk(probe)
    probe.close()


@pytest.fixture
def start(tmp_path, monkeypatch, desk):
    """Return a function that starts the node, with stand-ins for the absent packages."""
    tests = Path(__file__).resolve().parent
    write_packages(tmp_path / 'packages')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([
        str(tmp_path / 'packages'), str(tests.parent), os.environ.get('PYTHONPATH', '')]))

    def begin(**parameters):
        desk.states.clear()
        desk.node = NodeProcess(MODULE, tmp_path / 'gripper.log', {
            name.replace('__', '.'): value for name, value in parameters.items()})
        return desk.node

    return begin


def test_openings_become_grasps_stops_and_moves_and_the_state_is_told(start, desk, gripper):
    with running(start()) as node:
        desk.until_phase('idle', None)
        assert desk.values['homed'] == 'unknown' and gripper.calls == []
        desk.until_phase('holding', 0.0)
        assert gripper.calls == [('grasp', pytest.approx({
            'width': 0.0, 'speed': 0.1, 'force': 50.0, 'inner': 0.01, 'outer': 0.08}))]
        assert (desk.values['last_result'], desk.values['target']) == ('grasp succeeded', '0')
        desk.until_phase('open', 1.0)
        gripper.stop_m = 0.0
        desk.until_phase('empty', 0.1)
        desk.until_phase('open', 0.9)
    assert node.process.returncode == 0, node.log
    assert gripper.names == ['grasp', 'stop', 'move', 'grasp', 'stop', 'move']
    assert gripper.calls[2] == ('move', pytest.approx({'width': 0.078, 'speed': 0.1}))
    assert gripper.most_at_once == 1
    # A stop takes less time than the next state needs to replace its own.
    assert [phase for phase in desk.phases if phase not in ('waiting', 'stopping')] == [
        'idle', 'closing', 'closed', 'holding', 'opening', 'open', 'closing', 'closed', 'empty',
        'opening', 'open']
    assert {state.name for state in desk.states} == {'gripper'}
    assert {state.level for state in desk.states[1:]} == {DiagnosticStatus.OK}


def test_fingers_come_out_as_an_opening_with_their_own_stamps(start, desk, gripper):
    fingers = desk._probe.listen(JointState, 'franka_gripper/joint_states', qos.DEEP_RELIABLE)
    with running(start()):
        desk.wish(None, lambda: desk.openings, 'opening of a hand at rest')
        assert desk.openings[0].position[0] == pytest.approx(1.0)
        desk.until_phase('holding', 0.0)
        told = len(desk.openings)
        desk.wish(None, lambda: len(desk.openings) > told + 3, 'openings')
    assert desk.openings[-1].position[0] == pytest.approx(0.03 / 0.08)
    assert list(desk.openings[-1].name) == ['gripper']
    stamps = {from_stamp(message.header.stamp) for message in fingers}
    assert {from_stamp(message.header.stamp) for message in desk.openings} <= stamps


def test_an_operator_homes_the_hand_and_reads_that_it_is_homed(start, desk, gripper):
    with running(start()):
        desk.until_phase('idle', None)
        answer = desk._probe.call(Trigger, 'gripper/home')
        assert answer.success and 'gripper/state' in answer.message
        desk.wish(None, lambda: desk.values['homed'] == 'yes', 'homed hand')
        assert gripper.names == ['stop', 'homing']
        late = desk._probe.listen(DiagnosticStatus, 'gripper/state', qos.LATCHED)
        desk.wish(None, lambda: late, 'state for who comes late')
        assert ('homed', 'yes') in [(pair.key, pair.value) for pair in late[0].values]


def test_the_first_wish_homes_where_that_is_asked_for(start, desk, gripper):
    with running(start(hand__home_first=True)):
        desk.until_phase('idle', None)
        assert gripper.calls == []
        desk.until_phase('holding', 0.0)
    assert gripper.names == ['stop', 'homing', 'grasp']
    assert desk.values['homed'] == 'yes' and gripper.most_at_once == 1


def test_a_driver_that_is_late_or_goes_and_comes_back_is_named(start, desk, ros):
    with running(start(hand__gone_after_s=0.3)) as node:
        desk.until_phase('waiting', None)
        assert 'franka_gripper/grasp' in desk.states[-1].message
        assert desk.states[-1].level == DiagnosticStatus.WARN
        first = PlayedGripper(stop_m=0.03)
        first.is_stuck = True
        desk.until_phase('closing', 0.0)
        desk.wish(0.0, lambda: first.calls, 'grasp')
        first.close(is_sudden=True)
        desk.wish(0.0, lambda: 'server gone' in desk.values['last_result'], 'loss')
        second = PlayedGripper(stop_m=0.03)
        try:
            desk.until_phase('holding', 0.0)
            assert second.names == ['stop', 'grasp']
        finally:
            second.close()
    assert 'waiting for' in node.log


def test_a_hand_that_hangs_is_stopped_tried_again_and_given_up(start, desk, gripper):
    gripper.is_stuck = True
    with running(start(hand__command_timeout_s=0.5, hand__retries=1, hand__retry_wait_s=0.1)):
        desk.until_phase('failed', 0.0)
        assert gripper.names == ['grasp', 'stop', 'grasp']
        assert desk.states[-1].level == DiagnosticStatus.ERROR
        assert 'given up after 2 tries: grasp timed out' in desk.states[-1].message
        desk.wish(0.0, lambda: any(
            'given up' in status.message for message in desk.diagnoses
            for status in message.status if status.name == 'gripper'), 'diagnosis')
        gripper.is_stuck = False
        desk.until_phase('open', 1.0)
    assert gripper.names == ['grasp', 'stop', 'grasp', 'stop', 'move']
    assert gripper.most_at_once <= 2


def test_gripper_command_gets_half_of_the_width_and_the_force(start, desk, gripper):
    with running(start(driver='gripper_command', hand__force_n=30.0)):
        desk.until_phase('reached', 0.5)
        desk.wish(1.0, lambda: (
            desk.values['last_result'] == 'move succeeded: position 0.0780 m'), 'wider hand')
    assert gripper.calls == [
        ('gripper_action', pytest.approx({'position': 0.5 * 0.5 * 0.078, 'max_effort': 30.0})),
        ('gripper_action', pytest.approx({'position': 0.5 * 0.078, 'max_effort': 30.0}))]
    assert desk.values['phase'] == 'reached'
    assert desk.values['homed'] == 'not offered'


def test_a_gripper_command_that_hangs_is_cancelled(start, desk, gripper):
    gripper.is_stuck = True
    with running(start(
            driver='gripper_command', mode='binary', hand__command_timeout_s=0.5,
            hand__retry_wait_s=0.1)):
        desk.wish(0.0, lambda: len(gripper.calls) == 2, 'second try')
        assert gripper.most_at_once == 1
        gripper.is_stuck = False
        desk.until_phase('empty', 0.0)


@pytest.mark.parametrize('parameters', [{}, {'hand__home_first': True}])
def test_a_killed_node_that_comes_back_does_not_let_go_of_what_the_hand_holds(
        start, desk, gripper, parameters):
    with running(start(**parameters)) as node:
        desk.until_phase('holding', 0.0)
        os.kill(node.process.pid, signal.SIGKILL)
        assert node.wait() == -signal.SIGKILL
    count = len(gripper.calls)
    with running(start(**parameters)):
        desk.until_phase('idle', None)
        until_s = time.monotonic() + 0.5
        desk.wish(None, lambda: time.monotonic() > until_s, 'silence')
        assert gripper.calls[count:] == [] and gripper.width_m == 0.03
        desk.until_phase('holding', 0.1)
        # Pressing on what it holds lets go of nothing.
        assert set(gripper.names[count:]) == {'grasp'} and gripper.width_m == 0.03
        desk.until_phase('open', 0.9)
    assert gripper.names[count:] == [
        'grasp', 'stop', *['homing'] * len(parameters), 'move']
    assert gripper.most_at_once == 1
