# SPDX-License-Identifier: Apache-2.0
"""A process that waits to be the node that dies next."""

import os
import signal

import numpy as np
from ocrrl_ros.interfaces import episode_state, qos, supervisor
from ocrrl_ros.interfaces.graph_plan import NodePlan
from ocrrl_ros.interfaces.spare_process import SpareProcess
from ocrrl_ros.interfaces.supervisor import Supervisor
import pytest
from std_msgs.msg import String
from tiny_bundles import tiny_residual


@pytest.fixture
def supervised(ros, monkeypatch):
    """Give a function that runs one node under a supervisor that keeps a spare at once."""
    monkeypatch.setattr(supervisor, '_SPARE_AFTER_S', 0.0)
    started = []

    def start(plan):
        found = Supervisor([(plan,)], lambda line: None, namespace='spare')
        started.append(found)
        found.start()
        return found

    yield start
    for found in started:
        found.stop()


def is_alive(pid):
    """Return whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def spare_pid(found):
    """Let the supervisor keep a spare and return it."""
    assert found.check() is None
    return found._spare._process.pid


def test_a_killed_node_is_the_spare_process_from_then_on(supervised, probe):
    found = supervised(NodePlan('episode', {'task': 'cube_lift'}))
    for _ in range(2):
        spare, states = spare_pid(found), probe.listen(
            String, f'spare/{episode_state.TOPIC}', qos.LATCHED)
        os.kill(found.pid('episode'), signal.SIGKILL)
        probe.until(lambda: found.check() or found.pid('episode') == spare, what='the restart')
        seen = len(states)
        probe.until(lambda: len(states) > seen, what='a state of the restarted node')
    last = [found.pid('episode'), spare_pid(found)]
    found.stop()
    assert not any(map(is_alive, last))


def test_a_spare_process_that_has_ended_is_not_missed(supervised, probe):
    found = supervised(NodePlan('episode', {'task': 'cube_lift'}))
    spare = spare_pid(found)
    os.kill(spare, signal.SIGKILL)
    before = found.pid('episode')
    os.kill(before, signal.SIGKILL)
    probe.until(lambda: found.check() or found.pid('episode') not in (before, spare),
                what='a process of its own')
    states = probe.listen(String, f'spare/{episode_state.TOPIC}', qos.LATCHED)
    probe.until(lambda: states, what='a state of the restarted node')


def test_what_a_node_refuses_is_the_exit_code_of_the_spare_process(ros, tmp_path):
    bundle = tiny_residual(tmp_path / 'altered', np.zeros(7))
    (bundle / 'policy.onnx').write_bytes(b'')
    node = 'ocrrl_ros.nodes.residual_policy_node'
    spare = SpareProcess([node], dict(os.environ))
    process = spare.become(node, ['--ros-args', '-p', f'residual:={bundle}'])
    assert process.wait(60) == 1


def test_a_spare_process_is_no_other_module_than_a_node_it_was_started_with(capfd):
    for known, told in (('ocrrl_ros.nodes.episode_node', 'ocrrl_ros.nodes.base_policy_node'),
                        ('json.tool', 'json.tool')):
        process = SpareProcess([known], dict(os.environ)).become(told, [])
        assert process.wait(60) == 1
        assert f"KeyError: '{told}'" in capfd.readouterr().err


def test_a_spare_process_ends_quietly_while_it_waits_and_with_its_parents_pipe(capfd):
    waiting, told = SpareProcess([], dict(os.environ)), SpareProcess([], dict(os.environ))
    waiting.stop()
    assert waiting._process.returncode is not None
    told._process.stdin.close()
    assert told._process.wait(60) == 0
    assert 'Traceback' not in capfd.readouterr().err
