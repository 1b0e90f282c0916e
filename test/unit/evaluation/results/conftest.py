# SPDX-License-Identifier: Apache-2.0
"""A protocol of a few cells and made-up result files."""
import json

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.evaluation.results.cells import ResultPlan
from ocrrl_ros.evaluation.results.inputs import CellInputs
from ocrrl_ros.evaluation.results.status import StatusReader
import pytest

EVALUATE = {'task': '{task}', 'domain': 'sim', 'policy': 'base', 'base': 'expert',
            'poses': 'truth', 'episodes': 4, 'seed': 1_000_000}
PLAN = {
    'sections': [
        {'key': 'sim', 'title': 'Sim', 'by_seed': True, 'mean_goal': 0.9,
         'task_goals': {'cube_lift': 0.8}},
        {'key': 'base', 'title': 'Bases'}, {'key': 'training', 'title': 'Training'},
        {'key': 'controls', 'title': 'Controls'}, {'key': 'noise', 'title': 'Noise'},
        {'key': 'corrections', 'title': 'Corrections'},
        {'key': 'held_out', 'title': 'Held out', 'by_seed': True}],
    'groups': [
        {'name': '{task}_{domain}_base', 'section': 'base', 'row': '{task} in {domain}',
         'command': 'evaluate', 'options': {**EVALUATE, 'domain': '{domain}'},
         'over': {'task': ['cube_lift', 'stack_cube'], 'domain': ['sim', 'proxy']},
         'minutes': 5},
        {'name': 'train_{task}_s{seed}', 'section': 'training', 'row': '{task}, seed {seed}',
         'command': 'train residual', 'minutes': 30, 'n': 1000,
         'options': {'task': '{task}', 'seed': '{seed}', 'out': 'bundles/{task}_s{seed}',
                     'best': 'bundles/{task}_best_s{seed}'},
         'over': {'task': ['cube_lift', 'stack_cube'], 'seed': [0, 1]}},
        {'name': '{task}_residual_s{seed}', 'section': 'sim', 'row': '{task}, seed {seed}',
         'command': 'evaluate', 'minutes': 10, 'minus': '{task}_sim_base', 'least': -0.5,
         'options': {**EVALUATE, 'policy': 'residual', 'poses': 'modelled',
                     'residual': 'bundles/{task}_s{seed}'},
         'over': {'task': ['cube_lift', 'stack_cube'], 'seed': [0, 1]}},
        {'name': '{task}_world{world}', 'section': 'held_out', 'row': '{task}, world {world}',
         'command': 'evaluate', 'minutes': 10,
         'options': {**EVALUATE, 'policy': 'residual'},
         'over': {'task': ['cube_lift'], 'world': [0, 1]}},
        {'name': '{task}_best_s{seed}', 'section': 'noise', 'row': '{task}, best',
         'command': 'evaluate', 'minutes': 10,
         'options': {**EVALUATE, 'policy': 'residual', 'residual': 'bundles/{task}_best_s{seed}'},
         'over': {'task': ['stack_cube'], 'seed': [0]}},
        {'name': '{task}_{control}', 'section': 'controls', 'row': '{task}, {control}',
         'command': 'evaluate', 'minutes': 10, 'minus': '{task}_proxy_base', 'control': True,
         'options': {**EVALUATE, 'domain': 'proxy', 'seed': 1_000_001},
         'over': {'task': ['cube_lift'], 'control': ['blind', 'deaf']}},
        {'name': 'cube_lift_noise_{noise}', 'section': 'noise', 'row': '{noise}',
         'command': 'evaluate', 'minutes': 10, 'options': {**EVALUATE, 'task': 'cube_lift'},
         'over': {'task': ['cube_lift'], 'noise': ['bias_0', 'bias_5', 'test']}},
        {'name': 'corrections', 'section': 'corrections', 'row': 'cube', 'n': 1, 'minutes': 1,
         'command': 'bench corrections', 'options': {}}]}


@pytest.fixture
def plan():
    """Return the small protocol."""
    return from_mapping(ResultPlan, PLAN, 'test')


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty results folder below the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'docs' / 'results'
    path.mkdir(parents=True)
    return path


@pytest.fixture
def read(plan, folder):
    """Return what reads the state of the cells; every command exists."""
    def read(names=None, unbuilt=lambda cell: ''):
        chosen = [cell for cell in plan.cells() if names is None or cell.name in names]
        return StatusReader(folder, unbuilt).read(chosen)
    return read


@pytest.fixture
def write(plan, folder):
    """Return what writes a made-up result of a cell with the inputs that it would have now."""
    def write(name, outcomes, **changes):
        cell = next(cell for cell in plan.cells() if cell.name == name)
        expected = CellInputs().expected(cell)
        n, successes = len(outcomes), sum(outcomes)
        modes = ['success' if outcome else 'short' for outcome in outcomes]
        result = {
            **cell.options, 'config': {**cell.options, **expected}, 'successes': successes,
            'episodes': n, 'rate': successes / n, 'wilson95': [0.1, 0.9], 'outcomes': outcomes,
            'init_sha256': [f'{cell.options["task"]}{k}' for k in range(n)],
            'failure_modes': modes, 'failure_counts': {'short': n - successes},
            'train_seed': cell.values.get('seed'), 'eval_seed': 1_000_000, 'wall_s': 120.0,
            'pose_valid_share': 0.9, 'git': 'c0ffee' * 7, 'git_dirty': False,
            'residual': {'mean_translation_mm': 5.0, 'mean_rotation_deg': 2.0,
                         'saturated_share': 0.01, 'sign_changes_per_s': 1.0, 'mean_gain': 1.0},
            **{name: expected.get(name) for name in (
                'domain_sha256', 'base_sha256', 'bundle_sha256', 'success_version',
                'protocol_version')}, **changes}
        cell.result_path(folder).write_text(json.dumps(result), encoding='utf-8')
        return result
    return write
