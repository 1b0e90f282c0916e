# SPDX-License-Identifier: Apache-2.0
"""Fill a frozen dataclass from a node's parameters."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
import dataclasses
from pathlib import Path
import typing
from typing import Any, TypeVar

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

T = TypeVar('T')
_OVERRIDE_PREFIXES = ('qos_overrides.',)


def declare_config(
        node: Node, cls: type[T], *, prefix: str = '', exclusive: bool = True,
        read_only: bool = True, live: Collection[str] = ()) -> T:
    """
    Declare one parameter per field and return the validated dataclass.

    Nested dataclasses become dotted names; ``None`` and empty tuples may be given as an empty
    string or list. The description comes from ``field(metadata={'description': ...})``.

    :param prefix: dotted prefix under which the fields appear.
    :param exclusive: refuse parameters that the operator set and nobody declared; pass False
        for all but the last of several calls on one node.
    :param read_only: whether the values stand for the life of the node; where not,
        :func:`read_config` returns the values of the moment.
    :param live: dotted names that may be set while the node runs although the others may not; see
        :func:`follow_changes`.
    :raises ConfigError: a value does not fit; the message names parameter and node.
    :raises UnknownNameError: an override names a parameter that the node does not have.
    """
    for name, default, description in parameter_names(cls, prefix):
        # Dynamic typing lets an int stand for a float, as YAML writers expect; from_mapping
        # then converts by the field's annotation, or refuses by name.
        node.declare_parameter(name, _as_parameter(default), ParameterDescriptor(
            description=description, read_only=read_only and name not in live,
            dynamic_typing=True))
    if exclusive:
        keep_clock(node)
        refuse_unknown_overrides(node)
    return read_config(node, cls, prefix)


def keep_clock(node: Node) -> None:
    """
    Refuse to change ``use_sim_time`` while the node runs, which rclpy allows to everybody.

    A control loop whose clock is exchanged would take all of its inputs for stale, or for fresh.
    """
    name = 'use_sim_time'

    def check(parameters: list[Parameter]) -> SetParametersResult:
        given = [item.value for item in parameters if item.name == name]
        is_same = all(value == node.get_parameter(name).value for value in given)
        return SetParametersResult(
            successful=is_same,
            reason='' if is_same else f'{name} stands for the life of the node; start it anew')

    node.add_on_set_parameters_callback(check)


def read_config(node: Node, cls: type[T], prefix: str = '') -> T:
    """
    Return the dataclass of the parameters' present values.

    :raises ConfigError: a value does not fit; the message names parameter and node.
    """
    return _config_of(node, cls, prefix, {})


def follow_changes(
        node: Node, cls: type[T], apply: Callable[[T], None], prefix: str = '') -> None:
    """
    Hand over the dataclass whenever one of its parameters was set.

    A value that the dataclass refuses is refused, with the dataclass's message, and nothing
    changes. Call it after :func:`declare_config`.

    :param apply: called from the thread that serves the node's parameters.
    """
    own = {name for name, _, _ in parameter_names(cls, prefix)}

    def check(parameters: list[Parameter]) -> SetParametersResult:
        given = {parameter.name: parameter.value for parameter in parameters}
        try:
            for name in own & given.keys():
                if given[name] is None:
                    raise ConfigError(f'parameter {name} cannot be removed')
            _config_of(node, cls, prefix, given)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def changed(parameters: list[Parameter]) -> None:
        if any(parameter.name in own for parameter in parameters):
            apply(read_config(node, cls, prefix))

    node.add_on_set_parameters_callback(check)
    node.add_post_set_parameters_callback(changed)


def _config_of(node: Node, cls: type[T], prefix: str, given: Mapping[str, Any]) -> T:
    """Return the dataclass of the present values, those in ``given`` replaced."""
    values = _values(node, cls, prefix, given)
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


def parameter_names(
        cls: type, prefix: str = '', values: Any = None) -> Iterator[tuple[str, Any, str]]:
    """
    Yield (dotted name, default, description) of every leaf field, in order.

    :param values: instance whose values are the defaults; the class's own where None. A nested
        dataclass takes its defaults from the instance that is the field's default.
    """
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        name = f'{prefix}.{field.name}' if prefix else field.name
        default = _default(field) if values is None else getattr(values, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            yield from parameter_names(hints[field.name], name, default)
            continue
        kind = getattr(hints[field.name], '__name__', str(hints[field.name]))
        if typing.get_origin(hints[field.name]) is not None:
            kind = str(hints[field.name]).replace('typing.', '')
        description = f'{field.metadata.get("description", "")} ({kind})'.strip()
        yield name, default, description


def _default(field: dataclasses.Field) -> Any:
    """Return the default of a field, or None where the operator must give one."""
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None


def _values(
        node: Node, cls: type, prefix: str, proposed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the leaves as a nested mapping; absent ones keep their default."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        name = f'{prefix}.{field.name}' if prefix else field.name
        if dataclasses.is_dataclass(hints[field.name]):
            values[field.name] = _values(node, hints[field.name], name, proposed)
            continue
        default = _default(field)
        given = proposed[name] if name in proposed else node.get_parameter(name).value
        if isinstance(given, (list, tuple, bytes, array)):
            values[field.name] = tuple(given)
        elif given == '' and isinstance(default, (tuple, list)):
            values[field.name] = ()
        elif given is not None and not (given == '' and default is None):
            values[field.name] = given
    return values


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
