# SPDX-License-Identifier: Apache-2.0
"""
A recorder whose disk is full keeps what it had, says so, and goes on; so does one that is killed.

A limit on the size of a file (RLIMIT_FSIZE) stands for the disk: writing fails with an OSError in
the middle of a file, as on a full disk, and needs no rights.
"""

import os
import resource
import signal
import time

from diagnostic_msgs.msg import DiagnosticArray
from mcap.exceptions import EndOfFile
from mcap.reader import NonSeekingReader
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.data.episode_log import EpisodeLog
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.episode_state import to_message, TOPIC
from ocrrl_ros.policy.episode_clock import EpisodeState
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros_harness import NodeProcess, running
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import JointState

DATA = 'joint_states'
KIND = 'sensor_msgs/msg/JointState'
LIMIT = 100_000
#: By how much a busy machine may delay a recorder that flushes every second.
BUSY_S = 1.0


def reading(value):
    """Return a message of a kilobyte."""
    return JointState(name=['a'] * 100, position=[float(value)])


@pytest.fixture
def small_disk():
    """Let no file of this process and its children grow beyond the limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def stamps(bag):
    """Return the times of the data topic's messages in a bag, through its index."""
    with AnyReader([bag]) as reader:
        return [stamp for connection, stamp, data in reader.messages()
                if connection.topic.endswith(DATA) and len(data) > 500]


def values_without_index(path):
    """Return the values of the data topic in a file that was never finished."""
    values = []
    with path.open('rb') as stream:
        try:
            for _, channel, message in NonSeekingReader(stream).iter_messages(
                    log_time_order=False):
                if channel.topic.endswith(DATA):
                    values.append(deserialize_message(message.data, JointState).position[0])
        except EndOfFile:
            pass
    return values


def fill(log, flush_every):
    """Write until the disk is full and return how many messages were flushed."""
    safe = 0
    for number in range(10_000):
        log.write(f'/{DATA}', KIND, serialize_message(reading(number)), number + 1)
        if number % flush_every == flush_every - 1:
            log.flush()
            safe = number + 1
    return safe


def test_a_full_disk_ends_the_log_behind_its_last_whole_chunk(ros, tmp_path, small_disk):
    log = EpisodeLog(tmp_path / 'bag')
    with pytest.raises(DatasetError, match='bag ends early: .*too large'):
        fill(log, 20)
    found = stamps(tmp_path / 'bag')
    assert len(found) >= 60 and len(found) % 20 == 0
    assert found == [number + 1 for number in range(len(found))]
    assert (tmp_path / 'bag' / 'metadata.yaml').exists()
    log.close()


def test_without_room_for_an_index_the_file_is_left_whole_to_the_last_chunk(
        ros, tmp_path, small_disk):
    log = EpisodeLog(tmp_path / 'bag')
    for number in range(10):
        log.write(f'/{DATA}', KIND, serialize_message(reading(number)), number + 1)
    log.flush()
    size = (tmp_path / 'bag' / 'bag.mcap').stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))
    log.write(f'/{DATA}', KIND, serialize_message(reading(10)), 11)
    with pytest.raises(DatasetError, match='mcap recover'):
        log.flush()
    assert values_without_index(tmp_path / 'bag' / 'bag.mcap') == list(range(10))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(DatasetError, match='cannot write'):
        EpisodeLog(tmp_path / 'file' / 'deeper' / 'bag')


class Recording:
    """A recorder in a namespace and what is said to it."""

    def __init__(self, probe, node, namespace):
        self.probe, self.node, self.namespace = probe, node, namespace
        self.sent_s = []
        self.diagnostics = probe.listen(DiagnosticArray, '/diagnostics', qos.DEEP_RELIABLE)

    def episode(self, number, running_now):
        now_s = self.probe.node.get_clock().now().nanoseconds * 1e-9
        self.probe.publish(f'{self.namespace}/{TOPIC}', to_message(EpisodeState(
            number=number, running=running_now, task='cube_lift', started_s=now_s)), qos.LATCHED)

    def say(self):
        self.probe.publish(f'{self.namespace}/{DATA}', reading(len(self.sent_s)), qos.RELIABLE)
        self.sent_s.append(time.monotonic())

    def say_until(self, predicate, what):
        """Send at no more than 50 Hz until the predicate holds: chunks are to fit on the disk."""
        def sent():
            if not self.sent_s or time.monotonic() - self.sent_s[-1] >= 0.02:
                self.say()
            return predicate()

        self.probe.until(sent, what=f'{what}: {self.node.log[-2000:]}')

    def problem(self):
        """Return what the recorder's newest diagnostics say."""
        found = [status.message for message in self.diagnostics for status in message.status
                 if status.name == 'recorder']
        return found[-1] if found else ''


def recorder(tmp_path, namespace):
    return NodeProcess('ocrrl_ros.nodes.recorder_node', tmp_path / 'log.txt', {
        'folder': str(tmp_path / 'bags'), 'image_topic': '', 'topics': [f'{DATA}:{KIND}'],
        'fast_topics': ['current_pose:geometry_msgs/msg/PoseStamped']},
        ('-r', f'__ns:=/{namespace}'))


def test_a_recorder_on_a_full_disk_says_so_and_records_the_next_episode(ros, probe, tmp_path):
    node = recorder(tmp_path, 'full')
    with running(node):
        stage = Recording(probe, node, 'full')
        stage.episode(1, True)
        probe.until(lambda: list(tmp_path.glob('bags/*/*.mcap')), what='a bag')
        # The log file of the process stands in the way of a limit from the start.
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
        stage.say_until(lambda: 'nothing is recorded' in stage.problem(), 'the full disk')
        assert node.process.poll() is None
        assert 'ends early' in stage.problem()
        bag = next(tmp_path.glob('bags/*'))
        found = stamps(bag)
        assert found and found == sorted(found)
        resource.prlimit(
            node.process.pid, resource.RLIMIT_FSIZE,
            (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        stage.episode(2, True)
        stage.say_until(lambda: len(list(tmp_path.glob('bags/*'))) == 2, 'the next bag')
        stage.say_until(lambda: 'nothing is recorded' not in stage.problem(), 'the good news')
        stage.episode(2, False)
        probe.until(lambda: list(tmp_path.glob('bags/*/episode.json')), what='the finished bag')
    assert node.process.returncode == 0, node.log


def test_a_killed_recorder_loses_at_most_what_was_sent_in_the_last_second(ros, probe, tmp_path):
    node = recorder(tmp_path, 'killed')
    with running(node):
        stage = Recording(probe, node, 'killed')
        stage.episode(1, True)
        stage.say_until(lambda: list(tmp_path.glob('bags/*/*.mcap')), 'a bag')
        path, first = next(tmp_path.glob('bags/*/*.mcap')), len(stage.sent_s)
        began_s = time.monotonic()
        stage.say_until(lambda: time.monotonic() - began_s > 3.5, 'a while')
        killed_s = time.monotonic()
        os.kill(node.process.pid, signal.SIGKILL)
        node.wait()
    found = values_without_index(path)
    assert found == sorted(set(found))
    old = [value for value in range(first, len(stage.sent_s))
           if stage.sent_s[value] < killed_s - 1.0 - BUSY_S]
    # Two flushes at least: what a recorder holds back until the end would be missed.
    assert len(old) > 50 and set(old) <= set(found), sorted(set(old) - set(found))
