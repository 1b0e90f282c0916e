# SPDX-License-Identifier: Apache-2.0
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.se3 import quat_canonical, quat_normalize
from ocrrl_ros.interfaces import chunk_conversions as chunks
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.perception.frame import CameraModel, Intrinsics
from ocrrl_ros.policy.action_chunk import ActionChunk
import pytest

RNG = np.random.default_rng(0)
JOINTS = [f'fr3_joint{i}' for i in range(1, 8)]


def random_pose():
    return np.concatenate([
        RNG.normal(size=3), quat_canonical(quat_normalize(RNG.normal(size=4)))])


def random_chunk(length=16, stamp_s=12.25):
    poses = np.stack([random_pose() for _ in range(length)])
    return ActionChunk(stamp_s, 0.05, poses, RNG.uniform(size=length))


@pytest.mark.parametrize('stamp_s', [0.0, 1e-9, 1.999999999, 12.345, 86400.001])
def test_stamp_round_trip_is_exact_to_a_nanosecond(stamp_s):
    assert conv.from_stamp(conv.to_stamp(stamp_s)) == pytest.approx(stamp_s, abs=6e-10)


def test_pose_round_trip():
    pose = random_pose()
    np.testing.assert_array_equal(conv.pose_to_array(conv.array_to_pose(pose)), pose)
    message = conv.transform_stamped(pose, 'base', 'tool')
    np.testing.assert_array_equal(conv.transform_to_array(message), pose)


def test_pose_with_covariance_round_trip():
    pose, covariance = random_pose(), RNG.normal(size=(6, 6))
    message = conv.pose_with_covariance(pose, covariance, 'base', 3.5)
    found, flat, stamp_s = conv.pose_with_covariance_to_arrays(message)
    np.testing.assert_array_equal(found, pose)
    np.testing.assert_array_equal(flat.reshape(6, 6), covariance)
    assert stamp_s == 3.5


@pytest.mark.parametrize('bad', [np.nan, 5.0])
def test_pose_with_nan_or_long_quaternion_is_refused(bad):
    message = conv.array_to_pose([0, 0, 0, 0, 0, 0, 1])
    message.orientation.w = bad
    with pytest.raises(InputError, match='target_pose'):
        conv.checked_pose(message, 'target_pose')


def test_wrench_and_twist_round_trip():
    values = RNG.normal(size=6)
    wrench = conv.wrench_stamped(values, 'base', 1.0)
    np.testing.assert_array_equal(conv.wrench_to_array(wrench.wrench), values)
    twist = conv.fill_twist(conv.Twist(), values)
    np.testing.assert_array_equal(conv.twist_to_array(twist), values)


def test_joints_are_matched_by_name_not_by_position():
    order = RNG.permutation(7)
    values = RNG.normal(size=7)
    message = conv.joint_state(
        [JOINTS[i] for i in order] + ['fr3_finger_joint1'], [*values[order], 0.02])
    np.testing.assert_array_equal(conv.joint_values(message, JOINTS), values)


def test_left_out_velocities_are_zero_but_left_out_joints_are_refused():
    message = conv.joint_state(JOINTS[:6], np.zeros(6))
    np.testing.assert_array_equal(conv.joint_values(message, JOINTS[:6], 'velocity'), 0.0)
    with pytest.raises(InputError, match='fr3_joint7'):
        conv.joint_values(message, JOINTS)
    assert not conv.has_joints(message, JOINTS)


def test_joint_value_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match='finite'):
        conv.joint_values(conv.joint_state(JOINTS, [np.inf] * 7), JOINTS)


def test_more_names_than_values_are_refused():
    with pytest.raises(InputError, match='6 values'):
        conv.joint_values(conv.joint_state(JOINTS, np.zeros(6)), JOINTS)


def test_named_vector_round_trip():
    values = {'base.x': 0.5, 'residual.rz': -0.1}
    assert conv.named_vector_to_dict(conv.named_vector(values, 2.0)) == values


@pytest.mark.parametrize('encoding, kind, channels', [
    ('rgb8', np.uint8, 3), ('16UC1', np.uint16, 1), ('32FC1', np.float32, 1)])
def test_image_round_trip(encoding, kind, channels):
    shape = (6, 5, channels) if channels > 1 else (6, 5)
    pixels = RNG.integers(0, 200, shape).astype(kind)
    message = images.image_message(pixels, encoding, 'camera_color_optical_frame', 1.5)
    assert message.step == 5 * channels * np.dtype(kind).itemsize
    np.testing.assert_array_equal(images.image_to_array(message, 'test'), pixels)


def test_row_padding_and_byte_order_are_honoured():
    pixels = RNG.integers(0, 60000, (3, 4)).astype(np.uint16)
    message = images.image_message(pixels, '16UC1', 'optical', 0.0)
    padded = np.zeros((3, 12), np.uint8)
    padded[:, :8] = pixels.astype('>u2').view(np.uint8).reshape(3, 8)
    message.step, message.is_bigendian = 12, 1
    message.data = padded.tobytes()
    np.testing.assert_array_equal(images.image_to_array(message, 'test'), pixels)


def test_millimetres_and_float_metres_give_the_same_depth():
    depth = np.array([[500, 0], [731, 1000]], np.uint16)
    metres = np.where(depth > 0, depth / 1000, np.nan).astype(np.float32)
    from_mm = images.image_to_depth(images.image_message(depth, '16UC1', 'o', 0.0))
    from_m = images.image_to_depth(images.image_message(metres, '32FC1', 'o', 0.0))
    np.testing.assert_allclose(from_mm, from_m, atol=1e-6)
    assert from_m[0, 1] == 0.0


def test_bgr_is_turned_into_rgb():
    pixels = RNG.integers(0, 255, (2, 2, 3)).astype(np.uint8)
    message = images.image_message(pixels, 'bgr8', 'o', 0.0)
    np.testing.assert_array_equal(images.image_to_rgb(message), pixels[..., ::-1])


def test_unknown_encoding_and_truncated_image_are_refused():
    message = images.image_message(np.zeros((4, 4), np.uint16), '16UC1', 'o', 0.0)
    with pytest.raises(InputError, match='allowed: rgb8, bgr8'):
        images.image_to_rgb(message)
    message.data = message.data[:10]
    with pytest.raises(InputError, match='truncated'):
        images.image_to_depth(message)


def test_camera_info_round_trip_with_and_without_distortion():
    camera = Intrinsics(fx=615.0, fy=614.0, cx=319.5, cy=240.5, width=640, height=480)
    message = images.camera_info(camera, 'camera_color_optical_frame', 0.0)
    assert images.camera_info_to_intrinsics(message) == camera
    assert images.camera_info_to_model(message) == CameraModel(intrinsics=camera)
    lens = CameraModel(
        intrinsics=camera, distortion_model='equidistant', distortion=(0.1, 0.0, 0.02, 0.0))
    message = images.camera_info(lens, 'camera_color_optical_frame', 0.0)
    assert images.camera_info_to_model(message) == lens
    assert images.camera_info_to_intrinsics(message) == camera


@pytest.mark.parametrize('wrong', [float('nan'), float('inf'), 1e30, -1e30])
@pytest.mark.parametrize('index', [0, 2, 4, 5])
def test_camera_info_that_no_camera_has_is_refused(index, wrong):
    camera = Intrinsics(fx=615.0, fy=614.0, cx=319.5, cy=240.5, width=640, height=480)
    message = images.camera_info(camera, 'camera_color_optical_frame', 0.0)
    message.k[index] = wrong
    with pytest.raises(InputError, match='my_info has (focal|principal)'):
        images.camera_info_to_model(message, 'my_info')


def test_chunk_round_trip():
    chunk = random_chunk()
    found = chunks.messages_to_chunk(*chunks.chunk_to_messages(chunk))
    np.testing.assert_allclose(found.poses, chunk.poses, atol=1e-12)
    np.testing.assert_allclose(found.grippers, chunk.grippers)
    assert found.stamp_s == chunk.stamp_s
    assert found.step_s == pytest.approx(0.05)


def test_chunk_with_nan_wrong_name_stamp_or_length_is_refused():
    tcp, gripper = chunks.chunk_to_messages(random_chunk())
    tcp.points[3].transforms[0].translation.y = float('nan')
    with pytest.raises(InputError, match='finite'):
        chunks.messages_to_chunk(tcp, gripper)
    tcp, gripper = chunks.chunk_to_messages(random_chunk())
    tcp.joint_names = ['tool0']
    with pytest.raises(InputError, match='fr3_hand_tcp'):
        chunks.messages_to_chunk(tcp, gripper)
    tcp, _ = chunks.chunk_to_messages(random_chunk())
    _, late = chunks.chunk_to_messages(random_chunk(stamp_s=12.3))
    with pytest.raises(InputError, match='one stamp'):
        chunks.messages_to_chunk(tcp, late)
    _, short = chunks.chunk_to_messages(random_chunk(length=8))
    with pytest.raises(InputError, match='8 points'):
        chunks.messages_to_chunk(tcp, short)


def test_joint_chunk_is_sorted_by_name():
    positions = RNG.normal(size=(4, 7))
    order = RNG.permutation(7)
    joints = chunks.joint_trajectory(
        [JOINTS[i] for i in order], positions[:, order], 0.05, 2.0)
    gripper = chunks.joint_trajectory(['gripper'], np.ones((4, 1)), 0.05, 2.0)
    stamp_s, step_s, found, opening = chunks.messages_to_joint_chunk(joints, gripper, JOINTS)
    np.testing.assert_array_equal(found, positions)
    np.testing.assert_array_equal(opening, 1.0)
    assert (stamp_s, step_s) == (2.0, pytest.approx(0.05))
