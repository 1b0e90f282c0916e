# SPDX-License-Identifier: Apache-2.0
"""
Bring up the graph without ``launch``: one process per node, restarts, a clean Ctrl-C.

``stack robot:=sim task:=cube_lift record:=true`` takes the arguments of
``launch/deploy.launch.py``; ``--compose a,b`` is another way to write ``compose:=a,b``. Ctrl-C,
SIGTERM and the end of the terminal (SIGHUP) stop every process and exit with 0.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.interfaces.child_processes import StopSignals
from ocrrl_ros.interfaces.graph_plan import (
    GraphConfig, group_processes, parse_arguments, plan_graph)
from ocrrl_ros.interfaces.locality import graph_environment
from ocrrl_ros.interfaces.security import security_note
from ocrrl_ros.interfaces.spin import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, use_fastdds_profile
from ocrrl_ros.interfaces.supervisor import Supervisor

_CHECK_PERIOD_S = 0.1


def _log(line: str) -> None:
    """Write one line to standard error; a terminal that is gone must not end the stopping."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f'[stack] {line}\n')
        sys.stderr.flush()


def supervise(config: GraphConfig) -> int:
    """Run the graph until a signal or an unrecoverable death, and return the exit code."""
    note = security_note(os.environ)
    if note and config.robot == 'fr3':
        _log(note)
    added = graph_environment(config, os.environ)
    os.environ.update(added)
    use_fastdds_profile()
    if added:
        _log('simulation, on this host alone: ' + ' '.join(
            f'{name}={value}' for name, value in sorted(added.items())))
    supervisor = Supervisor(
        group_processes(plan_graph(config), config.compose), _log, config.namespace,
        config.params_file)
    code: int | None = None
    with StopSignals() as signals:
        try:
            supervisor.start(lambda: signals.received is not None)
            while code is None and signals.received is None:
                time.sleep(_CHECK_PERIOD_S)
                code = supervisor.check()
        finally:
            supervisor.stop()
    return EXIT_DONE if code is None else code


def _without_dashes(arguments: list[str]) -> list[str]:
    """Return the arguments with ``--compose a,b`` as ``compose:=a,b``."""
    if '--compose' not in arguments[:-1]:
        return arguments
    index = arguments.index('--compose')
    return [*arguments[:index], f'compose:={arguments[index + 1]}', *arguments[index + 2:]]


def main(args: list[str] | None = None) -> int:
    """Parse ``name:=value`` arguments and run the graph."""
    arguments = sys.argv[1:] if args is None else args
    try:
        return supervise(from_mapping(
            GraphConfig, parse_arguments(_without_dashes(arguments)), 'command line'))
    except ConfigError as error:
        _log(str(error))
        return EXIT_USAGE
    except OcrrlError as error:
        _log(str(error))
        return EXIT_FAILED


if __name__ == '__main__':
    sys.exit(main())
