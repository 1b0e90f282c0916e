# SPDX-License-Identifier: Apache-2.0
"""
The `ocrrl` command: find the sub-command, parse its settings, run it, write its JSON.

Exit codes: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted (Ctrl-C or SIGTERM; where a
command runs the graph also a closed terminal, after every process of it has ended). A command's
module is imported only when that command is asked for, so that a library one of them lacks does
not stop the others.
"""
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
import importlib
import os
import signal
import sys
from typing import Any

from ocrrl_ros.cli.options import parse_options
from ocrrl_ros.cli.registry import CommandEntry, COMMANDS
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.core.json_files import write_json
from rich.console import Console

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def overview(prefix: Sequence[str] = ()) -> str:
    """List the commands that begin with the given words."""
    shown = [entry for entry in COMMANDS if entry.words[:len(prefix)] == tuple(prefix)]
    width = max(len(' '.join(entry.words)) for entry in shown)
    lines = [f'  {" ".join(entry.words):<{width}}  {entry.help_line}' for entry in shown]
    name = ' '.join(('ocrrl', *prefix))
    return '\n'.join([f'usage: {name} COMMAND [options]', '', 'commands:', *lines, '',
                      'ocrrl COMMAND --help shows the options of a command.'])


def find_command(arguments: Sequence[str]) -> tuple[CommandEntry | None, list[str], list[str]]:
    """
    Split the arguments into a command and its options.

    :return: the command or None, the words read so far, the options left.
    """
    words: list[str] = []
    for index, argument in enumerate(arguments):
        if argument.startswith('-'):
            break
        words.append(argument)
        for entry in COMMANDS:
            if entry.words == tuple(words):
                return entry, words, list(arguments[index + 1:])
        if not any(entry.words[:len(words)] == tuple(words) for entry in COMMANDS):
            break
    return None, words, list(arguments[len(words):])


def _load(entry: CommandEntry) -> Any:
    """Import the command's module and return its class, or its own main function."""
    module = importlib.import_module(entry.module)
    loaded = getattr(module, entry.attribute, None) or getattr(module, 'main', None)
    if loaded is None:
        raise OcrrlError(f'{entry.module} has neither {entry.attribute} nor main')
    return loaded


def _execute(entry: CommandEntry, options: list[str]) -> int:
    """Run one command and return its exit code."""
    loaded = _load(entry)
    if not is_dataclass(loaded):
        return int(loaded(options))
    command, json_path = parse_options(loaded, options, ' '.join(('ocrrl', *entry.words)))
    result = command.run(Console())
    if isinstance(result, int):
        return result
    if json_path is not None:
        write_json(json_path, result or {})
    failed = isinstance(result, Mapping) and result.get('passed') is False
    return EXIT_FAILED if failed else EXIT_DONE


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    entry, words, options = find_command(arguments)
    if entry is None:
        known = [other for other in COMMANDS if other.words[:len(words)] == tuple(words)]
        asked_for_help = bool(known) and (not options or options[0] in ('-h', '--help'))
        if asked_for_help:
            print(overview(words))
            return EXIT_DONE if options else EXIT_USAGE
        bad = ' '.join(words) or options[0]
        names = ', '.join(' '.join(other.words) for other in COMMANDS)
        print(f'ocrrl: unknown command {bad!r}; known: {names}', file=sys.stderr)
        return EXIT_USAGE
    try:
        return _execute(entry, options)
    except OcrrlError as error:
        print(f'ocrrl {" ".join(words)}: {error}'.replace('\n', ' '), file=sys.stderr)
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
    except ModuleNotFoundError as error:
        print(f'ocrrl {" ".join(words)}: the Python module {error.name!r} is missing; install it '
              'with: make setup', file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(f'ocrrl {" ".join(words)}: interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED


def _interrupt(*_: object) -> None:
    """End like Ctrl-C, so that worker processes and files are closed."""
    raise KeyboardInterrupt


def main() -> None:
    """Enter from the `ocrrl` script."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_DONE
    sys.exit(code)


if __name__ == '__main__':
    main()
