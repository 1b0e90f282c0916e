# SPDX-License-Identifier: Apache-2.0
"""Tests of the report page: what is shown, what is missing, goals, differences, pictures."""
import json
import re

import numpy as np
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation.results import plots
from ocrrl_ros.evaluation.results.cells import CellGroup, ResultPlan
from ocrrl_ros.evaluation.results.page import ResultPage
from ocrrl_ros.evaluation.results.pairs import paired_outcomes
from ocrrl_ros.evaluation.results.seeds import mean_of_tasks
from ocrrl_ros.evaluation.results.status import StatusReader
from ocrrl_ros.evaluation.results.tables import figures_text
import pytest

GOOD, MIXED = [True] * 4, [True, True, False, True]


@pytest.fixture
def page(plan, read, folder):
    """Return what builds the text."""
    def build(**unbuilt):
        out = folder.parent / 'results.md'
        ResultPage(plan, read(**unbuilt), folder, out).write()
        return out.read_text(encoding='utf-8')
    return build


def row_of(text, begin):
    """Return the cells of the table row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f'| {begin} |'))
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_cells_that_were_not_run_are_shown_as_such(page, plan):
    text = page()
    for cell in plan.cells():
        assert cell.command_text() in text
    assert 'not run yet' in row_of(text, 'cube_lift in sim')[1]
    assert text.startswith('# Results')
    assert f'0 of {len(plan.cells())} cells are done' in text


def test_commands_that_do_not_exist_say_so(page):
    text = page(unbuilt=lambda cell: '' if cell.command == 'evaluate' else 'no such command')
    assert '*not built yet: no such command*' in text


def test_a_row_names_figure_interval_n_seeds_commit_and_command(page, write):
    write('cube_lift_sim_base', MIXED)
    row = row_of(page(), 'cube_lift in sim')
    assert row[1] == '3 of 4, 75.0 %'
    assert row[2].startswith('30.1 to')
    assert row[4:7] == ['4', '-, 1000000', '`c0ffeec0ff`']
    assert row[7].startswith('`ocrrl evaluate --task cube_lift')


def test_older_figures_are_shown_in_their_row_and_join_nothing(page, write):
    for seed in (0, 1):
        write(f'cube_lift_residual_s{seed}', GOOD)
    write('cube_lift_sim_base', MIXED)
    text = page()
    assert row_of(text, 'cube_lift')[1:3] == ['100.0 % of 4', '100.0 % of 4']
    assert 'cube_lift_residual_s0 minus cube_lift_sim_base | +25.0' in text
    write('cube_lift_residual_s0', GOOD, base_sha256='other')
    text = page()
    assert 'other base_sha256' in row_of(text, 'cube_lift, seed 0')[1]
    assert row_of(text, 'cube_lift')[1:3] == ['*not run yet*', '100.0 % of 4']
    assert 'cube_lift_residual_s0 minus cube_lift_sim_base |' not in text
    assert 'cube_lift_residual_s1 minus cube_lift_sim_base | +25.0' in text


def test_worlds_that_were_run_are_shown_as_a_part_until_all_are(page, write):
    def held_out():
        return row_of(page().split('## Held out')[1], 'cube_lift')

    assert held_out()[1] == '*not run yet*'
    write('cube_lift_world0', MIXED)
    assert held_out()[1:3] == ['*so far 75.0 % of 4, 1 of 2 cells*', '*not run yet*']
    write('cube_lift_world1', GOOD)
    assert held_out()[1:3] == ['87.5 % of 8', '87.5 %']


@pytest.mark.parametrize(('blind', 'deaf', 'verdict'), [
    (None, None, 'not known yet: 0 of 2 controls run'),
    (GOOD, None, 'not known yet: 1 of 2 controls run'),
    (MIXED, None, 'the proxy discriminates'),
    (GOOD, MIXED, 'the proxy discriminates'),
    (GOOD, GOOD, 'the proxy does not discriminate here: no transfer claim')])
def test_proxy_discriminates_where_a_positive_control_loses(page, write, blind, deaf, verdict):
    write('cube_lift_proxy_base', GOOD)
    for name, outcomes in (('blind', blind), ('deaf', deaf)):
        if outcomes is not None:
            write(f'cube_lift_{name}', outcomes)
    row = next(line for line in page().splitlines() if line.startswith('| cube_lift | `'))
    assert f'| {verdict} |' in row
    assert ('-25.0' in row) == (MIXED in (blind, deaf))


def test_goals_follow_the_lower_bound(page, write):
    write('cube_lift_residual_s0', [True] * 200)
    write('cube_lift_residual_s1', [True] * 190 + [False] * 10)
    text = page()
    assert '80 %: holds (bound 98.5 %)' in text
    write('cube_lift_residual_s1', [True] * 150 + [False] * 50)
    assert '80 %: does not hold' in page()


def test_seeds_are_joined_by_a_bootstrap_only_when_all_are_there(page, write):
    for name in ('cube_lift_residual_s0', 'cube_lift_residual_s1'):
        write(name, MIXED)
    assert 'not run yet' in row_of(page(), 'mean of the tasks')[3]
    for name in ('stack_cube_residual_s0', 'stack_cube_residual_s1'):
        write(name, GOOD)
    text = page()
    assert row_of(text, 'cube_lift')[1:4] == ['75.0 % of 4', '75.0 % of 4', '75.0 %']
    assert row_of(text, 'mean of the tasks')[3] == '87.5 %'


def test_tasks_keep_their_weight_in_the_mean():
    tasks = [{0: np.array([1.0, 0.0])}, {0: np.array([1.0, 1.0])}]
    assert mean_of_tasks(tasks)[0].tolist() == [1.0, 0.5]
    assert mean_of_tasks([*tasks, {0: None}]) is None
    assert mean_of_tasks([*tasks, {0: np.ones(3)}]) is None


def test_differences_pair_the_episodes_that_both_ran(page, write):
    write('cube_lift_sim_base', [False, False, False, True])
    write('cube_lift_residual_s0', [True] * 4 + [False] * 2)
    row = row_of(page(), 'cube_lift_residual_s0 minus cube_lift_sim_base')
    assert row[1] == '+75.0'
    assert row[3] == 'p = 0.25'
    assert row[4:6] == ['4', '3, 0']
    assert row[6].startswith('-50.0: holds')


@pytest.mark.parametrize(('result', 'text'), [
    ({'summary': 'median 5 mm'}, 'median 5 mm'),
    ({'episodes': 30, 'attempts': 33}, '30 episodes from 33 attempts'),
    ({'episodes': 30, 'successes': 28}, '28 of 30'),
    ({'validation': {'position_mm_mean': 18.94}}, 'held-out error 18.9 mm'),
    ({'metrics': {'residual_modelled': {'success_rate': 0.95, 'n': 128},
                  'training': {'n': 300000, 'wall_s': 459.0}}},
     '95.0 % of 128 on development seeds, 300000 steps in 7.7 min')])
def test_every_kind_of_result_has_its_figure(result, text):
    assert figures_text(result) == text


def test_results_that_started_elsewhere_are_not_paired(write):
    first = write('cube_lift_sim_base', GOOD)
    assert paired_outcomes(first, {**first, 'init_sha256': ['x'] * 4}) is None


def test_pictures_are_drawn_from_what_is_there(page, write, folder):
    write('cube_lift_sim_base', MIXED)
    for noise, outcomes in (('bias_0', GOOD), ('bias_5', MIXED), ('test', MIXED)):
        write(f'cube_lift_noise_{noise}', outcomes)
    (folder / 'curves').mkdir()
    (folder / 'curves' / 'train_cube_lift_s0.csv').write_text(
        'steps,wall_s,success_greedy\n100,1,\n200,2,0.5\n')
    log = {'base_targets': [[0.5, 0, 0.1], [0.5, 0, 0.05]],
           'corrected_targets': [[0.51, 0, 0.1], [0.5, 0.01, 0.05]], 'cell': {'inputs': {}}}
    (folder / 'corrections.json').write_text(json.dumps(log))
    shown = re.findall(r'\]\(([^)]+\.png)\)', page())
    assert sorted(shown) == [f'results/pictures/{name}.png' for name in (
        'corrections', 'curves_cube_lift', 'noise', 'sim_rates')]
    for name in shown:
        assert (folder.parent / name).read_bytes().startswith(b'\x89PNG')


def test_curve_of_several_seeds_is_their_mean_as_far_as_the_shortest_goes(tmp_path):
    for name, rows in (('a', '100,1,0.2,0.5\n200,2,0.3,0.7\n300,3,0.4,0.9\n'),
                       ('b', '100,3,0.0,0.3\n200,4,0.1,0.1\n')):
        (tmp_path / name).write_text('steps,wall_s,success_all,success_greedy\n' + rows)
    curve = plots.mean_curve([tmp_path / 'a', tmp_path / 'b'])
    assert curve['steps'].tolist() == [100, 200] and curve['wall_s'].tolist() == [2, 3]
    np.testing.assert_allclose(curve['success'], [0.4, 0.4])


def test_curve_without_a_quiet_environment_shows_those_that_explore(tmp_path):
    path = tmp_path / 'curve.csv'
    path.write_text('steps,wall_s,success_all,success_greedy\n100,1,0.2,nan\n200,2,0.3,nan\n')
    assert plots.read_curve(path)['success'].tolist() == [0.2, 0.3]


def test_comparisons_have_pictures_of_their_own_and_a_curve_per_variant(
        folder, plan, tmp_path):
    group = {'section': 'training', 'row': '{task}, {change}, seed {seed}', 'n': 1, 'minutes': 1,
             'command': 'train residual', 'name': 'train_{task}_{change}_s{seed}',
             'options': {'task': '{task}', 'variant': '{change}', 'seed': '{seed}',
                         'out': 'bundles/{task}_{change}_s{seed}'},
             'over': {'task': ['cube_lift'], 'change': ['no_plan', 'no_guide'], 'seed': [0, 1]}}
    wider = ResultPlan(sections=plan.sections, groups=(
        *plan.groups, from_mapping(CellGroup, group, 'test')))
    (folder / 'curves').mkdir()
    for cell in wider.cells():
        if cell.command == 'train residual':
            cell.curve_path(folder).write_text('steps,wall_s,success_greedy\n100,1,0.5\n')
    statuses = StatusReader(folder, lambda cell: '').read(wider.cells())
    text = ResultPage(wider, statuses, folder, tmp_path / 'results.md').text()
    assert sorted(re.findall(r'(curves_\w+)\.png', text)) == [
        'curves_cube_lift', 'curves_cube_lift_change', 'curves_stack_cube']


def test_the_same_results_give_the_same_page_and_pictures(page, write, folder):
    write('cube_lift_noise_bias_0', GOOD)
    first, picture = page(), (folder / 'pictures' / 'noise.png').read_bytes()
    assert page() == first
    assert (folder / 'pictures' / 'noise.png').read_bytes() == picture


def test_files_that_no_cell_declares_are_shown_with_their_differences(page, write, folder):
    result = write('cube_lift_sim_base', MIXED)
    other = {**result, 'policy': 'residual', 'outcomes': GOOD, 'successes': 4, 'rate': 1.0}
    (folder / 'graph.json').write_text(json.dumps(
        {'results': [{**result, 'through': 'ros', 'lockstep': True}, other]}))
    text = page()
    assert 'over ROS in lockstep' in text
    assert 'base + residual (truth poses) minus base alone in sim: +25.0 points' in text


@pytest.mark.parametrize('text', ['a,b\n1,2\n', 'steps,wall_s,success_greedy\n1,x,2\n'])
def test_a_file_that_is_no_learning_curve_is_refused(tmp_path, text):
    path = tmp_path / 'curve.csv'
    path.write_text(text)
    with pytest.raises(InputError, match='curve.csv'):
        plots.read_curve(path)


@pytest.mark.parametrize('log', [
    {}, {'base_targets': [], 'corrected_targets': []},
    {'base_targets': [[0, 0, 0]], 'corrected_targets': [[0, 0, 0], [0, 0, 0]]}])
def test_a_log_without_corrections_is_refused(tmp_path, log):
    with pytest.raises(InputError, match='log of corrections'):
        plots.correction_plot(log, tmp_path / 'x.png')
