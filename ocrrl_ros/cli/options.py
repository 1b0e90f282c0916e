# SPDX-License-Identifier: Apache-2.0
"""From a command's dataclass to its command-line options and back."""
from collections import Counter
from collections.abc import Sequence
from dataclasses import Field, field, fields, is_dataclass, make_dataclass, MISSING
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from ocrrl_ros.core.errors import ConfigError


def _described(cls: type) -> type:
    """Return a dataclass with the same fields whose help comes from the metadata."""
    import tyro
    hints = get_type_hints(cls, include_extras=True)
    added: list[tuple[str, Any, Any]] = []
    for item in fields(cls):
        if not item.init:
            continue
        hint, copied = hints[item.name], field(kw_only=True, **_default(item))
        if is_dataclass(hint):
            hint = _described(hint)
            copied = field(kw_only=True, default_factory=hint)
        elif 'description' in item.metadata:
            hint = Annotated[hint, tyro.conf.arg(help=item.metadata['description'])]
        added.append((item.name, hint, copied))
    return make_dataclass(cls.__name__, added)


def _default(item: Field) -> dict[str, Any]:
    """Return a field's default as arguments of `field`."""
    if item.default is not MISSING:
        return {'default': item.default}
    if item.default_factory is not MISSING:
        return {'default_factory': item.default_factory}
    return {}


def _restore(cls: type, parsed: Any) -> Any:
    """Build the original dataclass from the parsed one."""
    hints = get_type_hints(cls)
    values = {item.name: getattr(parsed, item.name) for item in fields(cls) if item.init}
    for name, value in values.items():
        if is_dataclass(hints[name]) and not isinstance(value, hints[name]):
            values[name] = _restore(hints[name], value)
    return cls(**values)


def _refuse_repeats(options: Sequence[str]) -> None:
    """Refuse an option that is given twice, of which the parser would drop all but the last."""
    given = Counter(option.split('=')[0] for option in options if option.startswith('--'))
    for name, count in given.items():
        if count > 1:
            raise ConfigError(f'{name} is given {count} times; allowed: once, with all of its '
                              'values behind it')


def parse_options(cls: type, options: Sequence[str], program: str) -> tuple[Any, Path | None]:
    """
    Fill a command's dataclass; `--json FILE` is common to all commands.

    Wrong usage ends the process with exit code 2 and a message on stderr, as argparse does.

    :return: the command and the JSON file, if one was asked for.
    :raises ConfigError: an option is given twice.
    """
    import tyro
    _refuse_repeats(options)
    described = _described(cls)
    added: list[tuple[str, Any, Any]] = [
        ('command', tyro.conf.OmitArgPrefixes[described], field(kw_only=True))]
    if 'json' not in {item.name for item in fields(cls)}:
        added.append(('json', Annotated[
            Path | None, tyro.conf.arg(help='write the result to this file', metavar='FILE')],
            field(default=None, kw_only=True)))
    parsed = tyro.cli(
        make_dataclass('Invocation', added), args=list(options), prog=program,
        description=cls.__doc__, config=(tyro.conf.FlagCreatePairsOff,))
    return _restore(cls, parsed.command), getattr(parsed, 'json', None)
