# SPDX-License-Identifier: Apache-2.0
"""Fill frozen dataclasses from mappings and YAML files, strictly."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from pathlib import Path
import types
import typing
from typing import Any, TypeVar

import numpy as np
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
import yaml

T = TypeVar('T')


def from_mapping(
        cls: type[T], mapping: Mapping[str, Any], source: str, default: T | None = None) -> T:
    """
    Build a frozen dataclass from nested mappings.

    Keys that the mapping lacks keep their defaults. Sequences become tuples.

    :param source: file or parameter that the mapping came from, for messages.
    :param default: instance that gives what the mapping lacks; the class's own defaults if None.
    :raises UnknownNameError: a key is not a field; the message lists the fields.
    :raises ConfigError: a value has the wrong type or the dataclass refuses it.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f'{source}: {mapping!r} is given where a mapping is expected')
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in mapping:
        if key not in fields:
            raise UnknownNameError('key', key, fields, source)
    hints = typing.get_type_hints(cls)
    values = {
        key: _field_value(fields[key], hints[key], value, f'{source}: {key}', default)
        for key, value in mapping.items()}
    missing = [
        name for name, field in fields.items()
        if default is None and name not in values and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING]
    if missing:
        raise ConfigError(f'{source}: required keys are missing: {", ".join(missing)}')
    try:
        return cls(**values) if default is None else dataclasses.replace(default, **values)
    except ConfigError as error:
        raise ConfigError(f'{source}: {error}') from error


def _field_value(
        field: dataclasses.Field, hint: Any, value: Any, source: str, owner: Any) -> Any:
    """
    Return a field's value; a nested mapping changes what the field held before.

    :param owner: instance that holds the values before, None for the field's own default.
    """
    default = field.default if owner is None else getattr(owner, field.name)
    if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if isinstance(value, Mapping) and dataclasses.is_dataclass(default):
        return from_mapping(type(default), value, source, default)
    return _convert(hint, value, source)


def load_yaml(cls: type[T], path: Path | str) -> T:
    """
    Build a frozen dataclass from a YAML file.

    :raises ConfigError: the file cannot be read or does not fit the dataclass.
    """
    return from_mapping(cls, read_yaml(path), str(path))


def read_yaml(path: Path | str) -> dict[str, Any]:
    """
    Return the mapping that a YAML file holds.

    :raises ConfigError: the file cannot be read or holds no mapping.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f'cannot read {path}: {error}') from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f'{path} holds {type(content).__name__}, a mapping is expected')
    return content


def to_mapping(obj: Any) -> dict[str, Any]:
    """Return nested plain mappings and lists that YAML and JSON can write."""
    return _plain(dataclasses.asdict(obj))


def _plain(value: Any) -> Any:
    """Return the value with tuples, arrays and paths turned into plain types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    return value


def _convert(hint: Any, value: Any, source: str) -> Any:
    """Return the value as the annotated type asks, or raise."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(hint, value, source)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise UnknownNameError('value', value, typing.get_args(hint), source)
        return value
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_mapping(hint, value, source)
    if origin is tuple:
        return _convert_tuple(typing.get_args(hint), value, source)
    if origin in (dict, Mapping) or hint is dict:
        return _convert_dict(typing.get_args(hint), value, source)
    return _convert_scalar(hint, value, source)


def _convert_union(hint: Any, value: Any, source: str) -> Any:
    """Try the members of a union in order."""
    members = typing.get_args(hint)
    if value is None and type(None) in members:
        return None
    problems = []
    for member in members:
        if member is type(None):
            continue
        try:
            return _convert(member, value, source)
        except ConfigError as error:
            problems.append(str(error))
    raise ConfigError('; '.join(problems))


def _convert_tuple(arguments: tuple[Any, ...], value: Any, source: str) -> tuple[Any, ...]:
    """Convert a sequence to a tuple of the annotated items."""
    if isinstance(value, str) or not hasattr(value, '__iter__'):
        raise ConfigError(f'{source} is {value!r}; a list is expected')
    items = list(value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(items)
    if arguments and len(arguments) != len(items):
        raise ConfigError(f'{source} has {len(items)} items; allowed: {len(arguments)}')
    kinds = arguments or (Any,) * len(items)
    return tuple(_convert(kind, item, source) for kind, item in zip(kinds, items))


def _convert_dict(arguments: tuple[Any, ...], value: Any, source: str) -> dict[str, Any]:
    """Convert a mapping of named values."""
    if not isinstance(value, Mapping):
        raise ConfigError(f'{source} is {value!r}; a mapping is expected')
    kind = arguments[1] if len(arguments) == 2 else Any
    return {str(key): _convert(kind, item, f'{source}: {key}') for key, item in value.items()}


def _convert_scalar(hint: Any, value: Any, source: str) -> Any:
    """Convert numbers, strings, booleans and paths; refuse lossy conversions."""
    if hint is Any:
        return value
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(hint, type) and isinstance(value, hint):
        if not (isinstance(value, bool) and hint is not bool):
            return value
    expected = getattr(hint, '__name__', str(hint))
    raise ConfigError(f'{source} is {value!r} ({type(value).__name__}); expected {expected}')
