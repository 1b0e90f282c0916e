# SPDX-License-Identifier: Apache-2.0
"""Settings are filled strictly and errors name value, allowed set and source."""

from __future__ import annotations

import dataclasses

from ocrrl_ros.core.configuration import from_mapping, load_yaml, to_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
import pytest


@dataclasses.dataclass(frozen=True)
class Lamp:
    """A nested example."""

    power_w: float = 5.0
    switches: int = 1


@dataclasses.dataclass(frozen=True)
class Room:
    """An example with every kind of field."""

    name: str = 'hall'
    size_m: tuple[float, float] = (3.0, 4.0)
    lamp: Lamp = Lamp()
    chandelier: Lamp = Lamp(power_w=50.0, switches=2)
    seats: int = 2
    note: str | None = None
    heights: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        """Refuse rooms without seats."""
        if self.seats < 0:
            raise ConfigError(f'seats is {self.seats}; allowed: >= 0')


def test_mapping_fills_nested_fields_and_keeps_defaults():
    room = from_mapping(Room, {'size_m': [1, 2], 'lamp': {'power_w': 7}, 'heights': {'a': 1}}, 's')
    assert room == Room(size_m=(1.0, 2.0), lamp=Lamp(7.0), heights={'a': 1.0})


def test_nested_defaults_are_those_of_the_field_that_holds_them():
    assert from_mapping(Room, {'chandelier': {'switches': 3}}, 's').chandelier == Lamp(50.0, 3)


def test_mapping_round_trips():
    room = Room(note='x', heights={'a': 1.0})
    assert from_mapping(Room, to_mapping(room), 's') == room


def test_unknown_key_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'colour'.*room.yaml.*chandelier, heights"):
        from_mapping(Room, {'colour': 1}, 'room.yaml')


@pytest.mark.parametrize('mapping', [
    {'seats': 1.5}, {'seats': True}, {'name': 3}, {'size_m': [1]}, {'size_m': 'ab'},
    {'lamp': 3}, {'lamp': {'power_w': 'x'}}, {'seats': -1}])
def test_wrong_values_name_the_source(mapping):
    with pytest.raises(ConfigError, match='room.yaml'):
        from_mapping(Room, mapping, 'room.yaml')


def test_unreadable_yaml_is_one_clear_error(tmp_path):
    path = tmp_path / 'broken.yaml'
    path.write_text('a: [1', encoding='utf-8')
    with pytest.raises(ConfigError, match='broken.yaml'):
        load_yaml(Room, path)
    with pytest.raises(ConfigError, match='absent.yaml'):
        load_yaml(Room, tmp_path / 'absent.yaml')
