# SPDX-License-Identifier: Apache-2.0
"""What is to be secured and cannot be does not start; a simulated graph stays on this host."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
from ros_harness import die_with_parent, NodeProcess, processes_of_group, running
from tiny_bundles import tiny_base

MODULE = 'ocrrl_ros.nodes.episode_node'
ENCLAVE = ('--enclave', '/ocrrl/episode')
RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
LIMIT_S = 60.0


@pytest.fixture
def keystore(tmp_path, monkeypatch):
    """Give the folder of a keystore, and an environment that asks for its protection."""
    folder = tmp_path / 'keystore'
    for name, value in (('ENABLE', 'true'), ('STRATEGY', 'Enforce'), ('KEYSTORE', str(folder))):
        monkeypatch.setenv(f'ROS_SECURITY_{name}', value)
    monkeypatch.delenv('ROS_SECURITY_ENCLAVE_OVERRIDE', raising=False)
    return folder


def one_line(node):
    """Return the node's only fatal line; a traceback is none."""
    assert 'Traceback' not in node.log
    line, = (line for line in node.log.splitlines() if '[FATAL]' in line)
    return line


def test_node_without_the_keys_of_its_enclave_does_not_start(keystore, tmp_path):
    with running(NodeProcess(MODULE, tmp_path / 'log.txt', ros_arguments=ENCLAVE)) as node:
        assert node.wait() == 2
    line = one_line(node)
    assert 'keystore/enclaves/ocrrl/episode' in line and 'docs/security.md' in line


def test_node_that_the_middleware_cannot_secure_does_not_start(keystore, tmp_path):
    """Without security in Fast DDS (the wheels), or with keys that are none (a full ROS)."""
    (keystore / 'enclaves' / 'ocrrl' / 'episode').mkdir(parents=True)
    with running(NodeProcess(MODULE, tmp_path / 'log.txt', ros_arguments=ENCLAVE)) as node:
        assert node.wait() == 1
    assert 'ROS_SECURITY_ENABLE is true, and ROS refuses' in one_line(node)


@pytest.mark.parametrize(('name', 'value'), [('ENABLE', 'True'), ('STRATEGY', 'enforce')])
def test_setting_that_ros_would_take_for_no_is_refused(
        keystore, tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(f'ROS_SECURITY_{name}', value)
    with running(NodeProcess(MODULE, tmp_path / 'log.txt', ros_arguments=ENCLAVE)) as node:
        assert node.wait() == 2
    assert f"unknown ROS_SECURITY_{name} '{value}'" in one_line(node)


def environment_of(pid):
    """Return the environment that a process was started with."""
    entries = Path(f'/proc/{pid}/environ').read_bytes().decode().split('\0')
    return dict(entry.split('=', 1) for entry in entries if '=' in entry)


def without(monkeypatch, *names):
    """Take variables out of the environment."""
    for name in names:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(('own', 'expected', 'profile'), [
    (None, 'LOCALHOST', 'fastdds_local.xml'), ('OFF', 'OFF', 'fastdds.xml')])
def test_nodes_of_a_simulated_graph_stay_on_this_host_unless_the_operator_chose(
        tmp_path, monkeypatch, own, expected, profile):
    without(monkeypatch, RANGE, 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
    if own:
        monkeypatch.setenv(RANGE, own)
    start = FrankaKinematics().forward(np.array(READY_POSITION))
    log = tmp_path / 'log.txt'
    with open(log, 'wb') as output:
        stack = subprocess.Popen(
            [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', 'robot:=sim', 'residual:=none',
             f'vla:={tiny_base(tmp_path / "base", start, np.zeros(3))}', 'realtime_priority:=0'],
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=die_with_parent)
    try:
        end_s = time.monotonic() + LIMIT_S
        while b'residual_policy: started' not in log.read_bytes():
            assert time.monotonic() < end_s and stack.poll() is None, log.read_text()
            time.sleep(0.05)
        words = [line.split() for line in log.read_text().splitlines() if ': started, pid' in line]
        environments = [environment_of(int(line[-1])) for line in words]
    finally:
        stack.send_signal(signal.SIGINT)
        assert stack.wait(LIMIT_S) == 0, log.read_text()
    assert len(environments) == 5
    for environment in environments:
        assert environment[RANGE] == expected
        assert environment['ROS_DOMAIN_ID'] == os.environ['ROS_DOMAIN_ID']
        assert environment['FASTRTPS_DEFAULT_PROFILES_FILE'].endswith(profile)
    said = f'simulation, on this host alone: {RANGE}=LOCALHOST'
    assert (said in log.read_text()) == (own is None)


def test_bridge_alone_stays_on_this_host_too(tmp_path, monkeypatch):
    without(monkeypatch, RANGE)
    with running(NodeProcess('ocrrl_ros.nodes.mujoco_bridge_node', tmp_path / 'log.txt', {
            'realtime_priority': 0}, ('-r', '__ns:=/alone'))) as node:
        end_s = time.monotonic() + LIMIT_S
        while not (others := set(processes_of_group(node.process.pid)) - {node.process.pid}):
            assert time.monotonic() < end_s and node.process.poll() is None, node.log
            time.sleep(0.05)
        assert {environment_of(pid)[RANGE] for pid in others} == {'LOCALHOST'}
