# SPDX-License-Identifier: Apache-2.0
"""
Bring up the graph without ``launch``: one process per node, restarts, a clean Ctrl-C.

``stack robot:=sim task:=cube_lift record:=true`` takes the arguments of
``launch/deploy.launch.py``; ``--compose a,b`` is another way to write ``compose:=a,b``.
"""

from __future__ import annotations

import signal
import sys
import time

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.interfaces.graph_plan import (
    GraphConfig, group_processes, parse_arguments, plan_graph)
from ocrrl_ros.interfaces.spin import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, use_fastdds_profile
from ocrrl_ros.interfaces.supervisor import Supervisor

_CHECK_PERIOD_S = 0.1


class _Interrupted(Exception):
    """SIGINT or SIGTERM arrived."""


def _interrupt(number: int, frame: object) -> None:
    """Turn a signal into the end of the main loop."""
    raise _Interrupted


def _log(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f'[stack] {line}\n')
    sys.stderr.flush()


def supervise(config: GraphConfig) -> int:
    """Run the graph until a signal or an unrecoverable death, and return the exit code."""
    supervisor = Supervisor(
        group_processes(plan_graph(config), config.compose), _log, config.namespace,
        config.params_file)
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    code: int | None = None
    try:
        supervisor.start()
        while code is None:
            time.sleep(_CHECK_PERIOD_S)
            code = supervisor.check()
    except _Interrupted:
        code = EXIT_DONE
    finally:
        # A second Ctrl-C must not leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        supervisor.stop()
    return code


def _without_dashes(arguments: list[str]) -> list[str]:
    """Return the arguments with ``--compose a,b`` as ``compose:=a,b``."""
    if '--compose' not in arguments[:-1]:
        return arguments
    index = arguments.index('--compose')
    return [*arguments[:index], f'compose:={arguments[index + 1]}', *arguments[index + 2:]]


def main(args: list[str] | None = None) -> int:
    """Parse ``name:=value`` arguments and run the graph."""
    arguments = sys.argv[1:] if args is None else args
    use_fastdds_profile()
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
