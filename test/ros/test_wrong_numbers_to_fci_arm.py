# SPDX-License-Identifier: Apache-2.0
"""NaN, Inf and 1e30 in every number that `fci_arm` hears, at rest and in motion."""

from mock_fci import mock_robot
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.limits import JointLimits
from sensor_msgs.msg import JointState
from test_wrong_numbers_to_nodes import staged

Q = np.array(READY_POSITION)
NEAR = Q + 0.1
LIMITS = JointLimits.for_image()
TOPIC = 'target_joint'


def aim(q):
    """Return a joint target with a number in every place that the message has."""
    return conv.joint_state(ARM_JOINT_NAMES, q, np.zeros(7), np.zeros(7))


def test_fci_arm(ros, probe, tmp_path, pylibfranka):
    with mock_robot() as robot, staged(
            probe, tmp_path, 'fci_arm', robot_ip=robot.address, reconnect_s=0.2) as stage:
        joints = probe.listen(
            JointState, f'{stage.namespace}/franka/joint_states', qos.DEEP_RELIABLE)
        stage.until(lambda: joints, 'joint states of the robot')
        at_rest = stage.sweep({TOPIC: lambda: aim(Q)})
        assert len(at_rest.topics[TOPIC]) == 21 and set(at_rest.topics) == {TOPIC}
        at_rest.run_until_named(TOPIC, stage.beat)
        np.testing.assert_allclose(robot.status()['q'], Q, atol=1e-3)
        # The place of the wrong number is the only difference to a target that is followed.
        in_motion = stage.sweep({TOPIC: lambda: aim(NEAR)})

        def near():
            stage.send(TOPIC, aim(NEAR))
            stage.beat()
            return np.abs(np.array(robot.status()['q']) - NEAR).max() < 2e-3

        stage.send(TOPIC, aim(NEAR))
        in_motion.run(TOPIC, stage.beat)
        stage.until(near, 'the good target')
        assert 'stopped:' not in stage.node.log
    q = np.array([message.position for message in joints])
    speeds = np.array([message.velocity for message in joints])
    lower, upper = LIMITS.velocity_bounds(q)
    assert np.isfinite(q).all() and np.isfinite(speeds).all()
    assert (q > Q - 0.01).all() and (q < NEAR + 0.01).all()
    assert (speeds >= lower).all() and (speeds <= upper).all()
