# SPDX-License-Identifier: Apache-2.0
"""Every event in every state: what is heard, and where it leads."""

import itertools

from hypothesis import given, strategies
from ocrrl_ros.policy.state_machine import ControllerState, StateMachine, TRANSITIONS
import pytest

S = ControllerState
RUNNING = (S.RUNNING_BASE, S.RUNNING_RESIDUAL, S.TAKEOVER)
LATCHED = 'latched'
EVENTS = {
    'refuse': lambda m: m.refuse('why'), 'home': lambda m: m.home('why'),
    'start': lambda m: m.start('why'), 'run': lambda m: m.run(S.RUNNING_RESIDUAL, 'why'),
    'hold': lambda m: m.hold('why'), 'latch': lambda m: m.latch('why'),
    'fault': lambda m: m.fault('why'), 'end': lambda m: m.end('why'),
    'recover': lambda m: m.recover('why'), 'resume': lambda m: m.resume(in_episode=True)}


def machine(state):
    """Return a machine in a state."""
    found = StateMachine()
    found.state = S.HOLDING if state == LATCHED else state
    found.is_latched = state == LATCHED
    found.reason = 'before'
    return found


def expected(state, event):
    """Return the state that an event must lead to, written down without the table."""
    if event == 'fault':
        return S.FAULT
    if state is S.FAULT:
        return S.RUNNING_BASE if event == 'resume' else S.FAULT
    if state == LATCHED:
        return S.RUNNING_BASE if event == 'resume' else S.HOLDING
    if event == 'latch':
        return S.HOLDING
    if event == 'end':
        return S.IDLE
    if state in (S.IDLE, S.HOMING):
        return {'refuse': S.IDLE, 'home': S.HOMING, 'start': S.RUNNING_BASE}.get(event, state)
    return {'run': S.RUNNING_RESIDUAL, 'hold': S.HOLDING}.get(event, state)


@pytest.mark.parametrize('state, event', itertools.product([*S, LATCHED], EVENTS))
def test_every_event_in_every_state(state, event):
    found = machine(state)
    heard = EVENTS[event](found)
    assert found.state is expected(state, event)
    assert heard == (found.reason != 'before')
    assert found.is_latched == (
        event not in ('resume', 'fault') if state == LATCHED
        else event == 'latch' and state is not S.FAULT)


def test_every_event_of_the_table_is_tested():
    assert set(TRANSITIONS) == set(EVENTS)


def test_the_first_reason_of_a_latch_and_of_a_fault_stays():
    found = machine(S.RUNNING_BASE)
    found.latch('operator')
    found.latch('dead-man switch')
    assert found.reason == 'operator'
    found.fault('reflex')
    found.fault('network')
    assert (found.state, found.reason) == (S.FAULT, 'reflex')
    assert found.recover('reflex; recovering') and found.reason == 'reflex; recovering'


def test_resume_outside_an_episode_only_allows_one():
    found = machine(LATCHED)
    assert found.resume(in_episode=False) and found.state is S.IDLE


def test_a_refused_start_is_told_until_something_else_happens():
    found = StateMachine()
    found.refuse('no arm')
    assert found.start_refused and found.reason == 'no arm'
    found.start('go')
    assert not found.start_refused


@given(strategies.lists(strategies.sampled_from(sorted(EVENTS)), max_size=30))
def test_nothing_moves_between_a_latch_or_fault_and_resume(events):
    found, must_rest = machine(S.RUNNING_BASE), False
    for event in events:
        EVENTS[event](found)
        if event in ('latch', 'fault'):
            must_rest = True
        if event == 'resume':
            must_rest = False
        assert not (must_rest and found.state.is_running)
