# SPDX-License-Identifier: Apache-2.0
"""End to end: a short demo over the whole graph, in lockstep, with tiny bundles."""
import json
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
from result_fields import RESULT_FIELDS
from tiny_bundles import tiny_base, tiny_residual

TIMEOUT_S = 240.0


def start_demo(out, *options):
    """Start the command; its graph inherits this session's ROS domain and ends with it."""
    return subprocess.Popen(
        [sys.executable, '-X', 'faulthandler', '-m', 'ocrrl_ros.cli.main', 'demo', '--out',
         str(out), *options],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run_demo(out, *options):
    """Run the command to its end."""
    process = start_demo(out, *options)
    try:
        output, errors = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60.0)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def end_of(process):
    """Return what the process has written by its end; one that hangs writes where it does."""
    try:
        return process.communicate(timeout=60.0)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.communicate(timeout=60.0)


def node_processes():
    """Count the processes of any graph of this test session's ROS domain."""
    wanted = f'ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]}'.encode()
    found = 0
    for folder in Path('/proc').iterdir():
        try:
            if (b'ocrrl_ros.nodes' in (folder / 'cmdline').read_bytes()
                    and wanted in (folder / 'environ').read_bytes().split(b'\0')):
                found += 1
        except OSError:
            continue
    return found


@pytest.fixture(scope='module')
def tiny(ros_domain, tmp_path_factory):
    """Give the options of a short demo with policies that only wave."""
    folder = tmp_path_factory.mktemp('bundles')
    start = FrankaKinematics().forward(np.array(READY_POSITION))
    base = tiny_base(folder / 'base', start, np.array([0.05, 0.0, -0.05]))
    residual = tiny_residual(folder / 'residual', np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    return ('--episodes', '1', '--lockstep', '--time-limit-s', '2', '--base', str(base),
            '--residual', str(residual))


@pytest.fixture(scope='module')
def demo(tiny, tmp_path_factory):
    """Run one episode per policy."""
    folder = tmp_path_factory.mktemp('demo')
    before = node_processes()
    done = run_demo(folder / 'out', *tiny, '--json', str(folder / 'copy.json'))
    return folder, done, before


def test_demo_ends_well_and_leaves_no_process(demo):
    _, done, before = demo
    assert done.returncode == 0, done.stdout + done.stderr
    assert node_processes() == before


def test_result_has_one_object_per_policy_from_the_same_start(demo):
    folder, _, _ = demo
    result = json.loads((folder / 'out' / 'result.json').read_text())
    assert result == json.loads((folder / 'copy.json').read_text())
    base, residual = result['results']
    assert (base['policy'], residual['policy']) == ('base', 'residual')
    assert base['init_sha256'] == residual['init_sha256']
    assert base['episodes'] == residual['episodes'] == 1
    assert base['outcomes'] == residual['outcomes'] == [False]
    assert base['bundle_sha256'] != residual['bundle_sha256']


def test_every_policys_object_has_every_field_that_is_promised(demo):
    folder, _, _ = demo
    for result in json.loads((folder / 'out' / 'result.json').read_text())['results']:
        assert result.keys() >= RESULT_FIELDS
        assert result['wall_s'] > 0.0
        # What ended an episode is no failure mode of the rules that `evaluate` applies.
        assert result['endings'] == ['timeout'] and result['failure_modes'] == [None]


def test_report_and_episode_logs_are_there(demo):
    folder, done, _ = demo
    report = (folder / 'out' / 'report.html').read_text()
    assert report.count('<video') == 2 and 'timeout' in report
    assert 'residual  episode   1' in done.stdout
    assert len(list((folder / 'out' / 'episodes').rglob('*.mcap'))) == 2


def test_a_missing_bundle_is_named_before_anything_starts(ros_domain, tmp_path):
    done = run_demo(tmp_path / 'out', '--residual', str(tmp_path / 'nothing'))
    assert done.returncode == 1
    assert 'nothing' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / 'out').exists()


def test_what_is_no_bundle_is_refused_as_wrong_usage(ros_domain, tmp_path):
    done = run_demo(tmp_path / 'out', '--base', 'expert')
    assert done.returncode == 2
    assert 'expert' in done.stderr and 'Traceback' not in done.stderr


@pytest.mark.parametrize(('word', 'number'), [
    ('mujoco_bridge: started', signal.SIGINT), ('in lockstep with', signal.SIGINT),
    ('base_policy: started', signal.SIGTERM)])
def test_interrupt_ends_every_process_and_exits_with_130(tiny, tmp_path, word, number):
    before = node_processes()
    out = tmp_path / 'out'
    process = start_demo(out, *tiny)
    deadline = time.monotonic() + TIMEOUT_S
    while not (out / 'graph.log').exists() or word not in (out / 'graph.log').read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    output, errors = end_of(process)
    log = (out / 'graph.log').read_text()
    assert process.returncode == 130, output + errors + log
    assert errors == 'ocrrl demo: interrupted\n'
    assert node_processes() == before
    assert not (out / 'result.json').exists()
