# SPDX-License-Identifier: Apache-2.0
"""Every node of the simulated stack killed with SIGKILL under the supervisor, and two hogs."""

import time

import numpy as np
from ocrrl_ros.cli.bench_faults import hogging
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.evaluation.faults.received_targets import broken_targets, shaper_of
from ocrrl_ros.interfaces.graph_plan import GraphConfig, group_processes, plan_graph
from ocrrl_ros.interfaces.killable_graph import KillableGraph
from ocrrl_ros.interfaces.supervisor import Supervisor
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest
from tiny_bundles import tiny_base, tiny_residual

START = FrankaKinematics().forward(np.array(READY_POSITION))
PATIENCE_S = 300.0
#: What is shown while the node is away; None where the policy can do without it for a while.
SHOWN = {
    'base_policy': 'base policy is stale', 'mujoco_bridge': 'joint state',
    'episode': 'episode ended', 'residual_policy': 'idle'}

GOING_ON = ('running_base', 'running_residual', 'holding')
PASSING = ('executing', 'base policy is stale', 'joint state is', 'episode/state')


@pytest.fixture(scope='module')
def graph(ros, probe, tmp_path_factory):
    """Give the running graph with the smallest bundles."""
    folder = tmp_path_factory.mktemp('killed')
    config = GraphConfig(
        domain='sim', vla=str(tiny_base(folder / 'base', START, np.array([0.0, 0.0, -0.05]))),
        residual=str(tiny_residual(folder / 'residual', np.zeros(7))), realtime_priority=0,
        record=True, record_dir=str(folder / 'bags'))
    supervisor = Supervisor(
        group_processes(plan_graph(config), ''), lambda line: None, max_restarts=20)
    found = KillableGraph(probe.node, supervisor, PATIENCE_S)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def watch_targets(graph, first, count):
    """Watch until so many targets have come since the first ones; return stamps and rows."""
    end_s = time.monotonic() + PATIENCE_S
    while len(graph.targets) - first < count:
        assert time.monotonic() < end_s, f'no targets: {graph.states[-3:]}'
        graph.watch(0.1)
    rows = graph.targets[first:]
    return np.array([stamp for stamp, _ in rows]), np.array([q for _, q in rows])


@pytest.mark.parametrize('name', [
    'recorder', 'pose_estimator', 'base_policy', 'episode', 'residual_policy', 'mujoco_bridge'])
def test_a_killed_node_comes_back_and_the_policy_moves_the_arm_again(graph, name):
    first = len(graph.targets)
    restart = graph.kill(name)
    assert restart.node == name and restart.alive_s <= restart.moving_s
    shown = [text for text in restart.states if SHOWN.get(name, 'executing') in text]
    assert shown, restart.states
    times_s, q = watch_targets(graph, first, len(graph.targets) - first + 100)
    assert not broken_targets(times_s, q, shaper_of())


def test_limits_are_kept_and_the_arm_goes_on_beside_two_processes_that_hog_the_processors(graph):
    with hogging(2):
        first, shown = len(graph.targets), max(len(graph.states) - 1, 0)
        times_s, q = watch_targets(graph, first, 600)
        hogged = graph.states[shown:]
    assert not broken_targets(times_s, q, shaper_of())
    assert np.ptp(q, axis=0).max() > 1e-3, 'the arm stood still'
    # A hold of a starved input passes by itself; nothing else may be shown.
    assert any(text.endswith(': executing') for text in hogged), hogged
    for text in hogged:
        state, _, reason = text.partition(': ')
        assert state in GOING_ON and reason.startswith(PASSING), hogged
    first = len(graph.targets)
    watch_targets(graph, first, 100)
    end_s = time.monotonic() + PATIENCE_S
    while not graph.states[-1].endswith(': executing'):
        assert time.monotonic() < end_s, graph.states[-3:]
        graph.watch(0.1)


def test_a_node_that_the_graph_does_not_have_is_named(graph):
    with pytest.raises(UnknownNameError, match="unknown node 'camera'; known: base_policy"):
        graph.kill('camera')
