# SPDX-License-Identifier: Apache-2.0
"""The residual policy node streams, refuses and holds as promised; real process, real DDS."""

import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from played_arm import Arm, HALVES, PATIENT
import pytest
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter
from ros_harness import NodeProcess, running
from std_srvs.srv import SetBool, Trigger
from tiny_bundles import tiny_residual

MODULE = 'ocrrl_ros.nodes.residual_policy_node'
TCP_TOPIC, GRIPPER_TOPIC = 'base_policy/tcp_chunk', 'base_policy/gripper_chunk'


@pytest.fixture(scope='module')
def arm(ros, probe, tmp_path_factory):
    """Give the arm beside a running node whose residual shifts by 20 mm along x."""
    folder = tmp_path_factory.mktemp('residual')
    bundle = tiny_residual(folder / 'bundle', np.array([1.0, 0, 0, 0, 0, 0, 0]))
    node = NodeProcess(MODULE, folder / 'log.txt', {
        'residual': str(bundle), 'realtime_priority': 0, **PATIENT})
    with running(node):
        found = Arm(probe, node)
        probe.until(lambda: found.states, what='a first state of the node')
        yield found


@pytest.fixture(name='episode')
def _episode(arm):
    """Give a running episode and end it afterwards."""
    arm.start()
    arm.probe.call(SetBool, 'residual_policy/set_enabled', SetBool.Request(data=False))
    yield arm
    arm.stop()


def test_nothing_moves_before_an_episode_starts(arm):
    arm.plan()
    arm.live(0.3)
    assert not arm.targets and not arm.gripper


def test_commands_follow_the_plan_and_the_node_is_the_only_publisher(episode):
    before = episode.commanded()[1]
    episode.plan((0.0, 0.05, 0.0))
    episode.live(0.6)
    moved = episode.commanded()[1] - before
    assert 0.02 < moved < 0.05
    assert episode.probe.node.count_publishers('target_joint') == 1
    assert list(episode.targets[-1].name) == list(ARM_JOINT_NAMES)


def test_enabling_the_residual_shifts_the_command_by_its_bound(episode):
    episode.probe.call(SetBool, 'residual_policy/set_enabled', SetBool.Request(data=True))
    episode.see_cube()
    episode.plan((0.0, 0.0, 0.0))
    episode.live(0.45)
    action = conv.named_vector_to_dict(episode.actions[-1])
    assert action['residual.x'] == 1.0
    shift = np.hypot(action['command.x'] - action['base.x'],
                     action['command.y'] - action['base.y'])
    assert np.isclose(shift, 0.02, atol=1e-6)


def test_silent_base_policy_stops_the_arm_and_is_named(episode):
    episode.plan()
    episode.live(1.0)
    episode.live_until(lambda: 'stale' in episode.states[-1].message, 'a stale chunk')
    episode.live(0.3)
    assert episode.speed() < 1e-6


def test_silent_arm_stops_the_motion_and_is_named(episode):
    episode.plan()
    episode.live(0.2)
    episode.live(0.9, respond=False)
    assert episode.speed() < 1e-6
    assert 'joint state' in episode.states[-1].message


def _nan(tcp, gripper):
    tcp.points[3].transforms[0].translation.x = float('nan')


def _not_unit(tcp, gripper):
    tcp.points[3].transforms[0].rotation.w = 0.5


def _wrong_joint(tcp, gripper):
    tcp.joint_names = ['panda_hand']


def _wrong_frame(tcp, gripper):
    tcp.header.frame_id = 'world'


def _old(tcp, gripper):
    tcp.header.stamp.sec -= 60
    gripper.header.stamp.sec -= 60


def _other_stamp(tcp, gripper):
    gripper.header.stamp.nanosec = (gripper.header.stamp.nanosec + 50_000_000) % 1_000_000_000


@pytest.mark.parametrize(('edit', 'halves', 'words'), [
    (_nan, HALVES, ['base policy', 'finite']),
    (_not_unit, HALVES, ['base policy', 'quaternion of norm']),
    (_wrong_joint, HALVES, ['panda_hand', 'fr3_hand_tcp']),
    (_wrong_frame, HALVES, ['world', "'base'"]),
    (_old, HALVES, ['dropped', 'older than the episode']),
    (_other_stamp, HALVES, [TCP_TOPIC, GRIPPER_TOPIC, 'one stamp']),
    (None, ('tcp',), [f'{TCP_TOPIC} of', f'no {GRIPPER_TOPIC}']),
    (None, ('gripper',), [f'no {TCP_TOPIC}', f'{GRIPPER_TOPIC} of'])])
def test_bad_chunks_cause_no_motion(episode, edit, halves, words):
    before = np.array(episode.targets[-1].position)
    since = len(episode.process.log)
    episode.plan((0.0, 0.05, 0.0), edit, halves)
    episode.live(0.3)
    episode.live_until(lambda: episode.warned(since, words), f'a warning with {words}')
    assert np.allclose(episode.targets[-1].position, before, atol=1e-9)


def test_object_in_another_frame_is_refused_and_named(episode):
    episode.call(SetBool, 'residual_policy/set_enabled', SetBool.Request(data=True))
    since = len(episode.process.log)
    episode.see_cube('world')
    episode.plan((0.0, 0.0, 0.0))
    episode.live(0.3)
    episode.live_until(
        lambda: episode.warned(since, ['objects/cube/pose', "'world'", "'base'"]), 'a warning')
    assert conv.named_vector_to_dict(episode.actions[-1])['gain'] == 0.0


def _set(arm, name, value):
    """Set a parameter of the node through its service and return the result."""
    answer = arm.call(SetParameters, 'residual_policy/set_parameters', SetParameters.Request(
        parameters=[Parameter(name, value=value).to_parameter_msg()]))
    return answer.results[0]


@pytest.fixture(name='settings')
def _settings(episode):
    """Give a running episode and the settings as they were afterwards."""
    yield episode
    assert _set(episode, 'controller.residual_gain', 1.0).successful
    assert _set(episode, 'speed_scale', 1.0).successful


def test_gain_that_is_set_while_running_scales_the_residual(settings):
    settings.call(SetBool, 'residual_policy/set_enabled', SetBool.Request(data=True))
    assert _set(settings, 'controller.residual_gain', 0.5).successful
    settings.plan((0.0, 0.0, 0.0))
    for _ in range(9):
        settings.see_cube()
        settings.live(0.05)
    action = conv.named_vector_to_dict(settings.actions[-1])
    assert np.isclose(action['gain'], 0.5)
    assert np.isclose(abs(action['command.x'] - action['base.x']), 0.01, atol=1e-6)


def test_speed_scale_that_is_set_while_running_slows_the_arm(settings):
    speeds = []
    for scale in (1.0, 0.01):
        assert _set(settings, 'speed_scale', scale).successful
        settings.plan((0.0, 0.05, 0.0))
        settings.live(0.4)
        speeds.append(settings.speed())
    # The fastest joint may do half of 5.26 rad/s, scaled.
    assert speeds[0] > 0.05 > 0.027 > speeds[1] > 0.0


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('controller.residual_gain', 1.5, 'residual_gain is 1.5; allowed: 0.0 .. 1.0'),
    ('controller.residual_gain', 'much', "'much'"),
    ('speed_scale', 0.0, 'speed_scale is 0.0; allowed: 0 < x <= 1'),
    ('controller.max_state_age_s', 0.5, 'read-only'), ('sink', 'crisp_pose', 'read-only')])
def test_setting_that_is_wrong_or_fixed_is_refused_with_a_reason(arm, name, value, words):
    def now():
        answer = arm.call(GetParameters, 'residual_policy/get_parameters',
                          GetParameters.Request(names=[name]))
        return answer.values[0]

    before = now()
    result = _set(arm, name, value)
    assert not result.successful and words in result.reason
    assert now() == before


def test_hold_stops_and_resume_waits_for_a_new_plan(episode):
    episode.plan()
    episode.live(0.2)
    episode.probe.call(Trigger, 'residual_policy/hold')
    episode.plan()
    episode.live(0.4)
    assert episode.speed() < 1e-6
    assert episode.states[-1].message.startswith('hold')
    episode.probe.call(Trigger, 'residual_policy/resume')
    episode.plan()
    episode.live_until(lambda: episode.speed() > 1e-3, 'a motion')


@pytest.mark.parametrize(('parameters', 'code', 'words'), [
    ({'task': 'juggle'}, 2, ['juggle', 'cube_lift']),
    ({'sink': 'teleport'}, 2, ['teleport', 'crisp_joint']),
    ({'controller.command_rate_hz': 5.0}, 2, ['command_rate_hz', '20.0']),
    ({'controller.command_rate': 200.0}, 2, ['controller.command_rate']),
    ({'speed_scale': 0.0}, 2, ['speed_scale is 0.0']),
    ({'robot_file': 'config/robots/nobot.yaml'}, 2, ['nobot.yaml']),
    ({'controller.chunk.lookahead_s': 0.4}, 2, ['lookahead_s is 0.4', '0.3']),
    ({'residual': 'models/nowhere'}, 1, ['models/nowhere'])])
def test_wrong_settings_end_the_node_with_one_clear_line(
        ros, tmp_path, parameters, code, words):
    node = NodeProcess(MODULE, tmp_path / 'log.txt', parameters)
    with running(node):
        assert node.wait() == code
    fatal = [line for line in node.log.splitlines() if 'FATAL' in line]
    assert len(fatal) == 1 and 'Traceback' not in node.log
    assert all(word in fatal[0] for word in words)


def test_altered_bundle_is_refused_by_name(ros, tmp_path):
    bundle = tiny_residual(tmp_path / 'bundle', np.zeros(7))
    network = bundle / 'policy.onnx'
    network.write_bytes(network.read_bytes()[:-10])
    node = NodeProcess(MODULE, tmp_path / 'log.txt', {'residual': str(bundle)})
    with running(node):
        assert node.wait() == 1
    assert 'truncated or altered' in node.log
