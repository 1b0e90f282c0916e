# SPDX-License-Identifier: Apache-2.0
"""Tests of the tracker's goals: the worst row decides, and only rows they are about count."""
import shutil

from ocrrl_ros.core.resources import config_path
from ocrrl_ros.evaluation.results import inputs
from ocrrl_ros.evaluation.results.cells import CellGroup, load_plan
from ocrrl_ros.evaluation.results.inputs import CellInputs
from ocrrl_ros.evaluation.results.status import CellStatus, State
from ocrrl_ros.evaluation.results.tracker_tables import SECTION, tracker_tables
from ocrrl_ros.evaluation.tracker_figures import headline
import pytest


def quantiles(p50, p95=None):
    """Return quantiles as the bench writes them."""
    high = p50 if p95 is None else p95
    return {'p50': p50, 'p95': p95 if p95 is not None else p50, 'p99': high, 'max': high}


def bench_row(row='free', *, domain='sim', bias=0.0, name='cube', **changes):
    """Return a row of the bench in which all is well."""
    return {
        'domain': domain, 'depth_bias': bias, 'row': row, 'object': name, 'frames': 100,
        'valid_share': 1.0, 'losses': 0, 'position_mm': quantiles(0.5, 1.0),
        'rotation_deg': quantiles(0.4, 0.9), 'tilt_deg': quantiles(0.3, 0.8), 'bad_frames': 0,
        'bad_passed': None, 'half_visible_mm': quantiles(0.5, 1.0),
        'half_visible_deg': quantiles(0.4, 0.9), 'nees_tilt_95': 0.95,
        'cpu_ms': quantiles(5.0, 7.0),
        'found_at_once': 1.0, 'first_frame_ms': quantiles(30.0), 'stale_frames': None,
        'return_s': None, 'not_returned': 0, 'memory_growth_mb': None, 'drift_mm': None} | changes


def shown(*rows, objects=1, state=State.DONE, tests=None):
    """Return the text of a cell with these rows."""
    group = CellGroup(name='t', section=SECTION, row='r', command='bench tracker', n=1, minutes=1,
                      options={'task': 'cube_lift'})
    result = {'rows': list(rows), 'task': 'cube_lift', 'objects': objects}
    if tests is not None:
        result = {'tests': tests}
    return '\n\n'.join(tracker_tables(
        [CellStatus(cell=next(group.expand()), state=state, result=result)]))


def goal_line(text, begin):
    """Return the cells of a goal's line, None without one."""
    lines = [line for line in text.splitlines() if line.startswith(f'| {begin} |')]
    return [cell.strip() for cell in lines[0].strip('|').split('|')] if lines else None


def test_the_worst_row_decides_and_is_named():
    text = shown(bench_row(), bench_row('grasp', half_visible_mm=quantiles(2.5, 4.0)))
    assert goal_line(text, 'position, median') == [
        'position, median', '<= 2.00 mm', 'sim', '2.50 mm', 'cube_lift, cube, row grasp',
        '**missed**']
    assert goal_line(text, 'position, p95')[-1] == 'holds'


def test_rows_that_a_goal_is_not_about_do_not_count():
    far = quantiles(90.0)
    text = shown(
        bench_row(), bench_row('stress', half_visible_mm=far, cpu_ms=far),
        bench_row('rest', bias=0.01, half_visible_mm=far),
        bench_row('face_on', half_visible_deg=far), bench_row('occlusion', cpu_ms=far))
    assert goal_line(text, 'position, median')[3] == '0.50 mm'
    assert goal_line(text, 'rotation, median')[3] == '0.40 deg'
    assert goal_line(text, 'CPU time of a frame, one object, p95')[3] == '7.00 ms'
    assert goal_line(text, 'CPU time of a frame, three objects, p95') is None
    assert goal_line(text, 'found at once') is None


def test_every_domain_has_its_line():
    text = shown(bench_row(), bench_row(domain='proxy', half_visible_mm=quantiles(4.0)))
    assert text.count('| position, median |') == 2


def test_times_count_with_bias_too_and_by_the_number_of_objects():
    text = shown(bench_row(bias=0.01, cpu_ms=quantiles(20.0, 26.0)), objects=3)
    assert goal_line(text, 'CPU time of a frame, three objects, p95')[-1] == '**missed**'
    assert goal_line(text, 'CPU time of a frame, one object, p95') is None


@pytest.mark.parametrize(('share', 'verdict'), [(0.992, 'holds'), (0.988, '**missed**')])
def test_what_is_found_at_once_has_a_least_share(share, verdict):
    line = goal_line(shown(bench_row('view', found_at_once=share)), 'found at once')
    assert line[1:4] == ['>= 99.0 %', 'sim', f'{100 * share:.1f} %']
    assert line[-1] == verdict


@pytest.mark.parametrize(('share', 'verdict'), [
    (0.89, '**missed**'), (0.95, 'holds'), (0.99, '**missed**')])
def test_a_region_may_be_too_small_and_too_large(share, verdict):
    line = goal_line(
        shown(bench_row('face_on', nees_tilt_95=share), bench_row('face_on', nees_tilt_95=0.94)),
        'tilt face-on in its 95 % region')
    assert line[1:4:2] == ['90.0 % to 98.0 %', f'{100 * share:.1f} %']
    assert line[-1] == verdict


def test_leaving_and_ten_minutes_are_judged():
    text = shown(
        bench_row('vanish', stale_frames=quantiles(4), return_s=quantiles(0.3), not_returned=1),
        bench_row('long', memory_growth_mb=0.2, drift_mm=0.01))
    assert goal_line(text, 'frames until a loss is told')[-1] == '**missed**'
    assert goal_line(text, 'back after')[-1] == 'holds'
    assert goal_line(text, 'not back after half a second')[-1] == '**missed**'
    assert goal_line(text, 'growth of memory in ten minutes')[-1] == 'holds'


def test_rows_are_listed_and_older_figures_are_not():
    row = bench_row('stress', bad_frames=8, bad_passed=0.25)
    assert '| sim, 0 %, stress, cube | 100 | 100.0 % | 0 | 2 of 8 |' in shown(row)
    assert shown(row, state=State.STALE) == ''


def test_confidence_has_its_figures_beside_their_goals():
    figures = {'all': {
        'bad': 1200, 'bad_sequences': 110, 'ece': 0.004, 'ece_balanced': 0.03, 'auroc': 0.999,
        'brier_skill': 0.9, 'bad_passed': {'share': 0.01, 'interval95': [0.0, 0.02]},
        'good_rejected': {'share': 0.02, 'interval95': [0.01, 0.03]}}}
    text = shown(tests={'left_out_sim': figures, 'test_domain': figures})
    assert goal_line(text, 'bad frames (in sequences)')[1:] == [
        '1200 (110)', '1200 (110)', '>= 1000 (100)']
    assert goal_line(text, 'of these pass')[1] == '1.0 % (0.0 to 2.0)'
    assert goal_line(text, 'AUROC')[1] == '0.999'


def test_the_headline_counts_what_passed():
    rows = [bench_row(bad_frames=8, bad_passed=0.25), bench_row(position_mm=quantiles(3.0)),
            bench_row(position_mm=None, rotation_deg=None)]
    assert headline(rows) == (
        '300 poses; worst median 3.0 mm, 0.4 deg; 2 of 8 bad ones passed')


@pytest.mark.parametrize('changed', ['tracker.yaml', 'objects/block.yaml'])
def test_figures_of_another_tracker_or_object_are_older(changed, tmp_path, monkeypatch):
    shutil.copytree(config_path('objects'), tmp_path / 'objects')
    shutil.copyfile(config_path('tracker.yaml'), tmp_path / 'tracker.yaml')
    monkeypatch.setattr(inputs, 'config_path', lambda name: tmp_path / name)
    plan = load_plan()
    cells = {cell.name: cell for cell in plan.cells() if cell.section == SECTION}
    before = {name: CellInputs().expected(cell) for name, cell in cells.items()}
    with (tmp_path / changed).open('a', encoding='utf-8') as file:
        file.write('\n# another one\n')
    touched = {name for name, cell in cells.items()
               if CellInputs().expected(cell) != before[name]}
    about_block = {name for name in cells if 'pick_place' in name} | {'tracker_confidence'}
    assert touched == (set(cells) if changed == 'tracker.yaml' else about_block)


def test_world_files_are_inputs_too():
    cell = next(cell for cell in load_plan().cells() if cell.name == 'tracker_cube_lift_proxy')
    found = CellInputs().expected(cell)
    assert len(found['domain_sha256']) == 1
    assert 'domains' not in found
