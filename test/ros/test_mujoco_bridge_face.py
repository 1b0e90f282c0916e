# SPDX-License-Identifier: Apache-2.0
"""
The live graph of the simulated robot against the list of what the real one offers.

The rows are written out here, from franka_ros2 v3.4.0, CRISP 2.3, ros2_controllers and
realsense2_camera 4.55 (what needs only standard messages), so that the code cannot agree with
itself.
"""
import importlib.util
import time
import xml.etree.ElementTree as ET

import cv2
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import image_conversions as images
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.rgbd_outbox import RgbdOutbox
from ocrrl_ros.perception.frame import CameraModel
from ocrrl_ros.sim.domain import load_domain
import pytest
from rcl_interfaces.srv import GetParameters
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from ros_harness import NodeProcess, Probe, running
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

MODULE = 'ocrrl_ros.nodes.mujoco_bridge_node'
TICK_S = 0.005
OUT, IN = 'published', 'subscribed'
RELIABLE, BEST_EFFORT = 'reliable', 'best_effort'
VOLATILE, LATCHED = 'volatile', 'transient_local'
JOINTS, WRENCH = 'sensor_msgs/msg/JointState', 'geometry_msgs/msg/WrenchStamped'
POSE, TWIST = 'geometry_msgs/msg/PoseStamped', 'geometry_msgs/msg/TwistStamped'
ARRAY, TRAJECTORY = 'std_msgs/msg/Float64MultiArray', 'trajectory_msgs/msg/JointTrajectory'
IMAGE, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
COMPRESSED, TF = 'sensor_msgs/msg/CompressedImage', 'tf2_msgs/msg/TFMessage'
BRIDGE, DESCRIPTION = 'mujoco_bridge', 'robot_state_publisher'
RENDERER = 'mujoco_bridge_renderer'

# name, type, reliability, durability, direction seen from the robot, node.
ARM = [
    # franka_ros2: joint_state_publisher, joint_state_broadcaster (SystemDefaults)
    ('joint_states', JOINTS, RELIABLE, VOLATILE, OUT, BRIDGE),
    ('franka/joint_states', JOINTS, RELIABLE, VOLATILE, OUT, BRIDGE),
    # franka_ros2: the broadcaster's convenience topics
    ('franka_robot_state_broadcaster/current_pose', POSE, BEST_EFFORT, VOLATILE, OUT, BRIDGE),
    ('franka_robot_state_broadcaster/last_desired_pose',
     POSE, BEST_EFFORT, VOLATILE, OUT, BRIDGE),
    ('franka_robot_state_broadcaster/desired_end_effector_twist',
     TWIST, BEST_EFFORT, VOLATILE, OUT, BRIDGE),
    ('franka_robot_state_broadcaster/measured_joint_states',
     JOINTS, BEST_EFFORT, VOLATILE, OUT, BRIDGE),
    ('franka_robot_state_broadcaster/desired_joint_states',
     JOINTS, BEST_EFFORT, VOLATILE, OUT, BRIDGE),
    ('franka_robot_state_broadcaster/external_joint_torques',
     JOINTS, BEST_EFFORT, VOLATILE, OUT, BRIDGE),
    ('franka_robot_state_broadcaster/external_wrench_in_base_frame',
     WRENCH, BEST_EFFORT, VOLATILE, OUT, BRIDGE),
    ('franka_robot_state_broadcaster/external_wrench_in_stiffness_frame',
     WRENCH, BEST_EFFORT, VOLATILE, OUT, BRIDGE),
    # CRISP
    ('current_pose', POSE, RELIABLE, VOLATILE, OUT, BRIDGE),
    ('current_twist', TWIST, RELIABLE, VOLATILE, OUT, BRIDGE),
    ('target_pose', POSE, RELIABLE, VOLATILE, IN, BRIDGE),
    ('target_joint', JOINTS, RELIABLE, VOLATILE, IN, BRIDGE),
    ('target_wrench', WRENCH, RELIABLE, VOLATILE, IN, BRIDGE),
    ('target_stiffness', ARRAY, RELIABLE, VOLATILE, IN, BRIDGE),
    ('gripper/gripper_position_controller/commands', ARRAY, RELIABLE, VOLATILE, IN, BRIDGE),
    ('gripper/joint_states', JOINTS, RELIABLE, VOLATILE, OUT, BRIDGE),
    # franka_gripper
    ('franka_gripper/joint_states', JOINTS, RELIABLE, VOLATILE, OUT, BRIDGE),
    # joint_trajectory_controller, under both names in use
    ('joint_trajectory_controller/joint_trajectory',
     TRAJECTORY, RELIABLE, VOLATILE, IN, BRIDGE),
    ('fr3_arm_controller/joint_trajectory', TRAJECTORY, RELIABLE, VOLATILE, IN, BRIDGE),
    # robot_state_publisher
    ('robot_description', 'std_msgs/msg/String', RELIABLE, LATCHED, OUT, DESCRIPTION),
]
CAMERA = [
    ('camera/camera/color/image_raw', IMAGE, RELIABLE, VOLATILE, OUT, RENDERER),
    ('camera/camera/color/image_raw/compressed', COMPRESSED, RELIABLE, VOLATILE, OUT, RENDERER),
    ('camera/camera/color/camera_info', INFO, RELIABLE, VOLATILE, OUT, RENDERER),
    ('camera/camera/aligned_depth_to_color/image_raw', IMAGE, RELIABLE, VOLATILE, OUT, RENDERER),
    ('camera/camera/aligned_depth_to_color/camera_info', INFO, RELIABLE, VOLATILE, OUT, RENDERER),
    # Not of realsense2_camera: the calibrated pose, as our own calibration publishes it.
    ('camera/camera/extrinsics/base_to_color',
     'geometry_msgs/msg/TransformStamped', RELIABLE, LATCHED, OUT, RENDERER),
]
# The wheels lack tf2_msgs; a full ROS 2 installation has it.
TRANSFORMS = [
    ('tf', TF, RELIABLE, VOLATILE, OUT, DESCRIPTION),
    ('tf_static', TF, RELIABLE, LATCHED, OUT, DESCRIPTION),
] if importlib.util.find_spec('tf2_msgs') else []
SERVICES = [
    ('franka_gripper/stop', 'std_srvs/srv/Trigger'),
    ('robot_state_publisher/get_parameters', 'rcl_interfaces/srv/GetParameters'),
]


@pytest.fixture(scope='module')
def face(ros, tmp_path_factory):
    """Give a probe in lockstep with a bridge that has a camera."""
    found = Probe()
    log = tmp_path_factory.mktemp('face') / 'log.txt'
    with running(NodeProcess(MODULE, log, {
            'use_sim_time': True, 'command_tick_s': TICK_S,
            'lockstep_participants': ['probe']})):
        found.tick(0.1)
        yield found
    found.close()


@pytest.mark.parametrize(
    'name, kind, reliability, durability, direction, node', [*ARM, *CAMERA, *TRANSFORMS],
    ids=lambda value: value if '/' in value or '_' in value else '')
def test_topic_is_that_of_the_real_robot(
        face, name, kind, reliability, durability, direction, node):
    look = (face.node.get_publishers_info_by_topic if direction == OUT
            else face.node.get_subscriptions_info_by_topic)

    def ends():
        return [end for end in look(f'/{name}') if end.node_name == node]

    # The camera's process comes up later than the physics', and both are discovered in pieces.
    face.until(ends, what=f'{direction} {name} of {node}')
    end, = ends()
    assert end.topic_type == kind
    assert end.qos_profile.reliability == ReliabilityPolicy[reliability.upper()]
    assert end.qos_profile.durability == DurabilityPolicy[durability.upper()]


@pytest.mark.parametrize('name, kind', SERVICES)
def test_service_is_that_of_the_real_robot(face, name, kind):
    assert (f'/{name}', [kind]) in face.node.get_service_names_and_types()


@pytest.mark.parametrize('rows, declared', [
    (ARM, qos.ARM_TOPICS), (CAMERA, qos.CAMERA_TOPICS)], ids=['arm', 'camera'])
def test_every_topic_that_the_code_declares_has_a_row_here(rows, declared):
    directions = {'publisher': OUT, 'subscription': IN}
    assert {(name, kind, direction) for name, kind, _, _, direction, _ in rows} == {
        (spec.name, spec.type_name, directions[spec.direction]) for spec in declared}


def test_robot_description_is_a_parameter_and_a_topic_with_the_same_urdf(face):
    request = GetParameters.Request(names=['robot_description'])
    answer = face.call(
        GetParameters, 'robot_state_publisher/get_parameters', request, ticking=True)
    urdf = answer.values[0].string_value
    joints = [joint.get('name') for joint in ET.fromstring(urdf).findall('joint')]
    assert {'fr3_joint1', 'fr3_joint7', 'fr3_finger_joint1'} <= set(joints)
    heard = face.listen(String, 'robot_description', qos.LATCHED)
    face.until(lambda: heard, what='the latched description')
    assert heard[0].data == urdf


def test_compressed_colour_is_the_same_picture_as_jpeg(face):
    raw = face.listen(Image, 'camera/camera/color/image_raw', qos.DEEP_RELIABLE)
    jpeg = face.listen(
        CompressedImage, 'camera/camera/color/image_raw/compressed', qos.DEEP_RELIABLE)

    def pair():
        stamps = {str(message.header.stamp): message for message in raw}
        return next(((stamps[str(message.header.stamp)], message) for message in jpeg
                     if str(message.header.stamp) in stamps), None)

    plain, packed = face.tick_until(pair, what='both pictures of one exposure')
    assert 'jpeg' in packed.format
    assert packed.header.frame_id == plain.header.frame_id
    decoded = cv2.imdecode(np.frombuffer(packed.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    wanted = images.image_to_rgb(plain)
    assert decoded.shape == wanted.shape
    assert len(packed.data) < 0.5 * len(plain.data)
    assert np.abs(decoded.astype(int) - wanted).mean() < 4.0


def test_clock_stands_still_until_the_participant_is_done(face):
    face.tick()
    end_s = time.monotonic() + 0.6
    while time.monotonic() < end_s:
        clock_s = face._clock.take()
        assert clock_s is None or clock_s <= face.clock_s + 1e-6
        time.sleep(0.01)
    before_s = face.clock_s
    face.tick()
    assert face.clock_s == pytest.approx(before_s + TICK_S)


def diagnostics(probe, name):
    """Return the next stamp in s of a process's diagnostics and its values."""
    heard = probe.listen(DiagnosticArray, '/diagnostics', qos.RELIABLE)
    message = probe.until(lambda: next(
        (message for message in heard if message.status[0].name == name), None)
        or probe.tick(TICK_S))
    return (conv.from_stamp(message.header.stamp),
            {item.key: item.value for item in message.status[0].values})


@pytest.mark.parametrize('name', [BRIDGE, RENDERER])
def test_diagnostics_report_the_loop_in_simulated_time(face, name):
    after_s = face.clock_s
    stamp_s, values = diagnostics(face, name)
    assert {'period_p50_ms', 'period_p99_ms', 'period_max_ms', 'overruns'} <= values.keys()
    # A renderer's time is that of the last exposure.
    assert after_s - 0.1 <= stamp_s <= face.clock_s + 1e-6


def test_diagnostics_report_where_the_real_controller_would_have_clipped(face):
    joints = face.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA)
    face.tick_until(lambda: joints, what='a joint state')
    before = diagnostics(face, BRIDGE)[1]
    assert float(before['lost_s']) == 0.0
    target = np.array(joints[-1].position)
    face.publish('target_joint', conv.joint_state((), target), qos.LATEST)
    face.tick(0.5)
    face.publish('target_joint', conv.joint_state((), target + 0.6), qos.LATEST)
    face.tick(0.1)
    _, values = diagnostics(face, BRIDGE)
    assert int(values['joint_target_ticks']) > int(before['joint_target_ticks'])
    assert 0.0 < float(values['error_clip_share']) < 1.0
    assert 0.0 < float(values['torque_rate_clip_share']) < 1.0


class Publisher:
    """Stands in for a publisher with a given number of subscribers."""

    def __init__(self, kind, name, subscribers):
        self.kind, self.name, self.sent = kind, name, []
        self._subscribers = subscribers

    def get_subscription_count(self):
        return self._subscribers.get(self.name, 0)

    def publish(self, message):
        self.sent.append(message)


class PublishingNode:
    """Stands in for a node; counts what is published per topic."""

    def __init__(self, **subscribers):
        self.topics = {}
        self.subscribers = subscribers

    def create_publisher(self, kind, name, _):
        self.topics[name] = Publisher(kind, name, self.subscribers)
        return self.topics[name]


def test_jpeg_is_made_only_while_somebody_listens():
    node = PublishingNode()
    topics = RgbdOutbox(node)
    model = CameraModel(intrinsics=load_domain('sim').camera.told_intrinsics())
    jpeg = node.topics['camera/camera/color/image_raw/compressed']
    picture = np.zeros((480, 640, 3), np.uint8)
    topics.publish(1.0, picture, None, model, model)
    assert not topics.color_is_heard and not jpeg.sent
    node.subscribers[jpeg.name] = 1
    assert topics.color_is_heard
    topics.publish(2.0, picture, None, model, model)
    assert len(jpeg.sent) == 1 and jpeg.sent[0].header.stamp.sec == 2
