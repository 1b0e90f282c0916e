# SPDX-License-Identifier: Apache-2.0
"""Load pylibfranka, or say how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from ocrrl_ros.core.errors import MissingDependencyError

#: The version that everything here was tried with; the handler of targets is experimental in it.
PYLIBFRANKA_VERSION = '0.21.3'
INSTALL = f'pip install pylibfranka=={PYLIBFRANKA_VERSION}'


def load_pylibfranka() -> ModuleType:
    """
    Return pylibfranka.

    :raises MissingDependencyError: it is not installed, cannot be loaded, or has no handler of
        asynchronous targets.
    """
    try:
        library = importlib.import_module('pylibfranka')
    except ImportError as error:
        raise MissingDependencyError(
            f'pylibfranka (for an FR3 without a real-time PC; {error})', INSTALL) from error
    if not hasattr(library, 'AsyncPositionControlHandler'):
        raise MissingDependencyError(
            f'a pylibfranka with AsyncPositionControlHandler (this is '
            f'{getattr(library, "__version__", "of unknown version")})', INSTALL)
    return library
