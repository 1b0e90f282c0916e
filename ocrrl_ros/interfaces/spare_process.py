# SPDX-License-Identifier: Apache-2.0
"""
A process that has imported what nodes need and waits to be told which node it is.

Imports are most of what a node's start costs; a node that has died comes back so much sooner.
"""

from __future__ import annotations

from collections.abc import Iterable
import importlib
import json
import os
import signal
import subprocess
import sys

from ocrrl_ros.interfaces.child_processes import end_with_parent

#: Nothing else is imported by name.
_NODES = 'ocrrl_ros.nodes'


class SpareProcess:
    """One such process; it is a node once, and the caller's from then on."""

    def __init__(self, modules: Iterable[str], environment: dict[str, str]):
        """
        Start it.

        :param modules: names of modules of ``ocrrl_ros.nodes``, to be imported.
        :param environment: of the process, and of the node that it will be.
        """
        self._process = subprocess.Popen(
            [sys.executable, '-m', __name__, *modules], stdin=subprocess.PIPE,
            start_new_session=True, preexec_fn=end_with_parent(), env=environment)

    def become(self, module: str, arguments: list[str]) -> subprocess.Popen | None:
        """
        Let it be a node, and return its process; None where it has ended.

        :param module: one of the modules given at the start, whose ``main`` is called.
        :param arguments: the node's command line.
        """
        order = json.dumps({'module': module, 'arguments': arguments}) + '\n'
        try:
            with self._process.stdin as pipe:
                pipe.write(order.encode())
        except BrokenPipeError:
            self._process.wait()
            return None
        return self._process

    def stop(self) -> None:
        """End it, as nobody needs it any more."""
        self._process.terminate()
        self._process.wait()
        self._process.stdin.close()


def main() -> int:
    """Import, wait for the order, be the node."""
    # Until then Ctrl-C and the end of the parent end it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    nodes = {name: importlib.import_module(name) for name in sys.argv[1:]
             if name.startswith(f'{_NODES}.')}
    line = sys.stdin.readline()
    if not line:
        return 0
    order = json.loads(line)
    with open(os.devnull, encoding='utf-8') as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module = nodes[order['module']]
    sys.argv = [str(module.__file__), *order['arguments']]
    return module.main()


if __name__ == '__main__':
    sys.exit(main())
