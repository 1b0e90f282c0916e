# SPDX-License-Identifier: Apache-2.0
"""Fill a frozen dataclass from a node's parameters."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
from pathlib import Path
import typing
from typing import Any, TypeVar

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

T = TypeVar('T')
_OVERRIDE_PREFIXES = ('qos_overrides.',)


def declare_config(node: Node, cls: type[T], *, prefix: str = '', exclusive: bool = True) -> T:
    """
    Declare one read-only parameter per field and return the validated dataclass.

    Nested dataclasses become dotted names; ``None`` and empty tuples may be given as an empty
    string or list. The description comes from ``field(metadata={'description': ...})``.

    :param prefix: dotted prefix under which the fields appear.
    :param exclusive: refuse parameters that the operator set and nobody declared; pass False
        for all but the last of several calls on one node.
    :raises ConfigError: a value does not fit; the message names parameter and node.
    :raises UnknownNameError: an override names a parameter that the node does not have.
    """
    values = _declare(node, cls, prefix)
    if exclusive:
        refuse_unknown_overrides(node)
    return from_mapping(cls, values, f'parameters of node {node.get_name()}')


def refuse_unknown_overrides(node: Node) -> None:
    """
    Raise when the operator set a parameter that the node has not declared.

    :raises UnknownNameError: names the parameter and lists the declared ones.
    """
    # rclpy has no public accessor; absent, nothing is checked.
    overrides = getattr(node, '_parameter_overrides', {})
    for name in overrides:
        if not node.has_parameter(name) and not name.startswith(_OVERRIDE_PREFIXES):
            known = sorted(node.get_parameters_by_prefix(''))
            raise UnknownNameError('parameter', name, known, f'node {node.get_name()}')


def parameter_names(cls: type, prefix: str = '') -> Iterator[tuple[str, Any, str]]:
    """Yield (dotted name, default, description) of every leaf field, in order."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        name = f'{prefix}.{field.name}' if prefix else field.name
        if dataclasses.is_dataclass(hints[field.name]):
            yield from parameter_names(hints[field.name], name)
            continue
        kind = getattr(hints[field.name], '__name__', str(hints[field.name]))
        if typing.get_origin(hints[field.name]) is not None:
            kind = str(hints[field.name]).replace('typing.', '')
        description = f'{field.metadata.get("description", "")} ({kind})'.strip()
        yield name, _default(cls, field), description


def _default(cls: type, field: dataclasses.Field) -> Any:
    """Return the default of a field, or None where the operator must give one."""
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None


def _declare(node: Node, cls: type, prefix: str) -> dict[str, Any]:
    """Declare the leaves and return their values as a nested mapping."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    leaves = {name: (default, text) for name, default, text in parameter_names(cls, prefix)}
    for field in dataclasses.fields(cls):
        name = f'{prefix}.{field.name}' if prefix else field.name
        if dataclasses.is_dataclass(hints[field.name]):
            values[field.name] = _declare(node, hints[field.name], name)
            continue
        default, description = leaves[name]
        value = _declare_leaf(node, name, default, description)
        if value is not None:
            values[field.name] = value
        elif default is None and field.default is dataclasses.MISSING:
            raise ConfigError(f'parameter {name} of node {node.get_name()} must be given')
    return values


def _declare_leaf(node: Node, name: str, default: Any, description: str) -> Any:
    """Declare one parameter and return its value as the dataclass takes it."""
    # Dynamic typing lets an int stand for a float, as YAML writers expect; from_mapping
    # then converts by the field's annotation, or refuses by name.
    descriptor = ParameterDescriptor(
        description=description, read_only=True, dynamic_typing=True)
    given = node.declare_parameter(name, _as_parameter(default), descriptor).value
    if given is None or given == '' and default is None:
        return None
    if isinstance(given, (list, tuple, bytes)) or hasattr(given, 'typecode'):
        return tuple(given)
    if given == '' and isinstance(default, tuple):
        return ()
    return given


def _as_parameter(value: Any) -> Any:
    """Return the value in a type that a ROS parameter can hold."""
    if value is None:
        return ''
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, list)):
        # An empty list would be declared as bytes; an empty string stands for it.
        return list(value) if value else ''
    return value
