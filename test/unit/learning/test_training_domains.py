# SPDX-License-Identifier: Apache-2.0
"""
Training and calibration open no domain but sim (protocol, section 4), shown by an audit hook.

The hook is set up before anything else runs, in every Python process that is started below, and
sees each file that Python opens. The same harness is shown to catch a forbidden domain.
"""

import os
from pathlib import Path
import subprocess
import sys

from ocrrl_ros.core.configuration import read_yaml
from ocrrl_ros.core.errors import MissingDependencyError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.sim.domain import load_domain
import pytest

ROOT = Path(__file__).resolve().parents[3]
HOOK = """
import os
import sys

_LOG = os.open(os.environ['OPENED_LOG'], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _remember(event, arguments):
    if event == 'open' and isinstance(arguments[0], (str, bytes, os.PathLike)):
        os.write(_LOG, os.path.abspath(os.fsencode(arguments[0])) + b'\\n')


sys.addaudithook(_remember)
"""
RUN = 'import sys\nfrom ocrrl_ros.cli.main import run\nsys.exit(run(sys.argv[1:]))\n'
SETTINGS = """
steps: 40
warmup_steps: 20
critic_only_updates: 2
updates_per_tick: 2
batch_size: 16
capacity: 200
"""


def opened_domains(tmp_path: Path, program: str, *words: str) -> set[str]:
    """
    Run a Python program and return the names of the domain files that it opened.

    Domain files are those in config/domains and any other YAML that has a camera.
    """
    (tmp_path / 'sitecustomize.py').write_text(HOOK, encoding='utf-8')
    log = tmp_path / 'opened.txt'
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [sys.executable, '-c', program, *words], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**os.environ, 'PYTHONPATH': path, 'OPENED_LOG': str(log)})
    assert done.returncode == 0, done.stdout + done.stderr
    opened = {Path(line) for line in log.read_text(encoding='utf-8').splitlines()}
    assert any(path.suffix == '.py' or path.suffix == '.pyc' for path in opened)
    return {path.name for path in opened if is_domain(path)}


def is_domain(path: Path) -> bool:
    """Tell whether a file that was opened describes a world, or what worlds are drawn from."""
    if path.suffix not in ('.yaml', '.yml') or not path.is_file():
        return False
    return path.parent == config_path('domains') or 'camera' in read_yaml(path)


def test_residual_training_opens_sim_alone(tmp_path):
    (tmp_path / 'settings.yaml').write_text(SETTINGS, encoding='utf-8')
    found = opened_domains(
        tmp_path, RUN, 'train', 'residual', '--base', str(ROOT / 'models' / 'base_sim'),
        '--settings', 'settings.yaml', '--envs', '2', '--workers', '1', '--episodes', '0',
        '--no-gate', '--out', 'residual')
    assert (tmp_path / 'residual' / 'policy.onnx').is_file()
    assert found == {'sim.yaml'}


@pytest.fixture
def needs_pictures():
    """Skip where OpenGL is missing."""
    from ocrrl_ros.sim.physics import load_physics
    from ocrrl_ros.sim.renderer import SceneRenderer
    from ocrrl_ros.sim.scene import build_model
    from ocrrl_ros.sim.tasks import get_task
    try:
        SceneRenderer(build_model(
            get_task('cube_lift'), load_domain('sim'), load_physics()), 32, 24).close()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize('words', [
    ('train', 'residual', '--observation', 'image'),
    ('train', 'distill', '--teacher', str(ROOT / 'models' / 'residual_cube_lift'))],
    ids=['by reward', 'from a teacher'])
def test_training_on_images_opens_sim_alone(tmp_path, needs_pictures, words):
    text = SETTINGS.replace('critic_only_updates: 2\n', '')
    (tmp_path / 'settings.yaml').write_text(text, encoding='utf-8')
    images = config_path('train', 'images.yaml').read_text(encoding='utf-8')
    (tmp_path / 'images.yaml').write_text(
        images.replace('looks_per_process: 24', 'looks_per_process: 2'), encoding='utf-8')
    found = opened_domains(
        tmp_path, RUN, *words, '--base', 'expert', '--settings', 'settings.yaml', '--images',
        'images.yaml', '--envs', '2', '--workers', '1', '--episodes', '0', '--out', 'residual')
    assert (tmp_path / 'residual' / 'policy.onnx').is_file()
    assert found == {'sim.yaml'}


CONFIDENCE_FIT = """
import json
from pathlib import Path
from ocrrl_ros.evaluation.confidence import fit
from ocrrl_ros.evaluation.confidence.collect import OBJECT_TASKS
from ocrrl_ros.evaluation.confidence.run import ConfidenceRunConfig, run_fit
from ocrrl_ros.perception.pose_estimator import load_tracker_config
if __name__ == '__main__':
    fit.MIN_FRAMES = 1
    config = ConfidenceRunConfig(
        left_out=tuple(set(OBJECT_TASKS) - {'cube', 'cup'}), worlds=1, hard_sequences=2,
        rows=('swap', 'rest'), seed=20)
    found = run_fit(config, load_tracker_config(), Path('frames'))[1]
    Path('fit.json').write_text(json.dumps(found))
"""


def test_calibration_of_the_confidence_opens_sim_alone(tmp_path):
    # A fit worth having needs more frames; what is opened does not depend on their number.
    found = opened_domains(tmp_path, CONFIDENCE_FIT)
    assert (tmp_path / 'fit.json').is_file()
    assert found == {'sim.yaml'}


def test_training_has_no_option_that_names_another_domain(tmp_path):
    with pytest.raises(AssertionError, match='domain'):
        opened_domains(
            tmp_path, RUN, 'train', 'residual', '--domain', 'proxy', '--out', 'residual')


@pytest.mark.parametrize(('program', 'name'), [
    ('from ocrrl_ros.sim.domain import load_domain\nload_domain("proxy")', 'proxy.yaml'),
    ('from ocrrl_ros.sim.domain import load_domain\nload_domain("world.yaml")', 'world.yaml'),
    ('from ocrrl_ros.sim.world_distribution import load_distribution\nload_distribution()',
     'world_distribution.yaml'),
    ('import multiprocessing\nfrom ocrrl_ros.sim.domain import load_domain\n'
     'pool = multiprocessing.get_context("spawn").Pool(1)\npool.map(load_domain, ["proxy"])',
     'proxy.yaml')], ids=['by name', 'by file', 'distribution', 'in a worker process'])
def test_the_hook_catches_a_forbidden_domain(tmp_path, program, name):
    (tmp_path / 'world.yaml').write_text(
        'camera: {delay_s: 0.05}\nname: world\n', encoding='utf-8')
    assert opened_domains(tmp_path, program) == {name}
