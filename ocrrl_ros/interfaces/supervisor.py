# SPDX-License-Identifier: Apache-2.0
"""Start node processes, restart what dies, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from ocrrl_ros.interfaces.graph_plan import NodePlan

_TERM_AFTER_S = 8.0
_KILL_AFTER_S = 12.0
_MAX_RESTARTS = 3
#: Threads of Mesa and BLAS that fight the loops over few cores; the operator's own values win.
_SPARING = {'LP_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
#: A process that refuses its settings would refuse them again.
_NO_RESTART_CODES = (0, 2)


@dataclasses.dataclass
class _Child:
    """A running process of the graph."""

    plan: NodePlan
    process: subprocess.Popen
    restarts: int = 0


def node_command(plan: NodePlan, namespace: str = '', params_file: str = '') -> list[str]:
    """Return the command line of one node."""
    command = [sys.executable, '-m', f'ocrrl_ros.nodes.{plan.name}_node', '--ros-args']
    if namespace:
        command += ['-r', f'__ns:=/{namespace.strip("/")}']
    for name, value in plan.parameters.items():
        command += ['-p', f'{name}:={parameter_text(value)}']
    if params_file:
        command += ['--params-file', params_file]
    return command


def parameter_text(value: Any) -> str:
    """Return a parameter value as the YAML that ROS parses on a command line."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(parameter_text(item) for item in value) + ']'
    return json.dumps(value)


class Supervisor:
    """
    Runs the planned processes until asked to stop.

    :param log: called with one line when a process starts, dies or is restarted.
    """

    def __init__(
            self, plans: list[NodePlan], log: Callable[[str], None], namespace: str = '',
            params_file: str = ''):
        """Remember the plan; nothing runs before ``start``."""
        self._plans = plans
        self._log = log
        self._namespace = namespace
        self._params_file = params_file
        self._children: list[_Child] = []

    def start(self) -> None:
        """Start every process in the order of the plan."""
        for plan in self._plans:
            self._children.append(_Child(plan, self._spawn(plan)))

    def _spawn(self, plan: NodePlan) -> subprocess.Popen:
        """Start one process in its own group, so that a Ctrl-C reaches it once, through us."""
        process = subprocess.Popen(
            node_command(plan, self._namespace, self._params_file), start_new_session=True,
            env=_SPARING | dict(os.environ) | {'PYTHONUNBUFFERED': '1'})
        self._log(f'{plan.name}: started, pid {process.pid}')
        return process

    def check(self) -> int | None:
        """
        Restart what died; return an exit code when the graph cannot go on, else None.

        A process that ended with code 2 (wrong settings) or died too often ends the graph.
        """
        for child in self._children:
            code = child.process.poll()
            if code is None:
                continue
            if code in _NO_RESTART_CODES or child.restarts >= _MAX_RESTARTS:
                self._log(f'{child.plan.name}: ended with code {code}; stopping the graph')
                return code if code > 0 else 1
            child.restarts += 1
            self._log(
                f'{child.plan.name}: died with code {code}; restart {child.restarts} of '
                f'{_MAX_RESTARTS}')
            child.process = self._spawn(child.plan)
        return None

    def stop(self) -> None:
        """Interrupt every process, last started first, and wait; insist where one hangs."""
        for child in reversed(self._children):
            _signal_group(child.process, signal.SIGINT)
        started_s = time.monotonic()
        escalation = [(_TERM_AFTER_S, signal.SIGTERM), (_KILL_AFTER_S, signal.SIGKILL)]
        while any(child.process.poll() is None for child in self._children):
            if escalation and time.monotonic() - started_s > escalation[0][0]:
                _, number = escalation.pop(0)
                for child in self._children:
                    if child.process.poll() is None:
                        self._log(f'{child.plan.name}: still running, {number.name}')
                        _signal_group(child.process, number)
            time.sleep(0.02)
        self._children.clear()

    @property
    def pids(self) -> dict[str, int]:
        """Return the process id of every node by name."""
        return {child.plan.name: child.process.pid for child in self._children}


def _signal_group(process: subprocess.Popen, number: signal.Signals) -> None:
    """Signal a process and what it started; one that has ended is left alone."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            process.poll()
