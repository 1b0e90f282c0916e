# SPDX-License-Identifier: Apache-2.0
"""
Effects that only held-out worlds have: settings without a knob in the training world.

Such a setting is neutral by default and then changes nothing, neither physics nor pictures nor
the hash of a domain, so that results from before it existed keep their domain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, fields, is_dataclass
from typing import Any

_MARK = 'held_out'


def held_out_setting(neutral: float, description: str) -> Any:
    """Return a dataclass field for an effect that the training world must not have."""
    return field(default=neutral, metadata={'description': description, _MARK: True})


def held_out_settings(config: Any, path: tuple[str, ...] = ()) -> Iterator[
        tuple[tuple[str, ...], float, bool]]:
    """
    Find the marked settings of a nested dataclass.

    :return: per setting its path of field names, its value and whether that is neutral.
    """
    for item in fields(config):
        value = getattr(config, item.name)
        if item.metadata.get(_MARK):
            yield (*path, item.name), value, value == item.default
        elif is_dataclass(value):
            yield from held_out_settings(value, (*path, item.name))


def without_neutral(config: Any, mapping: dict[str, Any]) -> dict[str, Any]:
    """
    Remove the marked settings that are neutral from a nested mapping of the same structure.

    :param mapping: changed in place, and returned.
    """
    for path, _, is_neutral in held_out_settings(config):
        if is_neutral:
            section = mapping
            for name in path[:-1]:
                section = section[name]
            del section[path[-1]]
    return mapping
