# SPDX-License-Identifier: Apache-2.0
"""Save and restore objects whose whole state is their array attributes."""

from __future__ import annotations

from typing import Any

import numpy as np


def array_state(thing: object) -> dict[str, np.ndarray]:
    """Return copies of all array attributes of an object."""
    return {
        name: value.copy() for name, value in vars(thing).items()
        if isinstance(value, np.ndarray)}


def restore_array_state(thing: object, state: dict[str, Any]) -> None:
    """Give an object of the same class the array attributes of a saved one."""
    for name, value in state.items():
        setattr(thing, name, np.array(value))
