# SPDX-License-Identifier: Apache-2.0
"""A person takes the arm over from base and residual; the node as a process."""

from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.graph_plan import GraphConfig, plan_graph
from ocrrl_ros.interfaces.recorded_topics import recorded_topics
from ocrrl_ros.interfaces.teleop_inbox import GRIPPER_TOPIC, TARGET_TOPIC
from played_arm import arm_beside_node, START
from played_cell import Cell
import pytest
from ros_harness import NodeProcess, running
from rosbags.highlevel import AnyReader
from std_msgs.msg import Float64MultiArray

ASIDE = START + np.array([0.0, 0.08, 0.0, 0.0, 0.0, 0.0, 0.0])
#: The fastest joint may do half of 5.26 rad/s; some more, as stamps of a loaded machine jitter.
MOST_RAD_S = 4.0


class Person(Cell):
    """Steers the arm at 25 Hz."""

    def target(self, base_T_tcp, frame_id='base'):
        """Publish one target."""
        message = PoseStamped(pose=conv.array_to_pose(base_T_tcp))
        message.header.frame_id = frame_id
        self.arm.publish(TARGET_TOPIC, message, qos.LATEST)

    def steer(self, duration_s, base_T_tcp=ASIDE, frame_id='base'):
        """Steer toward a target for a while."""
        for _ in range(round(duration_s / 0.04)):
            self.target(base_T_tcp, frame_id)
            self.arm.live(0.04)

    def action(self):
        """Return the newest recorded action."""
        return conv.named_vector_to_dict(self.arm.actions[-1])

    def distance_m(self, base_T_tcp=ASIDE):
        """Return how far the command is from a pose."""
        return np.linalg.norm(self.arm.commanded()[:3] - base_T_tcp[:3])


@pytest.fixture
def person(ros, probe, tmp_path, request):
    """Give a person beside an arm in an episode whose base moves away from `ASIDE`."""
    with arm_beside_node(
            probe, tmp_path, request.param, controller__max_takeover_age_s=0.5) as arm:
        found = Person(probe, arm)
        arm.start()
        assert found.moves()
        yield found


def in_namespace(name):
    """Return the mark that gives the node of a test a namespace of its own."""
    return pytest.mark.parametrize('person', [name], indirect=True)


@in_namespace('steers')
def test_a_person_moves_the_arm_within_its_limits_and_it_is_recorded_as_such(person):
    since = len(person.arm.targets)
    person.arm.plan((0.0, -0.05, 0.0))
    person.steer(1.6)
    assert person.state['state'] == 'takeover' and person.distance_m() < 5e-3
    action = person.action()
    assert action['takeover'] == 1.0 and action['gain'] == 0.0
    np.testing.assert_allclose(
        [action[f'{part}.{axis}'] for part in ('base', 'command') for axis in 'xyz'],
        [*ASIDE[:3], *ASIDE[:3]], atol=1e-9)
    sent = person.arm.targets[since:]
    stamps = np.array([conv.from_stamp(message.header.stamp) for message in sent])
    steps = np.abs(np.diff([message.position for message in sent], axis=0)).max(axis=1)
    # Over 50 ms, so that a command that came late counts with the one before it.
    many = 10
    speeds = [steps[i:i + many].sum() / (stamps[i + many] - stamps[i])
              for i in range(len(steps) - many)]
    assert 0.01 < max(speeds) < MOST_RAD_S


@in_namespace('ends')
def test_afterwards_the_base_must_plan_anew(person):
    person.steer(0.6)
    person.until('takeover')
    since = len(person.arm.states)
    person.arm.plan((0.0, -0.2, 0.0))
    person.target(ASIDE)
    # When the takeover ends the plan of during it has a quarter of a second to go.
    person.until('holding')
    told = [item.value for state in person.arm.states[since:] for item in state.values
            if item.key == 'state']
    assert 'running_base' not in told
    person.arm.live(0.3)
    where = person.arm.commanded()
    person.arm.live(0.4)
    assert np.linalg.norm(person.arm.commanded()[:3] - where[:3]) < 1e-4
    assert person.state['state'] == 'holding'
    assert person.moves()
    assert person.action()['takeover'] == 0.0 and person.state['state'] == 'running_base'


@in_namespace('gripper')
def test_the_gripper_follows_the_person(person):
    person.steer(0.2)
    person.arm.live_until(lambda: person.state['state'] == 'takeover', 'the takeover')
    assert person.arm.gripper[-1].data[0] == 1.0
    person.arm.publish(GRIPPER_TOPIC, Float64MultiArray(data=[0.25]), qos.LATEST)
    person.steer(0.3)
    assert person.arm.gripper[-1].data[0] == 0.25
    since = len(person.arm.process.log)
    for data in ([1.5], [float('nan')], [0.1, 0.2]):
        person.arm.publish(GRIPPER_TOPIC, Float64MultiArray(data=data), qos.LATEST)
        person.steer(0.2)
    assert person.arm.gripper[-1].data[0] == 0.25
    for words in (['teleop opening is 1.5'], [GRIPPER_TOPIC, '2 numbers']):
        person.arm.live_until(lambda: person.arm.warned(since, words), f'a warning of {words}')


@in_namespace('refused')
def test_what_is_no_target_is_refused_by_name_and_moves_nothing(person):
    person.until('holding')
    person.arm.live(0.5)
    where, not_finite, no_rotation = person.arm.commanded(), ASIDE.copy(), ASIDE.copy()
    not_finite[1], no_rotation[3:] = np.nan, 0.0
    for target, frame_id, words in (
            (ASIDE, 'world', [TARGET_TOPIC, "'world'", "'base'"]),
            (not_finite, 'base', ['teleop target', 'finite']),
            (no_rotation, 'base', ['teleop target', 'quaternion'])):
        since = len(person.arm.process.log)
        person.steer(0.3, target, frame_id)
        person.arm.live_until(lambda: person.arm.warned(since, words), f'a warning of {words}')
    other = person.probe.node.create_publisher(
        PoseStamped, f'{person.arm.namespace}{TARGET_TOPIC}', qos.LATEST)
    person.arm.live(0.5)
    since = len(person.arm.process.log)
    person.steer(0.3)
    person.arm.live_until(
        lambda: person.arm.warned(since, [f'2 publishers on {TARGET_TOPIC}']), 'a warning')
    assert person.state['state'] == 'holding'
    assert np.linalg.norm(person.arm.commanded()[:3] - where[:3]) < 1e-4
    person.probe.node.destroy_publisher(other)
    person.arm.live(0.5)
    person.steer(0.6)
    assert person.state['state'] == 'takeover' and person.distance_m(where) > 5e-3


@in_namespace('latched')
def test_no_person_moves_an_arm_that_is_held(person):
    assert person.call('hold').success
    person.arm.live(0.5)
    where = person.arm.commanded()
    person.steer(0.6)
    assert person.state['latched'] == 'True'
    assert np.linalg.norm(person.arm.commanded()[:3] - where[:3]) < 1e-4
    assert person.call('resume').success
    person.steer(0.6)
    assert person.state['state'] == 'takeover' and person.distance_m(where) > 5e-3


@in_namespace('recorded')
def test_what_the_person_did_is_in_the_episode_of_the_recorder(person, probe, tmp_path):
    topics = [topic for topic in recorded_topics(['cube']) if topic.startswith(
        ('teleop/', 'residual_policy/action'))]
    assert len(topics) == 3
    recorder = NodeProcess('ocrrl_ros.nodes.recorder_node', tmp_path / 'recorder.txt', {
        'folder': str(tmp_path / 'bags'), 'image_topic': '', 'topics': topics,
        'fast_topics': ['franka/joint_states:sensor_msgs/msg/JointState']},
        ros_arguments=('-r', '__ns:=/recorded'))
    with running(recorder):
        person.arm.live_until(lambda: all(
            probe.node.count_subscribers(f'/recorded/{topic}') == 2
            for topic in (GRIPPER_TOPIC, TARGET_TOPIC, 'residual_policy/action')), 'the recorder')
        person.arm.stop()
        person.arm.start()
        person.arm.live_until(lambda: list(tmp_path.glob('bags/*')), 'a bag')
        person.arm.live(1.0)
        assert person.moves()
        # A publisher that is new is matched by one of its two readers before the other.
        for _ in range(2):
            person.arm.publish(GRIPPER_TOPIC, Float64MultiArray(data=[0.5]), qos.LATEST)
            person.steer(0.3)
        person.arm.stop()
        person.arm.live_until(lambda: list(tmp_path.glob('bags/*/episode.json')), 'its end')
    bag = next(tmp_path.glob('bags/*'))
    heard = {}
    with AnyReader([bag]) as reader:
        for connection, _, data in reader.messages():
            heard.setdefault(connection.topic, []).append(
                reader.deserialize(data, connection.msgtype))
    assert len(heard[f'/recorded/{TARGET_TOPIC}']) >= 10
    assert list(heard[f'/recorded/{GRIPPER_TOPIC}'][0].data) == [0.5]
    marks = [dict(zip(action.name, action.position))['takeover']
             for action in heard['/recorded/residual_policy/action']]
    assert marks == sorted(marks) and set(marks) == {0.0, 1.0}


def test_the_recorder_of_a_graph_keeps_what_a_person_sends():
    plan = {node.name: node.parameters for node in plan_graph(GraphConfig(record=True))}
    assert {f'{TARGET_TOPIC}:geometry_msgs/msg/PoseStamped',
            f'{GRIPPER_TOPIC}:std_msgs/msg/Float64MultiArray'} <= set(plan['recorder']['topics'])
