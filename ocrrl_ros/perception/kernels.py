# SPDX-License-Identifier: Apache-2.0
"""Choice between the compiled and the numpy kernels."""

from __future__ import annotations

import importlib
from types import ModuleType

from ocrrl_ros.core.errors import MissingDependencyError, UnknownNameError

BACKENDS = ('auto', 'numba', 'numpy')


def load_kernels(backend: str) -> ModuleType:
    """
    Return the module with the array kernels.

    :param backend: ``numba``, ``numpy``, or ``auto``: numba where it is installed.
    :raises UnknownNameError: no such backend.
    :raises MissingDependencyError: numba is asked for and not installed.
    """
    if backend not in BACKENDS:
        raise UnknownNameError('kernel backend', backend, BACKENDS)
    if backend != 'numpy':
        try:
            return importlib.import_module('ocrrl_ros.perception.kernels_numba')
        except ImportError as error:
            if backend == 'numba':
                raise MissingDependencyError(
                    'numba (compiled tracker kernels)', 'pip install numba') from error
    return importlib.import_module('ocrrl_ros.perception.kernels_numpy')
