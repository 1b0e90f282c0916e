# SPDX-License-Identifier: Apache-2.0
"""
The launch files bring up and end the same graph as ``stack``; needs ROS 2's launch.

Launch runs in a process of its own, as users run it, and not inside pytest as launch_testing has
it: a Ctrl-C and what it leaves behind can be tested only from outside.
"""

import dataclasses
import os
from pathlib import Path
import signal
import subprocess
import sys

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.graph_plan import GraphConfig, SUBSYSTEMS
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
from tiny_bundles import tiny_base, tiny_residual

REASON = 'launch and launch_ros are no PyPI packages: a ROS 2 Jazzy installation has them'
pytest.importorskip('launch', reason=REASON)
pytest.importorskip('launch_ros', reason=REASON)
try:
    from ament_index_python.packages import get_package_share_directory
    SHARE = Path(get_package_share_directory('ocrrl'))
except LookupError:
    pytest.skip('package ocrrl is not in the ament index: colcon build, then source '
                'install/setup.bash', allow_module_level=True)

RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = dict(item.split(':=', 1) for item in sys.argv[2:])
service = LaunchService(argv=[])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments.items())]))
sys.exit(service.run())
"""


def _description(name):
    from launch.launch_description_sources import get_launch_description_from_python_launch_file
    return get_launch_description_from_python_launch_file(str(SHARE / 'launch' / name))


def _environments(namespace):
    """Return the environment of each living node of a namespace, by its command line."""
    found = {}
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            command = (folder / 'cmdline').read_bytes().decode()
            environment = (folder / 'environ').read_bytes().decode().split('\0')
        except OSError:
            continue
        if f'__ns:=/{namespace}' in command:
            found[command] = dict(entry.split('=', 1) for entry in environment if '=' in entry)
    return found


@pytest.mark.parametrize('name', ['deploy', *SUBSYSTEMS])
def test_every_launch_file_declares_every_argument_with_a_description(name):
    declared = {
        argument.name: argument.description
        for argument in _description(f'{name}.launch.py').get_launch_arguments()}
    for field in dataclasses.fields(GraphConfig):
        assert declared[field.name] == field.metadata['description']


@pytest.mark.parametrize(('namespace', 'compose'), [
    ('', ''), ('left', 'pose_estimator,base_policy,residual_policy')])
def test_launched_graph_talks_and_ends_cleanly_on_interrupt(
        ros, probe, tmp_path, monkeypatch, namespace, compose):
    monkeypatch.delenv('LP_NUM_THREADS', raising=False)
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    base = tiny_base(
        tmp_path / 'base', FrankaKinematics().forward(np.array(READY_POSITION)), np.zeros(3))
    residual = tiny_residual(tmp_path / 'residual', np.zeros(7))
    with open(tmp_path / 'log.txt', 'w', encoding='utf-8') as log:
        process = subprocess.Popen(
            [sys.executable, '-c', RUN, str(SHARE / 'launch' / 'deploy.launch.py'),
             'domain:=sim', f'vla:={base}', f'residual:={residual}', 'lockstep:=true',
             f'namespace:={namespace}', f'compose:={compose}'],
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            states = probe.listen(
                DiagnosticStatus, f'{namespace}/residual_policy/state', qos.LATCHED)
            probe.until(lambda: states, 90.0, what='a state of the residual policy')
            environments = _environments(namespace) if namespace else {}
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
    text = (tmp_path / 'log.txt').read_text()
    # As under `stack`, one thread per library, but for what the operator chose.
    assert len(environments) >= 2 or not namespace
    for environment in environments.values():
        assert (environment['LP_NUM_THREADS'], environment['OMP_NUM_THREADS']) == ('1', '3')
    assert 'sigterm' not in text.lower() and 'Traceback' not in text
