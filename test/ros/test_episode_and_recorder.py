# SPDX-License-Identifier: Apache-2.0
"""Episodes start, end and time out; each leaves one bag that others can read."""

import json
import time

from mcap.reader import make_reader
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.episode_state import EpisodeInbox, from_message, to_message, TOPIC
from ocrrl_ros.policy.episode_clock import EpisodeState
import pytest
from ros_harness import NodeProcess, running
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger


@pytest.fixture(scope='module')
def graph(ros, probe, tmp_path_factory):
    """Give the folder of a recorder that runs beside an episode node with a short time-out."""
    folder = tmp_path_factory.mktemp('episodes')
    episode = NodeProcess('ocrrl_ros.nodes.episode_node', folder / 'episode.log', {
        'timeout_s': 1.5})
    recorder = NodeProcess('ocrrl_ros.nodes.recorder_node', folder / 'recorder.log', {
        'folder': str(folder / 'bags'), 'image_topic': '',
        'topics': ['joint_states:sensor_msgs/msg/JointState']})
    with running(episode, recorder):
        probe.states = probe.listen(String, TOPIC, qos.LATCHED)
        probe.instructions = probe.listen(String, 'base_policy/instruction', qos.LATCHED)
        probe.until(lambda: probe.states, what='a first episode state')
        probe.until(lambda: probe.node.count_subscribers(TOPIC) >= 2, what='the recorder')
        yield folder / 'bags'


def _newest(probe):
    return from_message(probe.states[-1])


def _wait_for_outcome(probe, outcome):
    probe.until(lambda: _newest(probe).outcome == outcome, what=f'outcome {outcome}')


def _start_and_send(probe, messages):
    number = _newest(probe).number
    # A first message before the start makes sure that both ends have found each other.
    probe.publish('joint_states', JointState(name=['a'], position=[-1.0]), qos.RELIABLE)
    time.sleep(0.3)
    assert probe.call(Trigger, 'episode/start').success
    probe.until(lambda: _newest(probe).number == number + 1, what='the new episode')
    for index in range(messages):
        probe.publish('joint_states', JointState(name=['a'], position=[float(index)]),
                      qos.RELIABLE)
        time.sleep(0.04)  # the recorder thins a topic to 100 Hz


def _only_new_bag(folder, known):
    found = [path for path in folder.iterdir() if path not in known]
    assert len(found) == 1
    return found[0]


def test_state_is_repeated_and_a_repetition_is_no_change(graph, probe):
    inbox = EpisodeInbox(probe.node)
    taken = []

    def has_repeated(count):
        taken.extend(message.data for message in inbox.take_changes())
        return len(probe.states) > count

    probe.until(lambda: has_repeated(0) and taken, what='a state')
    count = len(probe.states)
    probe.until(lambda: has_repeated(count + 3), what='repetitions')
    assert taken == [probe.states[-1].data]
    assert probe.call(Trigger, 'episode/start').success
    probe.until(lambda: has_repeated(0) and len(taken) > 2, what='a time-out')
    assert [from_message(String(data=text)).running for text in taken] == [False, True, False]


def test_instruction_of_the_task_is_announced(graph, probe):
    probe.until(lambda: probe.instructions, what='an instruction')
    assert probe.instructions[-1].data == 'lift the red cube'


def test_marked_episode_is_recorded_and_readable_by_rosbags_and_mcap(graph, probe):
    known = set(graph.glob('*'))
    _start_and_send(probe, 10)
    assert probe.call(Trigger, 'episode/mark_success').success
    _wait_for_outcome(probe, 'success')
    probe.until(lambda: any(
        (path / 'episode.json').exists() for path in set(graph.glob('*')) - known),
        what='the finished bag')
    bag = _only_new_bag(graph, known)
    with AnyReader([bag]) as reader:
        values = [
            reader.deserialize(data, connection.msgtype).position[0]
            for connection, _, data in reader.messages()
            if connection.topic == '/joint_states']
    assert len(values) >= 8 and values == sorted(values)
    with open(next(bag.glob('*.mcap')), 'rb') as stream:
        topics = {channel.topic for _, channel, _ in make_reader(stream).iter_messages()}
    assert {'/joint_states', '/episode/state'} <= topics
    summary = json.loads((bag / 'episode.json').read_text())
    assert summary['outcome'] == 'success' and summary['messages']['/joint_states'] >= 8


def test_second_start_and_stop_without_episode_are_refused(graph, probe):
    assert not probe.call(Trigger, 'episode/stop').success
    assert probe.call(Trigger, 'episode/start').success
    answer = probe.call(Trigger, 'episode/start')
    assert not answer.success and 'still running' in answer.message
    assert probe.call(Trigger, 'episode/stop').success
    _wait_for_outcome(probe, 'stopped')


def test_episode_times_out(graph, probe):
    assert probe.call(Trigger, 'episode/start').success
    _wait_for_outcome(probe, 'timeout')
    state = _newest(probe)
    assert not state.running and 1.4 < state.ended_s - state.started_s < 3.0


def test_interrupted_recorder_leaves_a_readable_bag(ros, probe, graph, tmp_path):
    recorder = NodeProcess('ocrrl_ros.nodes.recorder_node', tmp_path / 'log.txt', {
        'folder': str(tmp_path / 'bags'), 'image_topic': '',
        'topics': ['joint_states:sensor_msgs/msg/JointState']},
        ros_arguments=('-r', '__node:=second_recorder'))
    with running(recorder):
        probe.until(lambda: 'second_recorder' in probe.node.get_node_names(),
                    what='second recorder')
        time.sleep(1.0)
        _start_and_send(probe, 10)
        assert recorder.stop() == 0
    probe.call(Trigger, 'episode/stop')
    bag = next((tmp_path / 'bags').iterdir())
    with AnyReader([bag]) as reader:
        assert reader.message_count >= 5
    assert json.loads((bag / 'episode.json').read_text())['outcome'] == 'stopped'


def test_recorder_survives_what_is_no_state_and_never_reuses_a_folder(ros, probe, tmp_path):
    recorder = NodeProcess('ocrrl_ros.nodes.recorder_node', tmp_path / 'log.txt', {
        'folder': str(tmp_path / 'bags'), 'image_topic': '',
        'topics': ['joint_states:sensor_msgs/msg/JointState']},
        ros_arguments=('-r', '__ns:=/simulated'))
    topic = f'simulated/{TOPIC}'
    folders = [tmp_path / 'bags' / name for name in (
        '3_cube_lift_0001', '4_cube_lift_0002', '3_cube_lift_0001_2')]
    with running(recorder):
        probe.publish(topic, String(data='[not a state'), qos.LATCHED)
        probe.until(lambda: 'holds no JSON' in recorder.log, what='a warning')
        # A graph that is started anew counts episodes and simulated seconds from the same start.
        for (number, started_s), folder in zip([(1, 3.2), (2, 4.0), (1, 3.2)], folders):
            for is_running in (True, False):
                probe.publish(topic, to_message(EpisodeState(
                    number=number, running=is_running, task='cube_lift', started_s=started_s,
                    outcome='' if is_running else 'success')), qos.LATCHED)
                probe.until(folder.exists, what=f'folder {folder}')
            probe.until((folder / 'episode.json').exists, what='the finished bag')
        assert recorder.process.poll() is None
    assert sorted((tmp_path / 'bags').iterdir()) == sorted(folders)
