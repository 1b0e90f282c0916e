# SPDX-License-Identifier: Apache-2.0
"""Settings of every test: render without a display, DDS stays here, fixed examples."""
from collections.abc import Iterator
import importlib.util
import os
from pathlib import Path

from hypothesis import settings
import pytest

os.environ.setdefault('MUJOCO_GL', 'egl')
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

# The same examples in every run, and no deadline: the machine may be shared.
settings.register_profile('ocrrl', deadline=None, derandomize=True, database=None)
settings.load_profile('ocrrl')


class ModuleWithoutTorch(pytest.Module):
    """Stands for a test module that cannot be imported here."""

    def collect(self) -> Iterator[pytest.Item]:
        """Skip the module as a whole, with the reason."""
        pytest.skip('torch is missing, which training needs: make setup TRAIN=1',
                    allow_module_level=True)
        yield from ()


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(
        module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip the tests of learning/ where torch is not installed."""
    if module_path.parent.name == 'learning' and importlib.util.find_spec('torch') is None:
        return ModuleWithoutTorch.from_parent(parent, path=module_path)
    return None


@pytest.fixture(scope='session')
def pylibfranka():
    """Return Franka's library."""
    from ocrrl_ros.core.errors import MissingDependencyError
    from ocrrl_ros.robot.adapters.franka_fci.library import load_pylibfranka
    try:
        return load_pylibfranka()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope='session')
def rs():
    """Return the RealSense library."""
    from ocrrl_ros.core.errors import MissingDependencyError
    from ocrrl_ros.perception.adapters.realsense.library import load_realsense
    try:
        return load_realsense()
    except MissingDependencyError as error:
        pytest.skip(str(error))
