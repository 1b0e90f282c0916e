# SPDX-License-Identifier: Apache-2.0
"""Names and settings that come over the network lead to no file, and to no other setting."""

import json
from pathlib import Path
import socket
import time

from ocrrl_ros.core.configuration import read_yaml
from ocrrl_ros.core.errors import BundleError, ConfigError, InputError
from ocrrl_ros.core.resources import bundle_path
from ocrrl_ros.interfaces import episode_state, qos
from ocrrl_ros.interfaces.recording import message_class
from ocrrl_ros.policy.task_spec import load_task_spec
import pytest
from ros_harness import NodeProcess, Probe, running
from std_msgs.msg import String

HOSTILE = [
    '../../x', '/etc/passwd', '..', 'a/b', 'a\\b', 'x' * 65, 'a b', '\0', '~', '$HOME', '.x']


def state(**changes):
    """Return a message of an episode that runs, as anybody could send it."""
    return String(data=json.dumps({
        'number': 1, 'running': True, 'task': 'cube_lift', 'instruction': 'lift',
        'started_s': 1.0, 'ended_s': 0.0, 'outcome': ''} | changes))


@pytest.mark.parametrize('task', HOSTILE)
def test_task_of_an_episode_state_is_a_plain_name(task):
    with pytest.raises(ConfigError, match='task is'):
        episode_state.from_message(state(task=task))


@pytest.mark.parametrize('changes', [
    {'number': -1}, {'number': 10 ** 12}, {'number': '../1'}, {'started_s': float('nan')},
    {'started_s': float('inf')}, {'started_s': -1.0}, {'instruction': 'x' * 1001},
    {'outcome': '../x'}, {'folder': '/tmp'}, {'running': 'yes'}])
def test_other_fields_of_an_episode_state_are_what_an_episode_node_says(changes):
    with pytest.raises((ConfigError, InputError)):
        episode_state.from_message(state(**changes))


@pytest.mark.parametrize('data', ['', '[]', '{', 'null', '!!python/object:os.system {}'])
def test_episode_state_that_is_no_mapping_is_refused(data):
    with pytest.raises((ConfigError, InputError)):
        episode_state.from_message(String(data=data))


@pytest.mark.parametrize('name', [
    'os/msg/../path', '../x/msg/String', 'os.path/msg/join', 'std_msgs/srv/Empty',
    'std_msgs/msg/String.__class__', 'std_msgs/msg/__doc__', '/msg/String', 'std_msgs/msg/'])
def test_message_type_is_a_package_and_a_message(name):
    with pytest.raises(ConfigError):
        message_class(name)


@pytest.mark.parametrize('text', [
    '!!python/object/apply:os.system ["true"]', 'a: !!python/name:os.system',
    'a: !!python/object/new:subprocess.Popen [["true"]]', '!!python/module:os'])
def test_yaml_that_asks_for_objects_is_refused(tmp_path, text):
    (tmp_path / 'x.yaml').write_text(text)
    with pytest.raises(ConfigError, match='python'):
        read_yaml(tmp_path / 'x.yaml')


@pytest.mark.parametrize('name', ['../../etc/passwd', '/etc/passwd', '../cube_lift', ''])
def test_task_is_one_of_those_that_ship(name):
    with pytest.raises(ConfigError, match='unknown task'):
        load_task_spec(name)


def test_bundle_is_no_address():
    for folder in ('http://192.0.2.1/bundle', 'file:///etc', '//192.0.2.1/share'):
        with pytest.raises(BundleError, match='no model bundle'):
            bundle_path(folder)


@pytest.fixture
def watcher(ros):
    found = Probe()
    yield found
    found.close()


def test_recorder_writes_nothing_outside_its_folder(watcher, tmp_path):
    bags = tmp_path / 'a' / 'b' / 'bags'
    node = NodeProcess('ocrrl_ros.nodes.recorder_node', tmp_path / 'log.txt', {
        'folder': str(bags), 'image_topic': '',
        'topics': ['joint_states:sensor_msgs/msg/JointState'],
        'fast_topics': ['current_pose:geometry_msgs/msg/PoseStamped']},
        ('-r', '__ns:=/hostile'))
    topic = f'hostile/{episode_state.TOPIC}'
    with running(node):
        for task in ('../../../x', '/../../x'):
            watcher.publish(topic, state(task=task), qos.LATCHED)
            watcher.until(lambda task=task: repr(task) in node.log, what=f'refusal of {task}')
        watcher.publish(topic, state(number=7), qos.LATCHED)
        watcher.until(lambda: list(bags.glob('*')), what='the good episode')
        watcher.publish(topic, state(number=7, running=False, outcome='stopped'), qos.LATCHED)
        watcher.until(lambda: 'wrote' in node.log, what='its end')
    assert [path.name for path in bags.iterdir()] == ['1_cube_lift_0007']
    assert {path.name for path in tmp_path.iterdir()} == {'a', 'log.txt'}
    assert node.process.returncode == 0, node.log


def test_instruction_without_end_is_refused_and_the_episode_node_goes_on(watcher, tmp_path):
    node = NodeProcess('ocrrl_ros.nodes.episode_node', tmp_path / 'log.txt',
                       ros_arguments=('-r', '__ns:=/talked_to'))
    heard = watcher.listen(String, 'talked_to/base_policy/instruction', qos.LATCHED)
    with running(node):
        watcher.publish('talked_to/episode/instruction', String(data='x' * 10 ** 6), qos.LATEST)
        watcher.until(lambda: 'has 1000000 characters' in node.log, what='the refusal')
        watcher.publish('talked_to/episode/instruction', String(data='wave'), qos.LATEST)
        watcher.until(lambda: heard and heard[-1].data == 'wave', what='the good sentence')
    assert 'x' * 100 not in [message.data[:100] for message in heard]
    assert node.process.returncode == 0, node.log


def receiving_addresses(pid, domain):
    """Return the addresses of a process's sockets on the ports of its ROS domain."""
    inodes = set()
    for entry in Path(f'/proc/{pid}/fd').iterdir():
        try:
            inodes.add(str(entry.readlink()).removeprefix('socket:[').rstrip(']'))
        except OSError:
            continue
    first = 7400 + 250 * domain
    found = set()
    for line in Path('/proc/net/udp').read_text().splitlines()[1:]:
        fields = line.split()
        address, port = fields[1].split(':')
        if fields[9] in inodes and first <= int(port, 16) < first + 250:
            found.add(socket.inet_ntoa(bytes.fromhex(address)[::-1]))
    return found


@pytest.mark.parametrize(('reach', 'addresses'), [
    ('LOCALHOST', {'127.0.0.1'}), ('OFF', {'0.0.0.0'})])
def test_node_of_a_local_graph_listens_on_loopback_alone(
        watcher, ros_domain, tmp_path, monkeypatch, reach, addresses):
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', reach)
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        monkeypatch.delenv(name, raising=False)
    node = NodeProcess('ocrrl_ros.nodes.episode_node', tmp_path / 'log.txt',
                       ros_arguments=('-r', f'__ns:=/local_{reach.lower()}'))
    with running(node):
        end_s = time.monotonic() + 60.0
        while not receiving_addresses(node.process.pid, ros_domain):
            assert time.monotonic() < end_s and node.process.poll() is None, node.log
            time.sleep(0.1)
        time.sleep(0.5)
        assert receiving_addresses(node.process.pid, ros_domain) == addresses
