# SPDX-License-Identifier: Apache-2.0
"""Interface packages that are used where they are installed."""

from __future__ import annotations

import importlib
from typing import Any


def optional(module: str) -> Any | None:
    """Return an interface module, or None where its package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
