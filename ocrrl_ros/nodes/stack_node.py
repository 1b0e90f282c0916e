# SPDX-License-Identifier: Apache-2.0
"""
Bring up the graph without ``launch``: one process per node, restarts, a clean Ctrl-C.

``stack robot:=sim task:=cube_lift record:=true`` takes the arguments of
``launch/deploy.launch.py``.
"""

from __future__ import annotations

import signal
import sys
import time

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.interfaces.graph_plan import GraphConfig, parse_arguments, plan_graph
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
        plan_graph(config), _log, config.namespace, config.params_file)
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


def main(args: list[str] | None = None) -> int:
    """Parse ``name:=value`` arguments and run the graph."""
    arguments = sys.argv[1:] if args is None else args
    use_fastdds_profile()
    try:
        return supervise(from_mapping(
            GraphConfig, parse_arguments(arguments), 'command line'))
    except ConfigError as error:
        _log(str(error))
        return EXIT_USAGE
    except OcrrlError as error:
        _log(str(error))
        return EXIT_FAILED


if __name__ == '__main__':
    sys.exit(main())
