# SPDX-License-Identifier: Apache-2.0
"""Start node processes, restart what dies, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import os
import signal
import subprocess
import sys
import time

from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.interfaces.child_processes import end_with_parent
from ocrrl_ros.interfaces.graph_plan import NodePlan, process_arguments, process_executable
from ocrrl_ros.interfaces.security import enclave_arguments
from ocrrl_ros.interfaces.spare_process import SpareProcess
from ocrrl_ros.interfaces.spin import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, sparing_environment

#: Patience after SIGINT, until SIGTERM and until SIGKILL.
TERM_AFTER_S = 8.0
KILL_AFTER_S = 12.0
_MAX_RESTARTS = 3
#: Longer than the start of any node, the renderer's patience of 60 s included.
_START_S = 90.0
#: After the last start of a process the others need the processors more than a spare one does.
_SPARE_AFTER_S = 5.0


@dataclasses.dataclass
class _Child:
    """A running process of the graph."""

    group: tuple[NodePlan, ...]
    process: subprocess.Popen
    started_s: float
    restarts: int = 0
    max_restarts: int = _MAX_RESTARTS

    @property
    def name(self) -> str:
        """Return the names of the nodes that run in it."""
        return _group_name(self.group)

    def is_over(self, code: int) -> bool:
        """
        Return whether a restart is of no use after this exit code.

        What refused its settings, or anything else in one line while it started, would say the
        same again; signals and tracebacks (spin.EXIT_CRASHED) may have been bad luck.
        """
        is_starting = time.monotonic() - self.started_s < _START_S
        return (
            code in (EXIT_DONE, EXIT_USAGE) or (code == EXIT_FAILED and is_starting)
            or self.restarts >= self.max_restarts)


def _group_name(group: tuple[NodePlan, ...]) -> str:
    return '+'.join(plan.name for plan in group)


def _module(group: tuple[NodePlan, ...]) -> str:
    return f'ocrrl_ros.nodes.{process_executable(group)}_node'


def process_command(
        group: tuple[NodePlan, ...], namespace: str = '', params_file: str = '') -> list[str]:
    """Return the command line of one process of the graph."""
    command = [sys.executable, '-m', _module(group), *process_arguments(group)]
    if namespace:
        command += ['-r', f'__ns:=/{namespace.strip("/")}']
    command += enclave_arguments(process_executable(group), namespace, os.environ)
    if params_file:
        command += ['--params-file', params_file]
    return command


class Supervisor:
    """
    Runs the planned processes until asked to stop.

    :param groups: the nodes of each process (``graph_plan.group_processes``).
    :param log: called with one line when a process starts, dies or is restarted.
    :param max_restarts: deaths of one process that are forgiven.
    """

    def __init__(
            self, groups: list[tuple[NodePlan, ...]], log: Callable[[str], None],
            namespace: str = '', params_file: str = '', max_restarts: int = _MAX_RESTARTS):
        """Remember the plan; nothing runs before ``start``."""
        self._groups = groups
        self._log = log
        self._namespace = namespace
        self._params_file = params_file
        self._max_restarts = max_restarts
        self._children: list[_Child] = []
        self._spare: SpareProcess | None = None

    def start(self, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """
        Start every process in the order of the plan.

        :param is_stopping: asked before each one; true starts no more.
        """
        for group in self._groups:
            if is_stopping():
                return
            child = _Child(
                group, self._spawn(group), time.monotonic(), max_restarts=self._max_restarts)
            self._children.append(child)
            self._log(f'{child.name}: started, pid {child.process.pid}')

    def _spawn(self, group: tuple[NodePlan, ...]) -> subprocess.Popen:
        """Start one process in its own group, so that a Ctrl-C reaches it once, through us."""
        command = process_command(group, self._namespace, self._params_file)
        _, _, module, *arguments = command
        spare, self._spare = self._spare, None
        warm = None if spare is None else spare.become(module, arguments)
        return warm or subprocess.Popen(
            command, start_new_session=True, preexec_fn=end_with_parent(), env=_environment())

    def _keep_spare(self) -> None:
        """Have a process ready that has imported the nodes, once they have had time to start."""
        newest_s = max((child.started_s for child in self._children), default=float('inf'))
        if self._spare is None and time.monotonic() - newest_s > _SPARE_AFTER_S:
            self._spare = SpareProcess(sorted({_module(group) for group in self._groups}),
                                       _environment())

    def check(self) -> int | None:
        """
        Restart what died; return an exit code when the graph cannot go on, else None.

        A process that refused to start or died too often ends the graph.
        """
        for child in self._children:
            code = child.process.poll()
            if code is None:
                continue
            if child.is_over(code):
                self._log(f'{child.name}: ended with code {code}; stopping the graph')
                return code if code > 0 else EXIT_FAILED
            child.restarts += 1
            child.process, child.started_s = self._spawn(child.group), time.monotonic()
            self._log(
                f'{child.name}: died with code {code}; restart {child.restarts} of '
                f'{child.max_restarts}, pid {child.process.pid}')
        self._keep_spare()
        return None

    def pid(self, name: str) -> int:
        """
        Return the process that runs a node now.

        :raises UnknownNameError: the graph has no such node.
        """
        pids = {plan.name: child.process.pid for child in self._children for plan in child.group}
        if name not in pids:
            raise UnknownNameError('node', name, pids)
        return pids[name]

    def stop(self) -> None:
        """Interrupt every process, last started first, and wait; insist where one hangs."""
        if self._spare is not None:
            self._spare.stop()
            self._spare = None
        for child in reversed(self._children):
            _signal_group(child.process, signal.SIGINT)
        started_s = time.monotonic()
        escalation = [(TERM_AFTER_S, signal.SIGTERM), (KILL_AFTER_S, signal.SIGKILL)]
        while any(child.process.poll() is None for child in self._children):
            if escalation and time.monotonic() - started_s > escalation[0][0]:
                _, number = escalation.pop(0)
                for child in self._children:
                    if child.process.poll() is None:
                        self._log(f'{child.name}: still running, {number.name}')
                        _signal_group(child.process, number)
            time.sleep(0.02)
        self._children.clear()


def _environment() -> dict[str, str]:
    return dict(os.environ) | sparing_environment() | {'PYTHONUNBUFFERED': '1'}


def _signal_group(process: subprocess.Popen, number: signal.Signals) -> None:
    """Signal a process and what it started; one that has ended is left alone."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            process.poll()
