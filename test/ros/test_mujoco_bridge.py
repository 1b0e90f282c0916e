# SPDX-License-Identifier: Apache-2.0
"""The simulated arm behaves as the list of facts says; lockstep, no camera."""
import json

from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.chunk_conversions import joint_trajectory
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task, initial_sha256
import pytest
from ros_harness import NodeProcess, running
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

MODULE = 'ocrrl_ros.nodes.mujoco_bridge_node'
BROADCASTER = 'franka_robot_state_broadcaster'
TICK_S = 0.02  # coarser than the default: four times fewer round trips
NAMES = list(ARM_JOINT_NAMES)
KINEMATICS = FrankaKinematics()


@pytest.fixture(scope='module')
def bridge(ros, tmp_path_factory):
    """Give a bridge in lockstep with the probe."""
    log = tmp_path_factory.mktemp('bridge') / 'log.txt'
    with running(NodeProcess(MODULE, log, {
            'use_sim_time': True, 'camera': False, 'command_tick_s': TICK_S,
            'lockstep_participants': ['probe']})) as node:
        yield node


@pytest.fixture(scope='module')
def live(bridge, probe):
    """Give the lists of what the bridge publishes."""
    def broadcast(kind, name):
        return probe.listen(kind, f'{BROADCASTER}/{name}', qos.SENSOR_DATA)

    heard = {
        'joints': probe.listen(JointState, 'franka/joint_states', qos.SENSOR_DATA),
        'all': probe.listen(JointState, 'joint_states', qos.SENSOR_DATA),
        'pose': broadcast(PoseStamped, 'current_pose'),
        'desired_pose': broadcast(PoseStamped, 'last_desired_pose'),
        'desired_twist': broadcast(TwistStamped, 'desired_end_effector_twist'),
        'measured': broadcast(JointState, 'measured_joint_states'),
        'desired': broadcast(JointState, 'desired_joint_states'),
        'torques': broadcast(JointState, 'external_joint_torques'),
        'wrench': broadcast(WrenchStamped, 'external_wrench_in_base_frame'),
        'local_wrench': broadcast(WrenchStamped, 'external_wrench_in_stiffness_frame'),
        'twist': probe.listen(TwistStamped, 'current_twist', qos.RELIABLE),
        'fingers': probe.listen(
            JointState, 'franka_gripper/joint_states', qos.SENSOR_DATA),
        'opening': probe.listen(JointState, 'gripper/joint_states', qos.SENSOR_DATA),
        'task': probe.listen(String, 'mujoco_bridge/sim/task_state', qos.RELIABLE),
        'cube': probe.listen(
            PoseStamped, 'mujoco_bridge/sim/objects/cube/pose', qos.RELIABLE),
    }
    probe.tick_until(lambda: all(heard.values()), what='every state topic')
    return heard


@pytest.fixture
def state(live, probe):
    """Begin at the start of an episode, holding, with what was published since."""
    reset(probe)
    probe.tick(TICK_S)
    for messages in live.values():
        messages.clear()
    probe.tick(0.1)
    return live


def reset(probe):
    response = probe.call(Trigger, 'mujoco_bridge/sim/reset', ticking=True)
    assert response.success, response.message
    return json.loads(response.message)


def joints(state):
    return conv.joint_values(state['joints'][-1], NAMES)


def tcp(state):
    return conv.pose_to_array(state['pose'][-1].pose)


def at_one_time(state, *keys):
    """Return the messages of several topics with the same stamp, newest last."""
    by_stamp = [
        {conv.from_stamp(message.header.stamp): message for message in state[key]}
        for key in keys]
    stamps = sorted(set.intersection(*map(set, by_stamp)))
    return [[messages[stamp] for messages in by_stamp] for stamp in stamps]


def joint_message(q, names=(), velocity=()):
    return conv.joint_state(names, q, velocity)


@pytest.fixture
def single(probe):
    """Publish on topics that are free again after the test."""
    used = []

    def send(name, message, profile=qos.LATEST):
        used.append(name)
        probe.publish(name, message, profile)

    yield send
    for name in set(used):
        probe.release(name)
        probe.until(lambda name=name: probe.node.count_publishers(name) == 0)


def test_arm_holds_its_start_posture_without_targets(probe, state):
    start = joints(state)
    probe.tick(0.5)
    np.testing.assert_allclose(joints(state), start, atol=2e-3)


def test_state_topics_agree_with_each_other(probe, state):
    message = state['all'][-1]
    assert list(message.name) == [*NAMES, 'fr3_finger_joint1', 'fr3_finger_joint2']
    q = joints(state)
    np.testing.assert_allclose(tcp(state), KINEMATICS.forward(q), atol=1e-3)
    assert state['pose'][-1].header.frame_id == 'base'
    effort = np.array(state['joints'][-1].effort)
    np.testing.assert_allclose(effort, KINEMATICS.gravity(q), atol=2.0)


def test_stamp_is_the_time_of_measurement(probe, state):
    age_s = probe.clock_s - conv.from_stamp(state['joints'][-1].header.stamp)
    assert age_s == pytest.approx(load_domain('sim').arm.observation_delay_s, abs=1e-3)


def test_joint_target_moves_the_tcp(probe, state, single):
    goal = joints(state) + np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    single('target_joint', joint_message(goal, NAMES))
    probe.tick(1.5)
    np.testing.assert_allclose(joints(state), goal, atol=0.02)
    np.testing.assert_allclose(tcp(state)[:3], KINEMATICS.forward(goal)[:3], atol=0.01)
    np.testing.assert_allclose(conv.joint_values(state['desired'][-1], NAMES), goal)
    np.testing.assert_allclose(
        conv.pose_to_array(state['desired_pose'][-1].pose), KINEMATICS.forward(goal), atol=1e-9)
    moments = at_one_time(state, 'joints', 'measured', 'twist')
    assert len(moments) > 50
    fastest = 0.0
    for joint, measured, twist in moments:
        assert measured.position == joint.position and measured.velocity == joint.velocity
        assert measured.effort == joint.effort
        # CRISP gives the twist in the TCP's own frame.
        q, dq = np.array(joint.position), np.array(joint.velocity)
        inverse = se3.quat_conjugate(KINEMATICS.forward(q)[3:])
        wanted = se3.quat_rotate(inverse, (KINEMATICS.jacobian(q) @ dq).reshape(2, 3)).ravel()
        np.testing.assert_allclose(conv.twist_to_array(twist), wanted, atol=1e-9)
        fastest = max(fastest, np.linalg.norm(wanted[:3]))
    assert fastest > 0.05
    assert twist.header.frame_id == 'fr3_hand_tcp'


def test_joint_target_without_names_goes_by_index(probe, state, single):
    goal = joints(state) + 0.05
    single('target_joint', joint_message(goal))
    probe.tick(1.5)
    np.testing.assert_allclose(joints(state), goal, atol=0.02)


def test_pose_target_moves_the_tcp(probe, state, single):
    goal = tcp(state) + np.array([0.02, 0.04, -0.03, 0, 0, 0, 0])
    single('target_pose', conv.pose_stamped(goal, 'base', 0.0))
    probe.tick(2.5)
    np.testing.assert_allclose(tcp(state)[:3], goal[:3], atol=0.008)
    np.testing.assert_allclose(
        conv.pose_to_array(state['desired_pose'][-1].pose), goal, atol=1e-9)


def test_trajectory_after_a_pose_target_does_not_jump_back(probe, state, single):
    single('target_pose', conv.pose_stamped(
        tcp(state) + np.array([0.0, 0.06, 0.0, 0, 0, 0, 0]), 'base', 0.0))
    probe.tick(2.0)
    here = joints(state)
    for messages in state.values():
        messages.clear()
    message = joint_trajectory(NAMES, here[None], 1.0, 0.0)
    message.points[0].time_from_start.sec = 1
    single('fr3_arm_controller/joint_trajectory', message, qos.RELIABLE)
    probe.tick(2.0)
    way = np.array([conv.joint_values(message, NAMES) for message in state['joints']])
    np.testing.assert_allclose(way, np.broadcast_to(here, way.shape), atol=0.01)


def test_wrench_target_pushes_and_stiffness_target_resists(probe, state, single):
    start = tcp(state)
    single('target_pose', conv.pose_stamped(start, 'base', 0.0))
    single('target_wrench', conv.wrench_stamped([0, 15, 0, 0, 0, 0], 'base', 0.0))
    probe.tick(2.0)
    stiff = tcp(state)[1] - start[1]
    single('target_stiffness', Float64MultiArray(data=[200.0] * 3 + [30.0] * 3))
    probe.tick(2.0)
    soft = tcp(state)[1] - start[1]
    assert 0.005 < stiff < 0.05
    assert soft > 1.5 * stiff


@pytest.mark.parametrize('controller', ['joint_trajectory_controller', 'fr3_arm_controller'])
def test_trajectory_is_followed_joint_by_joint_name(probe, state, single, controller):
    start = joints(state)
    goal = start + np.array([0.0, 0.0, 0.15, 0.0, 0.0, 0.0, 0.0])
    message = joint_trajectory(NAMES[::-1], np.stack([start, goal])[:, ::-1], 1.0, 0.0)
    single(f'{controller}/joint_trajectory', message, qos.RELIABLE)
    # The message may take a few ticks to arrive; from then on the joint moves steadily.
    probe.tick_until(lambda: joints(state)[2] - start[2] > 0.03, what='motion of joint 3')
    assert joints(state)[2] - start[2] < 0.12
    probe.tick(1.5)
    np.testing.assert_allclose(joints(state), goal, atol=0.02)
    speeds = []
    for desired, twist in at_one_time(state, 'desired', 'desired_twist'):
        q, dq = np.array(desired.position), np.array(desired.velocity)
        np.testing.assert_allclose(
            conv.twist_to_array(twist), KINEMATICS.jacobian(q) @ dq, atol=1e-9)
        speeds.append(dq[2])
    assert max(speeds) == pytest.approx(0.15)
    assert speeds[-1] == 0.0


def test_push_shows_in_the_external_wrench_and_ends_after_50_ms(probe, state):
    push = conv.wrench_stamped([0, 0, 20, 0, 0, 0], 'fr3_hand', 0.0)
    probe.publish('mujoco_bridge/sim/push', push, qos.RELIABLE)
    state['wrench'].clear()
    probe.tick(0.5)
    forces = np.array([message.wrench.force.z for message in state['wrench']])
    assert forces.max() > 10.0
    assert 2 <= (forces > 5.0).sum() <= 3
    assert abs(forces[-1]) < 2.0
    moments = at_one_time(state, 'joints', 'pose', 'torques', 'wrench', 'local_wrench')
    joint, pose, torques, wrench, local = max(moments, key=lambda m: m[3].wrench.force.z)
    base = conv.wrench_to_array(wrench.wrench)
    # The wrench explains the joint torques; the fingers point down, so z is turned round.
    effort = np.array(torques.effort)
    np.testing.assert_allclose(
        KINEMATICS.jacobian(np.array(joint.position)).T @ base, effort, atol=0.5)
    assert np.abs(effort).max() > 2.0
    turn = se3.quat_conjugate(conv.pose_to_array(pose.pose)[3:])
    found = conv.wrench_to_array(local.wrench)
    np.testing.assert_allclose(
        found, se3.quat_rotate(turn, base.reshape(2, 3)).ravel(), atol=1e-6)
    assert found[2] < -10.0
    assert (wrench.header.frame_id, local.header.frame_id) == ('base', 'fr3_hand_tcp')


def test_second_publisher_makes_the_arm_ignore_the_topic(probe, state, single, bridge):
    start = joints(state)
    other = probe.node.create_publisher(JointState, 'target_joint', qos.LATEST)
    try:
        single('target_joint', joint_message(start + 0.1))
        probe.tick_until(lambda: 'SAFETY WARNING' in bridge.log, what='a warning')
        probe.tick(0.5)
        np.testing.assert_allclose(joints(state), start, atol=3e-3)
    finally:
        probe.node.destroy_publisher(other)
    probe.until(lambda: probe.node.count_publishers('target_joint') == 1)
    probe.tick(0.3)
    single('target_joint', joint_message(start + 0.1))
    probe.tick(1.5)
    np.testing.assert_allclose(joints(state), start + 0.1, atol=0.02)


@pytest.mark.parametrize('topic, message, reason', [
    ('target_joint', joint_message([np.nan] + [0.0] * 6), 'finite'),
    ('target_joint', joint_message([0.0] * 6), '7 finite numbers'),
    ('target_joint', joint_message([0.0] * 7, NAMES[::-1]), 'by index'),
    ('target_pose', conv.pose_stamped([0.4, 0, 0.4, 0, 0, 0, 0.3], 'base', 0.0), 'norm'),
    ('target_pose', conv.pose_stamped([np.nan, 0, 0.4, 1, 0, 0, 0], 'base', 0.0), 'finite'),
    ('target_pose', conv.pose_stamped([0.4, 0, 0.4, 1, 0, 0, 0], 'camera', 0.0), 'frame_id'),
    ('target_wrench', conv.wrench_stamped([np.inf] * 6, 'base', 0.0), 'finite'),
    ('target_stiffness', Float64MultiArray(data=[100.0]), '6 finite'),
    ('gripper/gripper_position_controller/commands', Float64MultiArray(data=[7.0]), '0 closed'),
    ('fr3_arm_controller/joint_trajectory',
     joint_trajectory(['a'] * 7, np.zeros((2, 7)), 1.0, 0.0), 'allowed'),
], ids=lambda value: str(value)[:20] if isinstance(value, str) else '')
def test_unusable_target_moves_nothing_and_is_named(
        probe, state, single, bridge, topic, message, reason):
    start, before = joints(state), len(bridge.log)
    profile = qos.RELIABLE if 'trajectory' in topic else qos.LATEST
    single(topic, message, profile)
    probe.tick_until(lambda: 'refused' in bridge.log[before:], what='a warning')
    probe.tick(0.3)
    assert reason in bridge.log[before:]
    np.testing.assert_allclose(joints(state), start, atol=3e-3)
    assert np.isfinite(tcp(state)).all()


def test_repeated_bad_target_is_named_once_in_two_seconds(probe, state, single, bridge):
    probe.tick(2.1)
    before = len(bridge.log)
    for _ in range(20):
        single('target_joint', joint_message([np.nan] * 7))
        probe.tick(0.02)
    assert bridge.log[before:].count('refused') == 1


def test_gripper_command_closes_and_opens_the_fingers(probe, state, single):
    topic = 'gripper/gripper_position_controller/commands'
    assert state['opening'][-1].position[0] > 0.9
    single(topic, Float64MultiArray(data=[0.0]))
    probe.tick(1.5)
    assert state['opening'][-1].position[0] < 0.05
    finger = state['fingers'][-1]
    assert list(finger.name) == ['fr3_finger_joint1', 'fr3_finger_joint2']
    assert finger.position[0] == finger.position[1] < 0.003
    assert list(finger.effort) == [0.0, 0.0]
    single(topic, Float64MultiArray(data=[1.0]))
    probe.tick(1.5)
    assert state['opening'][-1].position[0] > 0.9


def test_gripper_stop_holds_the_fingers_until_another_command(probe, state, single):
    topic = 'gripper/gripper_position_controller/commands'
    single(topic, Float64MultiArray(data=[0.0]))
    probe.tick_until(lambda: state['opening'][-1].position[0] < 0.7)
    # Simulated time stands still until the answer: the fingers do not close on meanwhile.
    assert probe.call(Trigger, 'franka_gripper/stop').success
    probe.tick(0.3)
    held = state['opening'][-1].position[0]
    single(topic, Float64MultiArray(data=[0.0]))
    probe.tick(0.5)
    assert state['opening'][-1].position[0] == pytest.approx(held, abs=0.03)
    assert held > 0.2
    single(topic, Float64MultiArray(data=[1.0]))
    probe.tick(1.5)
    assert state['opening'][-1].position[0] > 0.9


def test_reset_reproduces_the_start_state_of_evaluate(probe, state):
    probe.set_parameters('mujoco_bridge', sim__seed=10007, sim__episode=3)
    first = reset(probe)
    task, domain = get_task('cube_lift'), load_domain('sim')
    initial = task.sample_initial(
        episode_rngs('cube_lift', 'sim', 10007, 3).initial, domain)
    assert first['init_sha256'] == initial_sha256(initial)
    probe.set_parameters('mujoco_bridge', sim__episode=4)
    assert reset(probe)['init_sha256'] != first['init_sha256']
    probe.set_parameters('mujoco_bridge', sim__episode=3)
    assert reset(probe)['init_sha256'] == first['init_sha256']
    state['cube'].clear()
    probe.tick(0.1)
    cube = conv.pose_to_array(state['cube'][-1].pose)
    np.testing.assert_allclose(cube, initial.object_poses[0], atol=2e-3)


def test_reset_with_an_impossible_seed_is_refused_with_the_reason(probe, state):
    probe.set_parameters('mujoco_bridge', sim__seed=-1)
    response = probe.call(Trigger, 'mujoco_bridge/sim/reset', ticking=True)
    assert not response.success
    assert 'sim.seed is -1' in response.message
    probe.set_parameters('mujoco_bridge', sim__seed=10000)


def test_reset_drops_targets_and_time_goes_on(probe, state, single):
    first = joints(state)
    single('target_joint', joint_message(first + 0.2))
    probe.tick_until(lambda: np.abs(joints(state) - first).max() > 0.01)
    before_s = probe.clock_s
    reset(probe)
    probe.tick(0.3)
    start = joints(state)
    probe.tick(0.3)
    np.testing.assert_allclose(joints(state), start, atol=3e-3)
    assert probe.clock_s > before_s


def test_task_state_counts_ticks_since_the_reset(probe, state):
    probe.tick(0.5)
    summary = json.loads(state['task'][-1].data)
    assert summary['task'] == 'cube_lift'
    assert summary['time_s'] == pytest.approx(summary['ticks'] / 20, abs=0.051)
    assert not summary['success'] and not summary['failed']


def test_object_out_of_the_workspace_fails_the_episode(probe, state):
    push = conv.wrench_stamped([0, 40, 0, 0, 0, 0], 'cube', 0.0)
    for _ in range(4):
        probe.publish('mujoco_bridge/sim/push', push, qos.RELIABLE)
        probe.tick(0.05)
    probe.tick_until(lambda: json.loads(state['task'][-1].data)['failed'], what='failure')


def test_rates_hold_in_simulated_time(probe, state):
    for messages in state.values():
        messages.clear()
    probe.tick(2.0)
    assert len(state['all']) == pytest.approx(60, abs=2)
    assert len(state['opening']) == pytest.approx(100, abs=2)
    assert len(state['fingers']) == pytest.approx(30, abs=2)
    assert len(state['task']) == pytest.approx(40, abs=2)
