# SPDX-License-Identifier: Apache-2.0
"""An episode begins once the arm passes its checks, and not before."""

from diagnostic_msgs.msg import DiagnosticArray
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.arm_sinks import SinkConfig
from ocrrl_ros.interfaces.arming_gate import arming_for_sink, ArmingGate
from ocrrl_ros.interfaces.monitor import DIAGNOSTICS_TOPIC, LoopMonitor
from ocrrl_ros.robot.arming_config import ArmingConfig
from ocrrl_ros.robot.robot_config import load_robot
from played_arm import arm_beside_node, KINEMATICS
from played_robot import controller, PlayedRobot, stand_in_types
import pytest
from ros_harness import Probe

#: A loaded machine delays messages by more than the 20 ms of a robot's network.
CHECKS = {'preflight': True, 'arming__max_stamp_offset_s': 0.1, 'arming__max_age_s': 2.0}


class Teller:
    """An arm that also tells its pose, which is off by some millimetres along x."""

    def __init__(self, arm):
        """Begin with a pose that is right."""
        self.arm, self.off_m = arm, 0.0

    def live_until(self, predicate, what):
        """Live and tell until the predicate holds."""
        def told():
            pose = KINEMATICS.forward(self.arm.joints())
            pose[0] += self.off_m
            self.arm.publish('current_pose', conv.pose_stamped(pose, 'base', self.arm.now_s()))
            return predicate()
        self.arm.live_until(told, what)

    def live(self, duration_s):
        """Live and tell for a while."""
        end_s = self.arm.now_s() + duration_s
        self.live_until(lambda: self.arm.now_s() > end_s, 'the time')


def test_an_arm_whose_pose_is_wrong_starts_once_it_is_right(ros, probe, tmp_path):
    reports = probe.listen(DiagnosticArray, DIAGNOSTICS_TOPIC, qos.RELIABLE)
    with arm_beside_node(
            probe, tmp_path, 'preflight', arming__arm='sim', **CHECKS) as arm:
        teller = Teller(arm)
        teller.off_m = 0.002
        arm.start()
        teller.live_until(
            lambda: 'kinematics: current_pose is 2.00 mm' in arm.states[-1].message,
            'a refusal by name')
        arm.plan()
        teller.live(0.5)
        teller.live_until(lambda: any(
            'kinematics' in values.get('arming_refused', '') for values in told(reports)),
            'the reason on /diagnostics')
        assert not arm.targets
        assert {values['torque_rate_peak_nm_s'] for values in told(reports)} == {'0'}
        teller.off_m = 0.0
        teller.live_until(
            lambda: state_of(arm) in ('running_base', 'holding'), 'the episode')
        arm.plan()
        teller.live_until(lambda: arm.targets, 'a command')
        # In the episode nothing is looked at any more, and nothing stops it.
        teller.off_m = 0.05
        count = len(arm.targets)
        teller.live(0.5)
        assert len(arm.targets) > count
        teller.live_until(lambda: any(
            float(values['torque_rate_peak_nm_s']) > 1.0 for values in told(reports)),
            'the torque rate on /diagnostics')
        arm.stop()
        arm.start()
        teller.live_until(lambda: 'kinematics' in arm.states[-1].message, 'another refusal')


def told(reports):
    """Return the values of each report of the node."""
    return [{pair.key: pair.value for pair in status.values} for report in reports
            for status in report.status if status.name == 'residual_policy']


def state_of(arm):
    """Return the state that the node has told last."""
    return {pair.key: pair.value for pair in arm.states[-1].values}['state']


def test_a_real_arm_of_which_nothing_is_known_is_not_moved(ros, probe, tmp_path):
    with arm_beside_node(
            probe, tmp_path, 'unknown', arming__arm='franka_ros2', **CHECKS) as arm:
        arm.start()
        arm.live_until(lambda: 'preflight refuses' in arm.states[-1].message, 'a refusal')
        arm.plan()
        arm.live(0.5)
        assert not arm.targets and 'ocrrl doctor --robot' in arm.states[-1].message


def test_what_was_seen_before_a_pause_lets_nothing_begin(ros):
    probe, robot = Probe(), PlayedRobot()
    gate = ArmingGate(
        probe.node, ArmingConfig(arm='franka_ros2', max_stamp_offset_s=0.1), load_robot(),
        'franka/joint_states', stand_in_types())
    monitor = LoopMonitor('probe', 0.005)
    ahead_s = 0.0

    def refusal():
        robot.beat()
        now_s = robot.now_s() + ahead_s
        gate.step(now_s, monitor)
        try:
            gate.check(now_s)
        except InputError as error:
            return str(error)
        return ''
    try:
        assert refusal().startswith('preflight refuses: the arm has not been looked at')
        probe.until(lambda: not refusal(), what='an arm that may move')
        robot.controllers = [controller('joint_trajectory_controller')]
        ahead_s = 60.0
        robot.stamp_offset_s = -ahead_s
        told = [refusal()]
        assert 'not been looked at' in told[0]
        probe.until(lambda: told.append(refusal()) or 'controller: active is' in told[-1],
                    what='the other controller')
        assert '' not in told
    finally:
        robot.close()
        probe.close()


def test_the_checks_are_for_the_controller_that_the_sink_feeds():
    real, sinks = ArmingConfig(arm='franka_ros2'), SinkConfig(jtc_controller='mine')

    def names(sink, config=real):
        found = arming_for_sink(config, sink, sinks)
        # Training's gains are those of CRISP's law, and of no other.
        assert ('gains' in found.required) == (
            config.arm == 'franka_ros2' and sink.startswith('crisp'))
        return found.target, found.allowed_controllers
    assert names('crisp_pose') == ('target_pose', ('cartesian_impedance_controller',))
    assert names('crisp_joint') == ('target_joint', ('joint_impedance_controller',))
    assert names('jtc_trajectory') == ('mine/joint_trajectory', ('mine',))
    with pytest.raises(ConfigError, match='arming.controllers is empty; .*gello_joint'):
        names('gello_joint')
    named = ArmingConfig(arm='franka_ros2', controllers=('gello',))
    assert names('gello_joint', named) == ('gello/joint_states', ('gello',))
    assert names('equilibrium_pose', named)[0] == sinks.equilibrium_pose_topic
    assert names('ptp_async', ArmingConfig(arm='fci'))[0] == 'target_joint'
