# SPDX-License-Identifier: Apache-2.0
"""Tests of which cells count as done."""
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation.results.status import makers_needed, State
import pytest

BASE = 'cube_lift_sim_base'


def one(statuses):
    """Return the only status."""
    assert len(statuses) == 1
    return statuses[0]


def test_a_result_with_the_same_inputs_is_done(read, write):
    assert one(read([BASE])).state is State.NOT_RUN
    write(BASE, [True, False, True, True])
    status = one(read([BASE]))
    assert (status.state, status.minutes) == (State.DONE, 2.0)
    assert not status.is_runnable


@pytest.mark.parametrize(('changes', 'note'), [
    ({'domain_sha256': 'other'}, 'domain_sha256'), ({'base_sha256': 'x'}, 'base_sha256'),
    ({'success_version': 0}, 'success_version')])
def test_a_result_with_other_inputs_is_shown_but_run_again(read, write, changes, note):
    write(BASE, [True], **changes)
    status = one(read([BASE]))
    assert status.state is State.STALE
    assert note in status.note
    assert status.result['successes'] == 1
    assert status.is_runnable


def test_a_result_of_fewer_episodes_is_not_done(read, write):
    result = write(BASE, [True])
    write(BASE, [True], config={**result['config'], 'episodes': 1})
    assert one(read([BASE])).state is State.STALE


def test_settings_that_a_result_did_not_know_count_as_their_defaults(read, write):
    result = write(BASE, [True])
    config = {key: value for key, value in result['config'].items() if key != 'poses'}
    write(BASE, [True], config=config)
    assert one(read([BASE])).state is State.STALE  # poses: truth is not the default
    config = {key: value for key, value in result['config'].items() if key != 'workers'}
    write(BASE, [True], config=config)
    assert one(read([BASE])).state is State.DONE


def test_finished_episodes_of_an_interrupted_cell_are_counted(read, folder):
    (folder / f'{BASE}.json.episodes').write_text('{"fingerprint": "x"}\n{}\n{}\n')
    status = one(read([BASE]))
    assert (status.state, status.note) == (State.PARTIAL, '2 of 4')
    assert status.is_runnable


def test_a_cell_waits_for_bundles_that_are_not_there(read):
    status = one(read(['cube_lift_residual_s1']))
    assert status.state is State.WAITS
    assert 'bundles/cube_lift_s1 is missing' in status.note
    assert not status.is_runnable


def test_a_command_that_does_not_exist_is_named_and_never_run(read):
    status = one(read(['corrections'], unbuilt=lambda cell: f'no {cell.command}'))
    assert (status.state, status.note) == (State.NOT_BUILT, 'no bench corrections')
    assert not status.is_runnable


def test_results_of_other_commands_are_compared_by_what_the_runner_noted(read, folder):
    path = folder / 'train_cube_lift_s0.json'
    path.write_text('{"cell": {"inputs": {"task": "cube_lift", "seed": 0}, "minutes": 7}}')
    status = one(read(['train_cube_lift_s0']))
    assert (status.state, status.minutes) == (State.DONE, 7)
    path.write_text('{"cell": {"inputs": {"task": "cube_lift", "seed": 3}}}')
    assert one(read(['train_cube_lift_s0'])).state is State.STALE


def test_a_finished_training_is_needed_again_where_its_bundle_is_gone(read, folder):
    (folder / 'train_cube_lift_s0.json').write_text(
        '{"cell": {"inputs": {"task": "cube_lift", "seed": 0}}}')
    needed = makers_needed(read())
    assert [status.cell.name for status in needed] == ['train_cube_lift_s0']


def test_a_finished_training_is_needed_again_where_its_best_bundle_alone_is_gone(read, folder):
    # `best` writes a second bundle and changes nothing about the figure.
    (folder / 'train_stack_cube_s0.json').write_text(
        '{"cell": {"inputs": {"task": "stack_cube", "seed": 0}}}')
    (folder.parent.parent / 'bundles' / 'stack_cube_s0').mkdir(parents=True)
    waiting = read(['train_stack_cube_s0', 'stack_cube_best_s0'])
    assert [status.state for status in waiting] == [State.DONE, State.WAITS]
    assert [status.cell.name for status in makers_needed(waiting)] == ['train_stack_cube_s0']


@pytest.mark.parametrize('text', ['{', '[1]'])
def test_a_file_that_is_no_result_is_refused_by_name(read, folder, text):
    (folder / f'{BASE}.json').write_text(text)
    with pytest.raises(InputError, match=BASE):
        read([BASE])
