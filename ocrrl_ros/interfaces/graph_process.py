# SPDX-License-Identifier: Apache-2.0
"""The graph as a child process: start `stack`, notice its death, end it without leftovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.interfaces.child_processes import end_with_parent, StopSignals
from ocrrl_ros.interfaces.graph_client import GraphClient
from ocrrl_ros.interfaces.graph_plan import parameter_text
from ocrrl_ros.interfaces.locality import run_apart
from ocrrl_ros.interfaces.security import enclave_arguments
from ocrrl_ros.interfaces.spin import start_ros, use_fastdds_profile
from ocrrl_ros.policy.task_spec import load_task_spec
import rclpy
from rclpy.node import Node

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
def driven_graph(arguments: dict[str, Any], log: Path, name: str) -> Iterator[GraphClient]:
    """
    Run the graph for the duration of a block, whatever ends it, with a client that drives it.

    It is on this host alone and apart from other graphs, unless the operator chose.

    Ctrl-C, SIGTERM and SIGHUP end the block when it next calls ``check``, which every wait of
    the client does, at the latest at its end.

    :param arguments: launch arguments by name, ``task`` among them.
    :param log: file that everything the graph prints goes to.
    :param name: of the client's node.
    :raises KeyboardInterrupt: one of these signals came.
    """
    run_apart()
    use_fastdds_profile()
    object_ids = load_task_spec(arguments['task']).object_ids
    with StopSignals() as signals:
        graph = GraphProcess(arguments, log, lambda: signals.received is not None)
        try:
            # The node goes before the others do: see own_node.
            with own_node(name) as node:
                yield GraphClient(node, graph.check, object_ids)
        finally:
            graph.stop()
    if signals.received is not None:
        raise KeyboardInterrupt


@contextlib.contextmanager
def own_node(name: str, namespace: str = '') -> Iterator[Node]:
    """
    Be a node for the duration of a block, and leave nothing behind that listens.

    Fast DDS 2.14 can lock itself up in a process whose readers see others leave (eProsima/Fast-DDS
    issue 6502: the thread that hears of it waits for the one that checks leases, and that for a
    mutex of the first), and then whoever destroys a reader hangs for good. A context of its own
    takes the readers and all threads along while the others are still there; ROS's own signal
    handlers, which would close a context under a client that still works, come with the default
    context alone.
    """
    context = rclpy.Context()
    enclave = enclave_arguments(name, namespace, os.environ)
    start_ros(['--ros-args', *enclave] if enclave else [], context)
    try:
        node = rclpy.create_node(name, context=context, namespace=namespace)
        try:
            yield node
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()
        context.destroy()
