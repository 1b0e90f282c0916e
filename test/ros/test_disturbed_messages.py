# SPDX-License-Identifier: Apache-2.0
"""
Faults of ``ocrrl evaluate --faults`` done to the real residual policy over DDS.

One process lives through all of them. What is promised stands in docs/safety.md, section Faults.
"""

from collections import Counter
import os
from pathlib import Path

from disturbed_arm import DisturbedArm
import numpy as np
from ocrrl_ros.interfaces import conversions as conv
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
import pytest
from ros_harness import NodeProcess, running
from set_clock_node import OFFSET, SettableClock
from tiny_bundles import tiny_residual

GOING_ON = ('running_base', 'running_residual', 'holding')
#: What passes by itself; a busy machine may show either.
PASSING = ('executing', 'base policy is stale', 'joint state is', 'waiting for the base')


@pytest.fixture(scope='module')
def stage(ros, probe, tmp_path_factory):
    """Give the arm beside the node, whose residual shifts by 8 mm along x, and its clock."""
    folder = tmp_path_factory.mktemp('disturbed')
    bundle = tiny_residual(folder / 'bundle', np.array([0.4, 0, 0, 0, 0, 0, 0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OFFSET, str(folder / 'clock'))
        patch.setenv('PYTHONPATH', os.pathsep.join(
            [str(Path(__file__).parent), os.environ.get('PYTHONPATH', '')]))
        clock = SettableClock(folder / 'clock')
        node = NodeProcess('set_clock_node', folder / 'log.txt', {
            'residual': str(bundle), 'realtime_priority': 0,
            'controller.max_episode_age_s': 5.0}, ('-r', '__ns:=/disturbed'))
    with running(node):
        found = DisturbedArm(probe, node, 'disturbed/')
        found.clock = clock
        probe.until(lambda: found.states, what='a first state of the node')
        yield found
    assert node.process.returncode == 0 and 'Traceback' not in node.log, node.log


@pytest.fixture(name='arm')
def _arm(stage):
    """Give the arm while base and residual swing it in an episode of its own."""
    stage.is_planning = True
    stage.targets.clear()
    stage.start()
    stage.live_until(lambda: stage.value('state') == 'running_residual', 'the residual')
    stage.goes_on()
    yield stage
    stage.clock.set_by(0.0)
    stage.is_planning = False
    stage.stop()
    stage.live_until(lambda: stage.value('state') == 'idle', 'the end')


def shown(arm, since):
    """Return states and texts since a number of them."""
    return [({pair.key: pair.value for pair in state.values}['state'], state.message)
            for state in arm.states[since:]]


def only_passes_by_itself(arm, since):
    """Assert that nothing was shown that a person has to end."""
    for state, text in shown(arm, since):
        assert state in GOING_ON and text.startswith(PASSING), (state, text)


def rests(arm):
    """Live until the newest targets stand still."""
    arm.live_until(lambda: arm.speed() < 1e-6, f'rest: {arm.states[-1]}')


def test_the_policy_goes_on_while_three_of_ten_messages_are_lost(arm):
    since, told = (len(arm.targets), len(arm.actions)), len(arm.states)
    with arm.disturbed('loss'):
        arm.live(1.0)
        arm.live_until(lambda: arm.works(*since), 'a motion while messages are lost')
        for name in ('franka/joint_states', 'objects/cube/pose'):
            assert 0.4 < arm.arrived[name] / arm.sent[name] < 0.9, name
    arm.goes_on()
    arm.live_until(lambda: arm.value('state') == 'running_residual', 'the residual')
    only_passes_by_itself(arm, told)
    assert not arm.broken()


def test_messages_that_come_late_by_a_fifth_of_a_second_are_a_hold_until_they_do_not(arm):
    told = len(arm.states)
    with arm.disturbed('delay'):
        arm.live_until(lambda: arm.shows('joint state is', 'old'), 'old joint states')
        rests(arm)
        before = len(arm.states)
        arm.live(0.5)
        assert arm.value('state') == 'holding' and arm.shows('joint state is', 'old')
        assert not any('executing' in text for _, text in shown(arm, before))
        assert arm.speed() < 1e-6
    arm.goes_on()
    only_passes_by_itself(arm, told)
    assert not arm.broken()


def test_messages_that_overtake_each_other_and_come_twice_change_nothing(arm):
    since, told = (len(arm.targets), len(arm.actions)), len(arm.states)
    with arm.disturbed('reorder'):
        arm.live(1.0)
        arm.live_until(lambda: arm.works(*since), 'a motion')
        assert arm.arrived['franka/joint_states'] > 1.1 * arm.sent['franka/joint_states']
    arm.goes_on()
    only_passes_by_itself(arm, told)
    assert not arm.broken()


def test_a_joint_state_and_a_chunk_that_were_overtaken_are_ignored(arm):
    held = 0
    for _ in range(8):
        told = len(arm.states)
        arm.publish('franka/joint_states', conv.joint_state(
            ARM_JOINT_NAMES, arm.joints(), np.zeros(7), stamp_s=arm.now_s() - 0.4))
        # Nothing newer comes for the time of a policy tick.
        arm.live(0.04, respond=False)
        arm.live(0.04)
        held += any('joint state is' in text for _, text in shown(arm, told))
    # A busy machine may let the newest one grow old as well, but not every time.
    assert held < 4
    arm.is_planning, counts = False, Counter()
    log = len(arm.process.log)

    def base_is_at(y):
        action = conv.named_vector_to_dict(arm.actions[-1])
        return abs(action['base.y'] - y) < 0.01

    def overtaken():
        stamp_s = arm.now_s()
        arm.send_chunk(stamp_s, -0.05)
        arm.live_until(lambda: base_is_at(-0.05) or arm.now_s() - stamp_s > 0.6, 'the chunk')
        for _ in range(2):
            first = len(arm.actions)
            arm.send_chunk(stamp_s - 0.02, 0.05)
            arm.live(0.06)
            counts.update('other' if conv.named_vector_to_dict(action)['base.y'] > 0.0 else
                          'same' for action in arm.actions[first:])
        return arm.warned(log, ['dropped', 'older than the active one'])

    arm.live_until(overtaken, 'the chunk that was overtaken')
    assert counts['same'] and not counts['other']
    assert not arm.broken()


@pytest.mark.parametrize(('set_s', 'words'), [
    (1.0, ('joint state is', 'old')), (-1.0, ('the clock went back by',))])
def test_a_clock_that_is_set_is_a_hold_until_it_is_right_and_no_jump(arm, set_s, words):
    arm.live_until(lambda: arm.speed() > 0.05, 'a fast motion')
    arm.clock.set_by(set_s)
    arm.live_until(lambda: arm.shows(*words), f'{words}: {arm.states[-1]}')
    rests(arm)
    told = len(arm.states)
    arm.live(0.3)
    assert arm.value('state') == 'holding'
    assert not any('executing' in text for _, text in shown(arm, told))
    arm.clock.set_by(0.0)
    arm.goes_on()
    assert not arm.broken(clock_sets_s=(set_s, -set_s))
    stamps_s = [conv.from_stamp(message.header.stamp) for message in arm.targets]
    assert any(abs(step_s - set_s) < 0.1 for step_s in np.diff(stamps_s)), 'it was not set'


def test_a_base_that_hangs_for_two_seconds_is_a_hold_and_goes_on_by_itself(arm):
    told, began_s = len(arm.states), arm.now_s()
    arm.is_planning = False
    arm.live_until(lambda: arm.shows('base policy is stale'), 'the stale base')
    rests(arm)
    at = arm.targets[-1].position
    arm.live_until(lambda: arm.now_s() - began_s > 2.0, 'two seconds')
    assert arm.value('state') == 'holding' and arm.shows('base policy is stale')
    assert np.allclose(arm.targets[-1].position, at, atol=1e-9)
    arm.is_planning = True
    arm.goes_on()
    only_passes_by_itself(arm, told)
    assert not arm.broken()
