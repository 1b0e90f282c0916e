# SPDX-License-Identifier: Apache-2.0
"""When the residual policy starts to move, when it refuses to, and on which topic and rate."""

from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.chunk_conversions import joint_trajectory
from ocrrl_ros.interfaces.episode_state import to_message, TOPIC
from ocrrl_ros.policy.episode_clock import EpisodeState
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from played_arm import arm_beside_node, READY, START
import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger


@pytest.mark.parametrize('sink', ['crisp_joint', 'crisp_pose'])
@pytest.mark.parametrize('rate_hz', [200.0, 1000.0])
def test_commands_follow_the_plan_whatever_the_sink_and_the_rate(
        ros, probe, tmp_path, sink, rate_hz):
    # At 1000 Hz inputs and policy take turns.
    parameters = {'sink': sink, 'controller.command_rate_hz': rate_hz}
    with arm_beside_node(
            probe, tmp_path, f'{sink}_{rate_hz:.0f}', **parameters) as arm:
        arm.start()
        before = arm.commanded()
        arm.plan((0.0, 0.05, 0.0))
        arm.live(0.6)
        moved = arm.commanded()[:3] - before[:3]
        assert 0.02 < moved[1] < 0.05 and np.abs(moved[[0, 2]]).max() < 0.005
        assert arm.actions and arm.gripper
        arm.stop()
        used, silent = (
            (arm.targets, arm.target_poses) if sink == 'crisp_joint'
            else (arm.target_poses, arm.targets))
        assert used and not silent
        _check_form(used[-1], sink)
        count = len(used)
        arm.live(0.2)
        assert len(used) == count


def test_plan_in_joint_positions_is_followed_like_one_of_poses(ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'joints') as arm:
        arm.start()
        positions = np.array(READY) + np.linspace(0.0, 0.1, 16)[:, None] * np.eye(7)[0]
        stamp_s = arm.now_s()
        arm.publish('base_policy/gripper_chunk', joint_trajectory(
            ['gripper'], np.ones((16, 1)), 0.05, stamp_s), qos.LATEST)
        arm.publish('base_policy/joint_chunk', joint_trajectory(
            list(ARM_JOINT_NAMES), positions, 0.05, stamp_s), qos.LATEST)
        arm.live_until(lambda: arm.targets, 'a first target')
        arm.live(0.6)
        # The hand moves along the arc; which posture carries it there is the node's choice.
        x, y, z = arm.commanded()[:3]
        assert 0.02 < np.arctan2(y, x) < 0.1
        assert abs(np.hypot(x, y) - START[0]) < 0.005 and abs(z - START[2]) < 0.005
        arm.stop()


def _check_form(message, sink):
    """Check what makes a target of this sink."""
    if sink == 'crisp_joint':
        assert isinstance(message, JointState) and list(message.name) == list(ARM_JOINT_NAMES)
    else:
        assert isinstance(message, PoseStamped) and message.header.frame_id == 'base'


def test_arm_holds_while_the_episode_is_silent_and_goes_on_when_it_is_heard(
        ros, probe, tmp_path):
    with arm_beside_node(
            probe, tmp_path, 'mute', controller__max_episode_age_s=0.5) as arm:
        arm.start()
        arm.plan()
        arm.live_until(lambda: arm.targets, 'a first target')
        arm.forget_episode()
        silence = 'episode/state silent for'
        arm.live_until(lambda: silence in arm.states[-1].message, 'the hold')
        arm.live_until(lambda: arm.speed() < 1e-6, 'rest')
        arm.plan()
        arm.live(0.1)
        assert silence in arm.states[-1].message
        arm.episode(True)
        arm.live(0.1)
        arm.plan()
        arm.live_until(lambda: arm.states[-1].message == 'executing', 'the motion')
        arm.stop()


def test_episode_that_runs_already_is_not_joined_but_the_next_one_is(ros, probe, tmp_path):
    # Its publisher has to be there before the node is.
    episode = probe.node.create_publisher(String, f'late/{TOPIC}', qos.LATCHED)
    episode.publish(to_message(EpisodeState(
        number=3, running=True, task='cube_lift',
        started_s=probe.node.get_clock().now().nanoseconds * 1e-9)))
    with arm_beside_node(probe, tmp_path, 'late') as arm:
        arm.live_until(
            lambda: 'started during episode 3' in arm.states[-1].message, 'the refusal')
        assert 'start a new one' in arm.states[-1].message
        arm.plan()
        arm.live(0.4)
        assert not arm.targets and arm.warned(0, ['started during episode 3'])
        for number, is_running in ((3, False), (4, True)):
            episode.publish(to_message(EpisodeState(
                number=number, running=is_running, task='cube_lift', started_s=arm.now_s())))
            arm.live(0.3)
        arm.live_until(lambda: arm.targets, 'a command in the next episode')
    probe.node.destroy_publisher(episode)


def test_start_without_joint_states_is_shown_and_made_good_when_they_come(
        ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'blind') as arm:
        arm.number = 1
        arm.episode(True)
        probe.until(lambda: 'cannot start' in arm.states[-1].message, what='the reason')
        assert 'joint state' in arm.states[-1].message
        assert arm.warned(0, ['cannot start']) and not arm.targets
        arm.live_until(lambda: arm.targets, 'a command')
        assert 'cannot start' not in arm.states[-1].message
        np.testing.assert_allclose(arm.targets[0].position, READY, atol=1e-6)


def test_refused_start_is_forgotten_with_its_episode(ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'ended') as arm:
        arm.number = 1
        arm.episode(True)
        probe.until(lambda: 'cannot start' in arm.states[-1].message, what='the reason')
        arm.episode(False)
        probe.until(lambda: arm.states[-1].message == 'episode ended', what='the end')
        arm.live(0.4)
        assert not arm.targets


def test_hold_of_before_the_start_lasts_until_resume(ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'held') as arm:
        assert arm.call(Trigger, 'residual_policy/hold').success
        arm.start()
        arm.live(0.3)
        assert not arm.targets and arm.states[-1].message.startswith('hold')
        assert arm.call(Trigger, 'residual_policy/resume').success
        arm.live_until(lambda: arm.targets, 'a command')


def test_second_episode_of_the_same_number_starts_too(ros, probe, tmp_path):
    # An episode node that was started anew counts from one again.
    with arm_beside_node(probe, tmp_path, 'again') as arm:
        for _ in range(2):
            arm.number = 0
            arm.start()
            arm.live_until(lambda: arm.targets, 'a command')
            arm.stop()
            arm.targets.clear()


def test_robot_file_of_an_older_image_refuses_a_start_outside_its_limits(ros, probe, tmp_path):
    robot = tmp_path / 'old.yaml'
    text = config_path('robots', 'fr3.yaml').read_text(encoding='utf-8')
    robot.write_text(text.replace("'5.9'", "'5.8'", 1), encoding='utf-8')
    with arm_beside_node(probe, tmp_path, 'old', robot_file=str(robot)) as arm:
        # Allowed by image 5.9 alone.
        arm.rest_at(np.where(np.arange(7) == 1, 1.8, READY))
        arm.start()
        arm.live_until(
            lambda: 'joint limits' in arm.states[-1].message, 'the reason in the state')
        assert not arm.targets


def test_message_that_is_no_episode_state_is_refused_and_the_node_goes_on(
        ros, probe, tmp_path):
    with arm_beside_node(probe, tmp_path, 'words') as arm:
        arm.publish(TOPIC, String(data='start, please'), qos.LATCHED)
        arm.live_until(lambda: arm.warned(0, ['start, please', 'JSON']), 'a warning')
        arm.start()
        arm.live_until(lambda: arm.targets, 'a command')
