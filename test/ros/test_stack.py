# SPDX-License-Identifier: Apache-2.0
"""The whole graph comes up without launch, runs an episode in lockstep, and leaves nothing."""

import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
import numpy as np
from ocrrl_ros.interfaces import episode_state, qos
from ocrrl_ros.interfaces.conversions import from_stamp, pose_to_array
from ocrrl_ros.interfaces.graph_plan import NodePlan
from ocrrl_ros.interfaces.spare_process import SpareProcess
from ocrrl_ros.interfaces.spin import EXIT_CRASHED
from ocrrl_ros.interfaces.supervisor import Supervisor
from ocrrl_ros.policy.replanning import ReplanConfig
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import load_domain
import pytest
from ros_harness import processes_of_group
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from tiny_bundles import tiny_base, tiny_residual
from trajectory_msgs.msg import MultiDOFJointTrajectory

START = FrankaKinematics().forward(np.array(READY_POSITION))
OFFSET = np.array([0.0, 0.0, -0.05])
REPLAN_PERIOD_S = ReplanConfig().period_s
FRAME_S = 1 / 30
IMAGE_DELAY_S = load_domain('sim').camera.delay_s
TICK_S = 0.005
LATENCY_S = 0.1


def _descendants(pid):
    """Return the living processes that a process started, and theirs."""
    found, queue = [], [pid]
    while queue:
        listing = subprocess.run(
            ['ps', '-o', 'pid=', '--ppid', str(queue.pop())], capture_output=True, text=True,
            check=False)
        children = [int(word) for word in listing.stdout.split()]
        found += children
        queue += children
    return found


def _is_spare(pid):
    """Return whether a process was started as the spare one."""
    with open(f'/proc/{pid}/cmdline', 'rb') as line:
        return SpareProcess.__module__.encode() in line.read()


def _stamp_s(message):
    """Return the stamp of a deserialised bag message."""
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def _is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8') as stat:
            return stat.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def _processes_that_name(word):
    """Return the living processes with the word in their command line."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if word.encode() in path.read_bytes() and _is_alive(int(path.parent.name)):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope='module')
def stack(ros, tmp_path_factory):
    """Give the running graph with the smallest bundles."""
    folder = tmp_path_factory.mktemp('stack')
    base = tiny_base(folder / 'base', START, OFFSET)
    residual = tiny_residual(folder / 'residual', np.zeros(7))
    log = open(folder / 'log.txt', 'w', encoding='utf-8')
    process = subprocess.Popen(
        [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', 'lockstep:=true', 'domain:=sim',
         f'vla:={base}', f'residual:={residual}', 'record:=true', f'latency_s:={LATENCY_S}',
         f'record_dir:={folder / "bags"}'],
        stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    process.folder = folder
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)
    log.close()


@pytest.fixture(scope='module')
def live(stack, probe):
    """Give what the graph says, once it talks."""
    heard = {
        'state': probe.listen(DiagnosticStatus, 'residual_policy/state', qos.LATCHED),
        'action': probe.listen(JointState, 'residual_policy/action', qos.DEEP_RELIABLE),
        'target': probe.listen(JointState, 'target_joint', qos.DEEP_RELIABLE),
        'tcp': probe.listen(PoseStamped, 'current_pose', qos.SENSOR_DATA),
        'chunk': probe.listen(
            MultiDOFJointTrajectory, 'base_policy/tcp_chunk', qos.DEEP_RELIABLE),
        'pose': probe.listen(
            PoseWithCovarianceStamped, 'objects/cube/pose', qos.DEEP_RELIABLE),
        'truth': probe.listen(
            PoseStamped, 'mujoco_bridge/sim/objects/cube/pose', qos.RELIABLE),
        'episode': probe.listen(String, episode_state.TOPIC, qos.LATCHED),
        'status': probe.listen(DiagnosticArray, 'objects/status', qos.RELIABLE),
    }
    probe.until(lambda: heard['state'] and heard['tcp'] and heard['status'], 90.0,
                what='a talking graph')
    return heard


def test_nothing_is_commanded_before_the_start(live):
    assert not live['target'] and not live['chunk']


def test_episode_moves_the_arm_along_the_base_policys_plan(live, probe):
    assert probe.call(Trigger, 'episode/start').success
    probe.until(lambda: len(live['chunk']) >= 3, 60.0, what='three chunks')
    heights = [message.pose.position.z for message in live['tcp']]
    assert heights[0] - min(heights) > 0.02
    assert live['state'][-1].message == 'executing'


def test_plans_come_every_period_from_the_newest_image(live):
    stamps = np.array([from_stamp(message.header.stamp) for message in live['chunk']])
    started_s = episode_state.from_message(live['episode'][-1]).started_s
    assert stamps[0] >= started_s
    # The newest image at a planning time is at most one frame, its delay and two ticks old.
    ages = started_s + REPLAN_PERIOD_S * np.arange(1, len(stamps)) - stamps[1:]
    assert (ages >= 0).all() and (ages <= FRAME_S + IMAGE_DELAY_S + 2 * TICK_S).all()


def test_published_pose_is_near_the_truth(live, probe):
    probe.until(lambda: live['pose'] and live['truth'], 30.0, what='a pose of the cube')
    error = pose_to_array(live['pose'][-1].pose.pose) - pose_to_array(live['truth'][-1].pose)
    assert np.abs(error[:3]).max() < 0.02


def test_interrupt_ends_every_process_and_leaves_a_readable_bag(stack, live):
    children = _descendants(stack.pid)
    assert len(children) >= 6
    os.kill(stack.pid, signal.SIGINT)
    assert stack.wait(30) == 0
    time.sleep(0.2)
    assert not [pid for pid in children if _is_alive(pid)]
    assert not processes_of_group(stack.pid)
    from rosbags.highlevel import AnyReader
    bag = next((stack.folder / 'bags').iterdir())
    with AnyReader([bag]) as reader:
        topics = {connection.topic for connection in reader.connections}
        delays_s = [
            logged_ns * 1e-9 - _stamp_s(reader.deserialize(data, connection.msgtype))
            for connection, logged_ns, data in reader.messages()
            if connection.topic == '/base_policy/tcp_chunk']
    assert {'/joint_states', '/base_policy/tcp_chunk', '/episode/state'} <= topics
    # The recorder looks at 50 Hz, so its times are up to 20 ms and a tick after the sending.
    assert min(delays_s) >= LATENCY_S - 1e-6
    assert max(delays_s) <= LATENCY_S + FRAME_S + IMAGE_DELAY_S + 0.05


def test_composed_nodes_share_one_process_in_a_namespace_and_end_together(
        ros, probe, tmp_path):
    base = tiny_base(tmp_path / 'base', START, OFFSET)
    residual = tiny_residual(tmp_path / 'residual', np.zeros(7))
    states = probe.listen(DiagnosticStatus, '/left/residual_policy/state', qos.LATCHED)
    chunks = probe.listen(
        MultiDOFJointTrajectory, '/left/base_policy/tcp_chunk', qos.DEEP_RELIABLE)
    with open(tmp_path / 'log.txt', 'w', encoding='utf-8') as log:
        process = subprocess.Popen(
            [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', 'lockstep:=true',
             'namespace:=left', 'domain:=sim', f'vla:={base}', f'residual:={residual}',
             '--compose', 'episode,pose_estimator,base_policy,residual_policy'],
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            probe.until(lambda: states, 90.0, what='a state of the residual policy')
            assert probe.call(Trigger, '/left/episode/start').success
            probe.until(lambda: len(chunks) >= 2, 60.0, what='two chunks')
            # The bridge, its renderer and the process that four nodes share; a spare is no node.
            assert len([pid for pid in _descendants(process.pid) if not _is_spare(pid)]) == 3
        finally:
            os.kill(process.pid, signal.SIGINT)
            code = process.wait(30)
    assert code == 0 and not processes_of_group(process.pid)
    assert 'still running' not in (tmp_path / 'log.txt').read_text()


def test_refused_setting_of_a_composed_node_ends_the_stack_and_is_named(ros, tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', f'vla:={tmp_path / "nowhere"}',
         'compose:=episode,base_policy'], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode != 0
    assert 'nowhere' in done.stdout + done.stderr


@pytest.mark.parametrize(('argument', 'words'), [
    ('task:=juggle', ['juggle', 'cube_lift']), ('robot:=fr3', ['robot_ip'])])
def test_wrong_arguments_end_the_stack_with_code_two(argument, words):
    done = subprocess.run(
        [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', argument], capture_output=True,
        text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words) and 'Traceback' not in done.stderr


def test_missing_bundle_ends_the_stack_before_anything_starts(ros, tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', f'vla:={tmp_path / "nowhere"}'],
        capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1
    assert 'nowhere' in done.stderr and 'started' not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_altered_bundle_ends_the_stack_with_its_message_once(ros, tmp_path):
    bundle = tiny_residual(tmp_path / 'residual', np.zeros(7))
    network = bundle / 'policy.onnx'
    network.write_bytes(network.read_bytes()[:-10])
    done = subprocess.run(
        [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', 'lockstep:=true',
         f'residual:={bundle}', 'namespace:=altered'],
        capture_output=True, text=True, timeout=120, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 1, told
    assert told.count('truncated or altered') == 1
    assert 'restart' not in told
    assert not _processes_that_name('__ns:=/altered')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_during_the_start_leaves_no_process(ros, number):
    process = subprocess.Popen(
        [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', 'lockstep:=true',
         f'namespace:=early_{number.name}'],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Tests that run under nohup ignore SIGHUP and would hand that on.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    try:
        assert 'started' in process.stderr.readline()
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert not _processes_that_name(f'__ns:=/early_{number.name}')


def test_nodes_end_when_their_stack_is_killed(ros, probe):
    process = subprocess.Popen(
        [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', 'lockstep:=true',
         'namespace:=orphans'], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True)
    assert 'started' in process.stderr.readline()
    process.kill()
    process.communicate(timeout=60)
    probe.until(lambda: not _processes_that_name('__ns:=/orphans'), what='an empty graph')


@pytest.fixture
def supervised(ros):
    """Give a function that runs one node under a supervisor, and what it logs."""
    started = []

    def start(plan):
        lines = []
        supervisor = Supervisor([(plan,)], lines.append)
        started.append(supervisor)
        supervisor.start()
        return supervisor, lines

    yield start
    for supervisor in started:
        supervisor.stop()


def test_killed_node_is_restarted_until_it_was_killed_too_often(supervised, probe):
    supervisor, lines = supervised(NodePlan('episode', {'task': 'cube_lift'}))
    for restart in range(1, 4):
        os.kill(int(re.search(r'pid (\d+)', lines[-1])[1]), signal.SIGKILL)
        probe.until(lambda: supervisor.check() or len(lines) > restart, what='a restart')
        assert f'died with code -9; restart {restart} of 3' in lines[-1]
    states = probe.listen(String, episode_state.TOPIC, qos.LATCHED)
    probe.until(lambda: states, what='a state of the restarted node')
    os.kill(int(re.search(r'pid (\d+)', lines[-1])[1]), signal.SIGKILL)
    assert probe.until(supervisor.check, what='the end') == 1
    assert 'stopping the graph' in lines[-1]


@pytest.mark.parametrize(('parameters', 'code'), [
    ({'task': 'juggle'}, 2), ({'residual': 'ALTERED'}, 1)])
def test_refusal_is_not_restarted(supervised, probe, tmp_path, parameters, code):
    bundle = tiny_residual(tmp_path / 'altered', np.zeros(7))
    (bundle / 'policy.onnx').write_bytes(b'')
    supervisor, lines = supervised(NodePlan('residual_policy', {
        name: value.replace('ALTERED', str(bundle)) for name, value in parameters.items()}))
    assert probe.until(supervisor.check, what='the end') == code
    assert len(lines) == 2 and f'ended with code {code}; stopping the graph' in lines[-1]


def test_traceback_has_an_exit_code_of_its_own(ros_domain):
    program = ('import sys; from ocrrl_ros.interfaces.spin import run_process; '
               'sys.exit(run_process(lambda: 1 // 0, "crash", []))')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == EXIT_CRASHED
    assert 'ZeroDivisionError' in done.stderr
