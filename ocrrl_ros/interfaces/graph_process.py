# SPDX-License-Identifier: Apache-2.0
"""The graph as a child process: start `stack`, notice its death, end it without leftovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.interfaces.child_processes import end_with_parent, StopSignals
from ocrrl_ros.interfaces.graph_client import GraphClient
from ocrrl_ros.interfaces.graph_plan import parameter_text
from ocrrl_ros.interfaces.spin import use_fastdds_profile
from ocrrl_ros.policy.task_spec import load_task_spec
import rclpy
from rclpy.signals import SignalHandlerOptions

_STOP_S = 25.0
_LOG_LINES = 12


class GraphProcess:
    """
    A running `stack`.

    :param arguments: launch arguments by name (`interfaces.graph_plan.GraphConfig`).
    :param log: file that everything the graph prints goes to.
    :param is_interrupted: tells whether the user wants to stop.
    """

    def __init__(self, arguments: dict[str, Any], log: Path,
                 is_interrupted: Callable[[], bool] = lambda: False):
        """Start the process, in its own group so that a Ctrl-C reaches it once, through us."""
        self.log = log
        self._is_interrupted = is_interrupted
        log.parent.mkdir(parents=True, exist_ok=True)
        texts = [f'{name}:={parameter_text(value).strip(chr(34))}'
                 for name, value in arguments.items()]
        with log.open('wb') as file:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'ocrrl_ros.nodes.stack_node', *texts], stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=end_with_parent())

    def check(self) -> None:
        """
        Return while there is something to wait for.

        :raises KeyboardInterrupt: the user wants to stop.
        :raises OcrrlError: the graph has ended; with the last lines of its log.
        """
        if self._is_interrupted():
            raise KeyboardInterrupt
        code = self._process.poll()
        if code is not None:
            raise OcrrlError(f'the graph ended with code {code}: {self.last_words()} '
                             f'(all of it in {self.log})')

    def last_words(self) -> str:
        """Return the end of the log in one line, errors first."""
        lines = self.log.read_text(encoding='utf-8', errors='replace').splitlines()
        bad = [line for line in lines if 'FATAL' in line or 'Error' in line]
        return ' | '.join((bad or lines)[-_LOG_LINES:])

    def stop(self) -> None:
        """Interrupt the graph and wait; kill it if it does not leave."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextlib.contextmanager
def graph_client(graph: GraphProcess, name: str, task: str) -> Iterator[GraphClient]:
    """
    Join the running graph as a node for the duration of a block.

    :param name: of the node.
    :param task: that the graph runs.
    """
    object_ids = load_task_spec(task).object_ids
    # With ROS's own handlers a Ctrl-C would close the context under a client that still works.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield GraphClient(rclpy.create_node(name), graph.check, object_ids)
    finally:
        rclpy.try_shutdown()


@contextlib.contextmanager
def running_graph(arguments: dict[str, Any], log: Path) -> Iterator[GraphProcess]:
    """
    Run the graph for the duration of a block, whatever ends it.

    Ctrl-C, SIGTERM and SIGHUP end the block when it next calls ``check``, which every wait of
    the graph's client does, at the latest at its end.

    :raises KeyboardInterrupt: one of these signals came.
    """
    use_fastdds_profile()
    with StopSignals() as signals:
        graph = GraphProcess(arguments, log, lambda: signals.received is not None)
        try:
            yield graph
        finally:
            graph.stop()
    if signals.received is not None:
        raise KeyboardInterrupt
