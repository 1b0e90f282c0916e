# SPDX-License-Identifier: Apache-2.0
"""Start real node processes on an isolated domain and talk to them from a test."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
import ctypes
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from ocrrl_ros.interfaces.lockstep import LockstepClient
from ocrrl_ros.interfaces.polling import PolledClient, PolledServices, PolledSubscription
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.parameter import Parameter

_PR_SET_PDEATHSIG = 1
# Far above what a loaded machine needs: the first tracker of a checkout compiles for a minute.
WALL_LIMIT_S = 180.0


class NodeProcess:
    """
    One executable in its own process, its output in a file.

    :param module: Python module of the node, such as ``ocrrl_ros.nodes.mujoco_bridge_node``.
    :param parameters: dotted parameter names and their values.
    :param arguments: words before the ROS arguments.
    """

    def __init__(
            self, module: str, log: Path, parameters: dict[str, object] | None = None,
            ros_arguments: tuple[str, ...] = (), arguments: tuple[str, ...] = ()):
        """Start the process in its own group, as a terminal would."""
        command = [sys.executable, '-m', module, *arguments, '--ros-args', *ros_arguments]
        for name, value in (parameters or {}).items():
            command += ['-p', f'{name}:={to_yaml(value)}']
        self.log_path = log
        with open(log, 'w', encoding='utf-8') as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True, preexec_fn=die_with_parent)

    @property
    def log(self) -> str:
        """Return what the process has printed so far."""
        return self.log_path.read_text(encoding='utf-8')

    def wait(self, timeout_s: float = WALL_LIMIT_S) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(timeout_s)

    def interrupt(self) -> None:
        """Press Ctrl-C: the whole group gets SIGINT."""
        os.killpg(self.process.pid, signal.SIGINT)

    def stop(self, timeout_s: float = WALL_LIMIT_S) -> int:
        """Press Ctrl-C and return the exit code; kill the group if that is not enough."""
        if self.process.poll() is None:
            self.interrupt()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


def die_with_parent() -> None:
    """Ask the kernel to end this process with pytest, however that ends (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def to_yaml(value: object) -> str:
    """Return a parameter value as the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(to_yaml(item) for item in value) + ']'
    # Quoted, so that colons and empty strings stay text.
    return json.dumps(value)


def processes_of_group(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text(encoding='utf-8').rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != 'Z':
            found.append(int(stat.parent.name))
    return found


class Probe:
    """
    The test's own node; in lockstep it is a participant named ``probe``.

    Everything is polled: nothing happens behind the test's back.
    """

    def __init__(self, namespace: str = ''):
        """Create the node in the default context."""
        self.node = rclpy.create_node('probe', namespace=namespace)
        self._heard: dict[str, tuple[PolledSubscription, list]] = {}
        self._clock = LockstepClient(self.node)
        self._services = PolledServices(self.node)
        self._publishers: dict[str, object] = {}
        self._clients: dict[str, object] = {}
        self.clock_s = -1.0

    def listen(self, kind: type, name: str, qos: object) -> list:
        """Return the list to which every message of the topic is appended."""
        messages: list = []
        self._heard[name] = (PolledSubscription(self.node, kind, name, qos), messages)
        return messages

    def publish(self, name: str, message: object, qos: object) -> None:
        """Publish once the topic has a subscriber."""
        if name not in self._publishers:
            self._publishers[name] = self.node.create_publisher(type(message), name, qos)
        publisher = self._publishers[name]
        self.until(lambda: publisher.get_subscription_count() > 0)
        publisher.publish(message)

    def release(self, name: str) -> None:
        """Take a publisher off its topic again."""
        self.node.destroy_publisher(self._publishers.pop(name))

    def poll(self) -> None:
        """Take what has arrived."""
        for subscription, messages in self._heard.values():
            messages.extend(subscription.take_all())
        self._services.serve_one()

    def until(
            self, predicate: Callable[[], object], timeout_s: float = WALL_LIMIT_S,
            what: str = 'condition') -> object:
        """Poll until the predicate holds, in wall time, and return its value."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            self.poll()
            value = predicate()
            if value:
                return value
            time.sleep(0.0003)
        raise AssertionError(f'{what} did not come true within {timeout_s} s')

    def tick(self, seconds: float = 0.001) -> None:
        """Let simulated time advance by at least ``seconds``, answering every clock."""
        if self.clock_s < 0.0:
            self.clock_s = self.until(self._clock.take, what='a first clock')
        goal_s = self.clock_s + seconds - 1e-6
        while self.clock_s < goal_s:
            self._clock.done(self.clock_s)
            # What the tick published lies in the queues before the clock of the next.
            self.clock_s = self.until(self._next_clock, what=f'a clock after {self.clock_s}')
            self.poll()

    def _next_clock(self) -> float | None:
        """Return a clock that is newer than the last one."""
        clock_s = self._clock.take()
        assert clock_s is None or clock_s > self.clock_s - 1e-6, 'simulated time went back'
        return clock_s if clock_s is not None and clock_s > self.clock_s + 1e-6 else None

    def tick_until(
            self, predicate: Callable[[], object], limit_s: float = 5.0,
            what: str = 'condition') -> object:
        """Advance simulated time until the predicate holds and return its value."""
        end_s = self.clock_s + limit_s
        while self.clock_s < end_s:
            value = predicate()
            if value:
                return value
            self.tick()
        raise AssertionError(f'{what} did not come true within {limit_s} s of simulated time')

    def call(
            self, kind: type, name: str, request: object = None, *,
            ticking: bool = False) -> object:
        """Call a service and return the response; ``ticking`` keeps lockstep going."""
        if name not in self._clients:
            self._clients[name] = PolledClient(self.node, kind, name)
        client = self._clients[name]
        self.until(client.is_ready, what=f'service {name}')
        client.send(request)

        def answer() -> object:
            response = client.take()
            if response is None and ticking:
                self.tick()
            return response

        return self.until(answer, what=f'answer of {name}')

    def set_parameters(self, node_name: str, **values: object) -> None:
        """Set parameters of another node; ``sim__seed`` stands for ``sim.seed``."""
        request = SetParameters.Request(parameters=[
            Parameter(name.replace('__', '.'), value=value).to_parameter_msg()
            for name, value in values.items()])
        response = self.call(
            SetParameters, f'{node_name}/set_parameters', request, ticking=self.clock_s >= 0.0)
        assert all(result.successful for result in response.results), response

    def close(self) -> None:
        """Destroy the node."""
        self.node.destroy_node()


@contextmanager
def running(*processes: NodeProcess):
    """Stop the processes at the end, whatever happened."""
    try:
        yield processes[0] if len(processes) == 1 else processes
    finally:
        for process in processes:
            process.stop()
