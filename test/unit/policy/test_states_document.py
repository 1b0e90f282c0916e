# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/safety.md say what the state machine does."""

from pathlib import Path
import re

from ocrrl_ros.policy.state_machine import ControllerState, StateMachine, TRANSITIONS
import pytest

DOCS = Path(__file__).resolve().parents[3] / 'docs'
RUNNING = [state for state in ControllerState if state.is_running]
LATCHED = f'{ControllerState.HOLDING.value}, latched'
#: What each event does to a machine; of `run` and `resume` every kind.
EVENTS = {
    'refuse': [lambda m: m.refuse('why')], 'home': [lambda m: m.home('why')],
    'start': [lambda m: m.start('why')],
    'run': [lambda m, s=state: m.run(s, 'why') for state in RUNNING],
    'hold': [lambda m: m.hold('why')], 'latch': [lambda m: m.latch('why')],
    'fault': [lambda m: m.fault('why')], 'recover': [lambda m: m.recover('why')],
    'end': [lambda m: m.end('why')],
    'resume': [lambda m: m.resume(in_episode=True), lambda m: m.resume(in_episode=False)]}


def table(heading, first):
    """Return the rows of the table whose first column is called so, as lists of cells."""
    text = (DOCS / 'safety.md').read_text(encoding='utf-8').split(f'\n{heading}\n')[1]
    rows = text[text.index(f'| {first} |'):].split('\n\n')[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip('|').split(' | ')] for row in rows]


def words(cell):
    """Return what stands in back quotes."""
    return re.findall(r'`([^`]+)`', cell)


def machine(name):
    """Return a machine in a state of the table."""
    found = StateMachine()
    found.is_latched = name == LATCHED
    found.state = ControllerState(name.split(',')[0])
    return found


def name_of(found):
    """Return the name of a machine's state in the table."""
    return LATCHED if found.is_latched else found.state.value


def heard_in(name):
    """Return the events that a machine in a state of the table hears."""
    return {event for event, acts in EVENTS.items()
            if any(act(machine(name)) for act in acts)}


def states():
    """Return the events of each row of the table of states."""
    return {row[0].replace('`', ''): set(words(row[2])) for row in table('## States', 'state')}


def test_every_state_has_a_row_and_the_events_that_it_hears():
    rows = states()
    assert set(rows) == {*(state.value for state in ControllerState), LATCHED}
    assert rows == {name: heard_in(name) for name in rows}


def test_the_rows_are_those_of_the_transitions():
    pairs = {(event, ControllerState(name.split(',')[0]))
             for name, events in states().items() for event in events}
    listed = {(event, state) for event, found in TRANSITIONS.items() for state in found}
    # A fault is heard everywhere; the first one's reason stays.
    assert listed == pairs | {('fault', ControllerState.FAULT)}


def test_every_event_leads_where_its_row_says():
    rows = {words(row[0])[0]: row[2] for row in table('## States', 'event')}
    assert set(rows) == set(TRANSITIONS) == set(EVENTS)
    for event, cell in rows.items():
        found = set()
        for name in states():
            for act in EVENTS[event]:
                moved = machine(name)
                if act(moved):
                    found.add(name_of(moved))
        told = {LATCHED} if 'latched' in cell else set(words(cell))
        assert told == found, event


@pytest.mark.parametrize('row', table('### Watchdogs', 'what is noticed'), ids=lambda row: row[0])
def test_settings_and_states_of_watchdogs_exist(row):
    text = (DOCS / 'parameters.md').read_text(encoding='utf-8').split('## residual_policy\n')
    parameters = set(re.findall(r'^\| `([\w.]+)`', text[1].split('\n## ')[0], re.MULTILINE))
    assert set(words(row[1])) <= parameters
    assert row[3].replace('`', '') in states()
