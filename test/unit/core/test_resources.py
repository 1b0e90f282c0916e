# SPDX-License-Identifier: Apache-2.0
"""Bundles are found by one rule, and a missing one is named with the places looked at."""

from pathlib import Path

from ocrrl_ros.core import resources
from ocrrl_ros.core.errors import BundleError
import pytest


def test_a_relative_bundle_is_looked_for_here_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = resources.bundle_path('models/base_sim')
    assert shipped == resources.model_path('base_sim')
    (tmp_path / 'models' / 'base_sim').mkdir(parents=True)
    assert resources.bundle_path('models/base_sim') == tmp_path / 'models' / 'base_sim'
    assert resources.default_base('sim') == str(shipped)


def test_an_absolute_bundle_is_looked_for_nowhere_else(tmp_path):
    missing = tmp_path / 'models' / 'base_sim'
    with pytest.raises(BundleError) as caught:
        resources.bundle_path(missing)
    assert str(caught.value).endswith(f'looked at: {missing}')


@pytest.mark.parametrize(('domain', 'name'), [
    ('sim', 'base_sim'), ('proxy', 'base_proxy'), ('sim.yaml', 'base_proxy'),
    ('config/domains/sim.yaml', 'base_proxy'), (None, 'base_proxy')])
def test_only_the_shipped_sim_gets_the_base_trained_in_simulation(domain, name):
    assert Path(resources.default_base(domain)).name == name


def test_a_task_without_a_shipped_residual_is_a_bundle_error():
    with pytest.raises(BundleError, match='residual_juggle'):
        resources.default_residual('juggle')
