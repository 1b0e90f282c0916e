# SPDX-License-Identifier: Apache-2.0
"""Whole episodes under faults, with the scripted expert: no limit broken, the state shown."""
import io
import json

import numpy as np
from ocrrl_ros.cli.evaluate import episode_line
from ocrrl_ros.cli.fault_output import fault_line, fault_table, state_lines
from ocrrl_ros.evaluation import evaluate as module
from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.evaluate import EvaluateConfig, rollout_settings
from ocrrl_ros.evaluation.faults.command_watch import CommandWatch
from ocrrl_ros.evaluation.faults.faulty_episode import without_numbers
from ocrrl_ros.evaluation.faults.frozen_view import FrozenView
from ocrrl_ros.evaluation.faults.settings import FaultConfig, FAULTS
from ocrrl_ros.evaluation.provenance import GitState
from ocrrl_ros.policy.command_clock import CommandClock
from ocrrl_ros.policy.controller import Command
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.fr3 import READY_POSITION
import pytest
from rich.console import Console

READY = np.array(READY_POSITION)
#: What has to be shown under each fault; the others leave the policy at work.
SHOWN = {
    'delay': 'joint state is # s old', 'clock_forward': 'joint state is # s old',
    'clock_back': 'the clock went back', 'frozen_stamps': 'base policy is stale',
    'stall_1s': 'base policy is stale', 'stall_3s': 'base policy is stale',
    'stall_10s': 'base policy is stale'}
REFUSED = {
    'clock_back': 'ahead of the clock', 'nan': 'finite', 'inf': 'finite', 'huge': 'allowed'}


def expert(**changes):
    """Configure the cheapest evaluation; the fault comes early, as the expert is quick."""
    return EvaluateConfig(**{
        'policy': 'base', 'base': 'expert', 'poses': 'truth', 'workers': 1, 'seed': 10_000,
        'fault': FaultConfig(begin_s=(1.0, 2.0), lasts_s=(1.0, 1.5)), **changes})


@pytest.fixture(scope='module')
def records():
    """Run one episode under every fault."""
    config = expert(faults=(), episodes=len(FAULTS))
    worker = module.EpisodeWorker(rollout_settings(config))
    found = [EpisodeRecord.from_mapping(json.loads(json.dumps(worker(episode))))
             for episode in range(config.episodes)]
    return {record.fault.name: record for record in found}


@pytest.mark.parametrize('name', FAULTS)
def test_no_limit_is_broken_and_the_policy_goes_on(records, name):
    fault = records[name].fault
    assert fault.met and fault.commands > 500
    assert not fault.violations
    assert fault.recovery_s is not None and not fault.is_stopped
    assert records[name].outcome


@pytest.mark.parametrize('name', FAULTS)
def test_what_stops_the_arm_is_shown_and_what_does_not_is_not(records, name):
    states = [text for text in records[name].fault.states if text.startswith('holding')]
    if name in SHOWN:
        assert any(SHOWN[name] in text for text in states), states
    if name in ('frozen_camera', 'stall_0.2s'):
        assert not states
    assert not any(text.startswith('fault') for text in records[name].fault.states)


@pytest.mark.parametrize('name', REFUSED)
def test_messages_that_cannot_be_used_are_refused_by_cause(records, name):
    fault = records[name].fault
    assert fault.refused > 10
    assert any(REFUSED[name] in text for text in fault.refusals)


def test_the_same_seed_gives_the_same_episode(records):
    config = expert(faults=('huge',), episodes=1)
    first, second = (
        module.EpisodeWorker(rollout_settings(config))(0) for _ in range(2))
    assert first['fault'] == second['fault'] and first['duration_s'] == second['duration_s']


def test_a_command_that_jumps_with_the_clock_is_counted(monkeypatch):
    # As a node does that takes the difference of two clock readings for the time of a command.
    def jump(self, now_s):
        last_s, self._last_s = self._last_s, now_s
        return 0.0 if last_s is None else max(0.0, now_s - last_s)

    monkeypatch.setattr(CommandClock, 'step', jump)
    worker = module.EpisodeWorker(rollout_settings(expert(faults=('clock_forward',), episodes=1)))
    broken = worker(0)['fault']['violations']
    assert {'velocity by differences', 'continuity of position'} <= set(broken)


def test_a_restart_and_a_silence_begin_a_new_stream_and_a_jump_does_not():
    shaper = CommandShaper()
    watch = CommandWatch(shaper, 0.005)

    def send(q, **changes):
        watch.add(Command(q, np.zeros(7), 1.0, **changes))

    shaper.seed(READY)
    for _ in range(3):
        send(READY)
    send(READY + 0.3, is_restart=True)
    send(READY + 0.3)
    watch.add(None)
    send(READY)
    assert not watch.violations() and watch.commands == 6
    send(READY)
    send(READY + 0.3)
    assert watch.violations()['continuity of position'] == 1


def test_a_frozen_picture_stays_while_time_goes_on():
    class World:
        time_s = 1.0

        def task_state(self):
            return {'at': [self.time_s]}

        def render_state(self):
            return np.array([self.time_s])

    world = World()
    view = FrozenView(world)
    world.time_s = 2.0
    assert view.time_s == 2.0 and view.task_state() == {'at': [1.0]}
    assert view.render_state() is view.render_state() and view.render_state()[0] == 1.0


def test_causes_are_told_apart_without_their_numbers():
    assert without_numbers('position [1.0, nan] rad is 1e30 after -2.5 s') == (
        'position [#] rad is # after # s')


def test_result_has_a_block_and_fails_where_a_limit_was_broken(monkeypatch):
    monkeypatch.setattr(module, 'read_git_state', lambda: GitState('abc', False))
    result = module.evaluate(expert(faults=('stall_0.2s', 'nan'), episodes=3))
    block = result['faults']
    assert result['passed'] and block['violations_total'] == 0
    assert [row['n'] for row in block['by_fault'].values()] == [2, 1]
    assert len(block['episodes']) == 3
    json.dumps(result, allow_nan=False)
    assert fault_line(block).startswith(f'0 violations in {block["commands"]}')
    assert state_lines(block)[0].startswith('stall_0.2s: running_base: executing')
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(fault_table(block))
    assert 'stall_0.2s' in console.export_text()
    assert 'faults' not in module.evaluate(expert(episodes=1))


def test_an_episode_s_line_names_its_fault(records):
    assert 'nan at' in episode_line(records['nan'])
    assert '0 violations' in episode_line(records['nan'])
