# SPDX-License-Identifier: Apache-2.0
"""End to end: a short demo over the whole graph, in lockstep, with tiny bundles."""
import json
import os
from pathlib import Path
import signal
import subprocess
import sys

import numpy as np
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
from tiny_bundles import tiny_base, tiny_residual

TIMEOUT_S = 240.0


def run_demo(out, *options):
    """Run the command; its graph inherits this session's ROS domain and ends with it."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'ocrrl_ros.cli.main', 'demo', '--out', str(out), *options],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, errors = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60.0)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


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
def demo(ros_domain, tmp_path_factory):
    """Run one episode per policy with policies that only wave."""
    folder = tmp_path_factory.mktemp('demo')
    start = FrankaKinematics().forward(np.array(READY_POSITION))
    base = tiny_base(folder / 'base', start, np.array([0.05, 0.0, -0.05]))
    residual = tiny_residual(folder / 'residual', np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    before = node_processes()
    done = run_demo(
        folder / 'out', '--episodes', '1', '--lockstep', '--time-limit-s', '2', '--base',
        str(base), '--residual', str(residual), '--json', str(folder / 'copy.json'))
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


def test_report_and_episode_logs_are_there(demo):
    folder, done, _ = demo
    report = (folder / 'out' / 'report.html').read_text()
    assert report.count('<video') == 2
    assert 'residual  episode   1' in done.stdout
    assert len(list((folder / 'out' / 'episodes').rglob('*.mcap'))) == 2


def test_a_missing_bundle_is_named_before_anything_starts(ros_domain, tmp_path):
    done = run_demo(tmp_path / 'out', '--residual', str(tmp_path / 'nothing'))
    assert done.returncode == 1
    assert 'nothing' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / 'out').exists()
