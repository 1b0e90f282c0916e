# SPDX-License-Identifier: Apache-2.0
"""Actions and robot_state need packages that the wheels lack: here stand-ins with their fields."""
import math
from types import SimpleNamespace

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
import numpy as np
from ocrrl_ros.interfaces.chunk_conversions import joint_trajectory
from ocrrl_ros.interfaces.detections import detection_array
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.nodes.mujoco_bridge_description import LinkTransforms
from ocrrl_ros.nodes.mujoco_bridge_franka import (
    fill_robot_state, follow_trajectory, HandActions, recover)
from ocrrl_ros.perception.estimate import ObjectEstimate, TrackState
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.bridge_commands import ArmCommander, ArmMode
from ocrrl_ros.sim.bridge_hand import HandGoal
from ocrrl_ros.sim.bridge_readout import ArmReading
import pytest
from sensor_msgs.msg import JointState
from stand_in_vision_msgs import vision_msgs

Q = np.array(READY_POSITION)


class Handle:
    """A goal handle that records what becomes of the goal."""

    def __init__(self, request, cancel_after=math.inf):
        self.request, self.state, self.feedback = request, '', []
        self._cancel_after = cancel_after

    @property
    def is_cancel_requested(self):
        return len(self.feedback) >= self._cancel_after

    def publish_feedback(self, message):
        self.feedback.append(message)

    def succeed(self):
        self.state = 'succeeded'

    def abort(self):
        self.state = 'aborted'

    def canceled(self):
        self.state = 'canceled'


class Hand:
    """Fingers that close to ``stop_m`` at 0.1 m/s of simulated time."""

    def __init__(self, width_m=0.08, stop_m=0.0):
        self.width_m, self.goal_m, self.now_s, self._stop_m = width_m, width_m, 0.0, stop_m

    def actions(self):
        return HandActions(self.command, lambda: self.width_m, lambda: self.now_s, self.sleep)

    def command(self, opening):
        self.goal_m = 0.08 if opening > 0.5 else self._stop_m

    def sleep(self, seconds):
        self.now_s += seconds
        step = np.clip(self.goal_m - self.width_m, -0.1 * seconds, 0.1 * seconds)
        self.width_m = float(self.width_m + step)


def kind(**fields):
    return SimpleNamespace(
        Feedback=lambda **values: SimpleNamespace(current_width=0.0, **values),
        Result=lambda **values: SimpleNamespace(success=None, error='', **values), **fields)


def test_absent_package_is_none_and_no_error():
    assert optional('a_package_that_nobody_has.msg') is None


def test_grasp_succeeds_when_the_object_has_the_expected_width():
    hand = Hand(stop_m=0.04)
    execute = hand.actions().franka(kind(), lambda goal: HandGoal(
        width_m=goal.width, is_grasp=True))
    handle = Handle(SimpleNamespace(width=0.04))
    result = execute(handle)
    assert handle.state == 'succeeded' and result.success
    assert handle.feedback[0].current_width == pytest.approx(0.08)


def test_grasp_of_nothing_is_aborted_with_the_width_in_the_error():
    hand = Hand(stop_m=0.0)
    execute = hand.actions().franka(kind(), lambda goal: HandGoal(
        width_m=goal.width, is_grasp=True))
    handle = Handle(SimpleNamespace(width=0.04))
    result = execute(handle)
    assert handle.state == 'aborted' and not result.success
    assert 'width is 0.0000 m' in result.error


def test_impossible_width_is_aborted_without_motion():
    hand = Hand()
    execute = hand.actions().franka(kind(), lambda goal: HandGoal(width_m=goal.width))
    handle = Handle(SimpleNamespace(width=0.5))
    assert 'allowed: 0 .. 0.08 m' in execute(handle).error
    assert handle.state == 'aborted' and hand.goal_m == 0.08


def test_cancel_ends_the_goal():
    execute = Hand().actions().franka(kind(), lambda goal: HandGoal(width_m=0.0))
    handle = Handle(SimpleNamespace(), cancel_after=2)
    execute(handle)
    assert handle.state == 'canceled'


def test_gripper_command_is_per_finger_and_answers_in_width():
    hand = Hand(stop_m=0.04)
    handle = Handle(SimpleNamespace(command=SimpleNamespace(position=0.0)))
    result = hand.actions().gripper_command(kind())(handle)
    assert result.position == pytest.approx(0.04) and result.reached_goal
    handle = Handle(SimpleNamespace(command=SimpleNamespace(position=0.04)))
    assert hand.actions().gripper_command(kind())(handle).position == pytest.approx(0.08)


def test_trajectory_action_moves_the_commander_until_its_end():
    commander, hand = ArmCommander(Q), Hand()
    message = joint_trajectory(list(ARM_JOINT_NAMES), np.stack([Q, Q + 0.1]), 1.0, 0.0)
    handle = Handle(SimpleNamespace(trajectory=message))
    follow_trajectory(kind(), commander, lambda: hand.now_s, hand.sleep)(handle)
    assert handle.state == 'succeeded'
    assert commander.mode is ArmMode.TRAJECTORY
    assert hand.now_s >= 1.0
    bad = joint_trajectory(['a'] * 7, np.zeros((2, 7)), 1.0, 0.0)
    handle = Handle(SimpleNamespace(trajectory=bad))
    result = follow_trajectory(kind(), commander, lambda: 0.0, hand.sleep)(handle)
    assert handle.state == 'aborted' and 'allowed' in result.error_string


def test_error_recovery_holds():
    commander, handle = ArmCommander(Q), Handle(SimpleNamespace())
    commander.on_joint_target(Q + 0.1, np.zeros(7))
    recover(kind(), commander)(handle)
    assert handle.state == 'succeeded' and commander.mode is ArmMode.HOLD


@pytest.mark.parametrize('end', ['recovery', 'cancelled trajectory'])
def test_what_ends_a_cartesian_motion_holds_where_the_arm_is(end):
    commander = ArmCommander(Q)
    commander.on_pose_target(np.array([0.4, 0.0, 0.4, 1.0, 0.0, 0.0, 0.0]))
    commander.on_cartesian_motion(Q + 0.2)
    if end == 'recovery':
        recover(kind(), commander)(Handle(SimpleNamespace()))
    else:
        message = joint_trajectory(list(ARM_JOINT_NAMES), (Q + 0.3)[None], 1.0, 0.0)
        message.points[0].time_from_start.sec = 1
        handle = Handle(SimpleNamespace(trajectory=message), cancel_after=0)
        follow_trajectory(kind(), commander, lambda: 0.0, lambda _: None)(handle)
        assert handle.state == 'canceled'
    assert commander.mode is ArmMode.HOLD
    np.testing.assert_array_equal(commander.joint_command(0.0)[0], Q + 0.2)


def test_transforms_of_the_links_are_published_where_tf2_is_installed():
    sent = []
    node = SimpleNamespace(create_publisher=lambda _, name, profile: SimpleNamespace(
        name=name, profile=profile, publish=lambda message: sent.append((name, message))))
    links = LinkTransforms(node, lambda transforms=(): SimpleNamespace(transforms=transforms))
    name, fixed = sent.pop()
    assert name == '/tf_static'
    assert 'fr3_hand_tcp' in {transform.child_frame_id for transform in fixed.transforms}
    state = SimpleNamespace(q=Q, finger_positions=np.array([0.03, 0.02]))
    links.fill(ArmReading(state, FrankaKinematics(), Q, np.zeros(7)), Time(sec=3))
    by_child = {
        transform.child_frame_id: transform for transform in links.message.transforms}
    assert len(by_child) == 9
    finger = by_child['fr3_leftfinger']
    assert (finger.header.frame_id, finger.header.stamp.sec) == ('fr3_hand', 3)
    assert finger.transform.translation.y == pytest.approx(0.03)


def test_robot_state_carries_joints_poses_and_wrenches():
    state = SimpleNamespace(
        q=Q, dq=np.zeros(7), tau=np.zeros(7), tau_external=np.ones(7),
        finger_positions=np.zeros(2))
    reading = ArmReading(state, FrankaKinematics(), Q, np.zeros(7))
    message = SimpleNamespace(
        header=JointState().header, measured_joint_state=JointState(),
        desired_joint_state=JointState(), tau_ext_hat_filtered=JointState(),
        o_t_ee=PoseStamped(), o_t_ee_d=PoseStamped(), o_t_ee_c=PoseStamped(),
        o_f_ext_hat_k=WrenchStamped(), k_f_ext_hat_k=WrenchStamped(),
        o_dp_ee_d=TwistStamped())
    fill_robot_state(message, reading, Time(sec=3))
    assert message.o_t_ee.pose.position.x == pytest.approx(0.306891, abs=1e-6)
    assert list(message.measured_joint_state.position) == list(READY_POSITION)
    assert list(message.tau_ext_hat_filtered.effort) == [1.0] * 7
    assert (message.time, message.robot_mode) == (3.0, 2)


def estimate(valid=True):
    """Return an object whose bounding box is not about its frame, turned half about z."""
    return ObjectEstimate(
        object_id='drawer', stamp_s=2.5, base_T_object=np.array([0.5, 0.1, 0.2, 0, 0, 1.0, 0]),
        covariance=np.diag(np.arange(6.0)), confidence=0.97, state=TrackState.OK, valid=valid,
        just_lost=False, parts={})


def test_detections_carry_box_object_and_score():
    bounds = np.array([[-0.1, -0.2, 0.0], [0.3, 0.2, 0.1]])
    message = detection_array(vision_msgs(), [estimate()], {'drawer': bounds}, 2.5)
    assert (message.header.frame_id, message.header.stamp.sec) == ('base', 2)
    found = message.detections[0]
    box, result = found.bbox, found.results[0]
    assert (found.id, result.hypothesis.class_id) == ('drawer', 'drawer')
    assert result.hypothesis.score == pytest.approx(0.97)
    assert (box.size.x, box.size.y, box.size.z) == pytest.approx((0.4, 0.4, 0.1))
    # Half a turn about z: the middle, 0.1 m along x, lies on the other side.
    assert box.center.position.x == pytest.approx(0.4)
    assert box.center.position.z == pytest.approx(0.25)
    assert result.pose.pose.position.x == pytest.approx(0.5)
    assert list(result.pose.covariance[:8]) == [0.0] * 7 + [1.0]


def test_objects_that_are_not_trusted_are_no_detections():
    message = detection_array(vision_msgs(), [estimate(valid=False)], {}, 0.0)
    assert message.detections == []
