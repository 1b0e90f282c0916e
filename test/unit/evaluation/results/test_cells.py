# SPDX-License-Identifier: Apache-2.0
"""Tests of the declared cells and of config/results.yaml itself."""
import dataclasses
from pathlib import Path

from ocrrl_ros.cli.cell_commands import unbuilt
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.evaluation.results.cells import CellGroup, load_plan, ResultPlan, Section
from ocrrl_ros.evaluation.results.inputs import CellInputs
from ocrrl_ros.learning.variants import known_variants
import pytest


def make_group(**changes):
    """Make a group of four cells."""
    return CellGroup(**{
        'name': '{task}_s{seed}', 'section': 'sim', 'row': '{task}', 'command': 'train residual',
        'options': {'task': '{task}', 'seed': '{seed}', 'out': 'b/{task}', 'sets': ['{task}/a'],
                    'dry_run': True, 'quiet': False},
        'over': {'task': ['one', 'two'], 'seed': [0, 1]}, 'n': 5, 'minutes': 2, **changes})


def test_a_group_expands_to_every_combination_and_numbers_stay_numbers():
    cells = list(make_group().expand())
    assert [cell.name for cell in cells] == ['one_s0', 'one_s1', 'two_s0', 'two_s1']
    assert cells[3].options['seed'] == 1
    assert cells[3].makes == 'b/two'


def test_a_cell_is_typed_as_a_command_line():
    cell = list(make_group().expand())[1]
    assert cell.command_text() == (
        'ocrrl train residual --task one --seed 1 --out b/one --sets one/a --dry-run --no-quiet')


def test_settings_inside_settings_are_typed_like_all_others():
    cell = next(make_group(options={'task': '{task}', 'rollout': {'lead_rest_m': 10.0}}).expand())
    assert cell.command_text() == 'ocrrl train residual --task one --lead-rest-m 10.0'


@pytest.mark.parametrize(('changes', 'message'), [
    ({'minutes': 0}, 'minutes'), ({'goal': 1.5}, 'goal'), ({'n': None}, 'n is missing')])
def test_groups_without_meaning_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        make_group(**changes)


def test_a_placeholder_that_is_not_filled_is_refused():
    with pytest.raises(ConfigError, match='known: task, seed'):
        list(make_group(row='{world}').expand())


def test_a_plan_refuses_names_that_do_not_fit():
    sections = (Section(key='sim', title='Sim'),)
    with pytest.raises(ConfigError, match='one_s0'):
        ResultPlan(sections=sections, groups=(make_group(), make_group()))
    with pytest.raises(UnknownNameError, match='known: sim'):
        ResultPlan(sections=sections, groups=(make_group(section='real'),))
    with pytest.raises(ConfigError, match='no cell: nothing'):
        ResultPlan(sections=sections, groups=(make_group(minus='nothing'),))
    with pytest.raises(ConfigError, match='minus is missing'):
        make_group(control=True)


def test_a_training_is_counted_in_steps_and_an_evaluation_in_episodes():
    options = {'steps': 400, 'episodes': 64}
    assert {cell.n for cell in make_group(n=None, options=options).expand()} == {400}
    assert {cell.n for cell in make_group(n=None, options={'episodes': 64}).expand()} == {64}
    with pytest.raises(ConfigError, match='n is missing'):
        make_group(n=None, options={})


def test_a_pattern_chooses_by_name_group_or_section(plan):
    assert len(plan.chosen('*')) == len(plan.cells())
    assert {cell.section for cell in plan.chosen('sim')} == {'sim'}
    assert [cell.name for cell in plan.chosen('corr*')] == ['corrections']
    with pytest.raises(InputError, match='sections: sim, base'):
        plan.chosen('moon')


def test_every_declared_command_exists():
    missing = {cell.group: reason for cell in load_plan().cells() if (reason := unbuilt(cell))}
    assert missing == {}


def test_whatever_a_declared_cell_needs_ships_or_is_made_by_another(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[4])
    cells = load_plan().cells()
    made = {f'{product} is missing' for cell in cells for product in cell.products}
    inputs = CellInputs()
    unmade = {cell.name: problems for cell in cells
              if (problems := set(inputs.missing(cell)) - made)}
    assert unmade == {}


def test_the_declared_protocol_covers_section_7():
    cells = load_plan().cells()
    matrix = [cell for cell in cells if cell.section == 'sim']
    assert len(matrix) == 15
    assert {cell.n for cell in matrix} == {1000}
    assert {cell.n for cell in cells if cell.section == 'proxy'} == {500}
    noises = {cell.values['noise'] for cell in cells if cell.section == 'noise'}
    assert noises == {'test', 'bias_0', 'bias_3', 'bias_5', 'bias_10', 'paper'}
    assert max(cell.n for cell in cells if cell.section == 'non_inferior') == 2500


def test_paper_recipe_and_ablations_are_declared_with_seeds_and_what_they_are_compared_with():
    cells = {cell.name: cell for cell in load_plan().cells()}
    paper = [cell for cell in cells.values() if cell.section == 'paper']
    assert len([cell for cell in paper if cell.options['domain'] == 'sim']) == 5 * 2 * 3
    assert all(cell.minus for cell in paper)
    trained = {cell.options['variant'] for cell in cells.values() if 'variant' in cell.options}
    assert trained == set(known_variants())
    factors = {cell.options.get('steps_factor', 1) for cell in cells.values()
               if cell.options.get('variant') == 'paper'}
    assert factors == {1, 5}
    bounds = {cell.options['bound_mm'] for cell in cells.values() if 'bound_mm' in cell.options}
    assert bounds == {5, 10, 20, 40}
    ablations = [cell for cell in cells.values() if cell.section == 'ablations']
    alone = {cell.name for cell in ablations if not cell.minus}
    assert alone == {cell.minus for cell in ablations if 'bound20' in cell.minus}
    # The bundle that each of them runs is made by a cell.
    made = {cell.makes for cell in cells.values()}
    assert all(cell.options['residual'] in made for cell in [*paper, *ablations]
               if 'residual' in cell.options)


def test_count_of_a_group_may_differ_from_cell_to_cell():
    cells = {cell.name: cell for cell in load_plan().cells()}
    assert [cells[f'demos_cube_lift_n{count}'].n for count in (100, 300)] == [100, 300]


def test_every_cell_is_a_frozen_record(plan):
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.cells()[0].name = 'other'
