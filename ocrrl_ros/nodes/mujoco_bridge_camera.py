# SPDX-License-Identifier: Apache-2.0
"""The physics process's end of the camera: start the renderer, hand it states, release frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
import os
import signal
import subprocess
import sys
import time

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError, OcrrlError
from ocrrl_ros.interfaces.shared_memory import StateWriter
from ocrrl_ros.sim.bridge_config import EpisodeSelection, WorldSelection
from ocrrl_ros.sim.bridge_timing import Schedule

#: Numbers before the render state in a snapshot: stamp, seed, episode, number of the reset.
SNAPSHOT_HEAD = 4
_POLL_S = 0.0002
_END_S = 3.0


def renderer_command(
        world: WorldSelection, writer: StateWriter, slot_size: int, *, view: bool,
        every_frame: bool, ros_arguments: list[str]) -> list[str]:
    """Return the command line of the renderer process."""
    memory_fd, wake_fd = writer.descriptors
    return [
        sys.executable, '-m', 'ocrrl_ros.nodes.mujoco_bridge_renderer',
        world.task, world.domain, str(memory_fd), str(wake_fd), str(slot_size),
        str(int(view)), str(int(every_frame)), *child_ros_arguments(ros_arguments)]


def child_ros_arguments(arguments: list[str]) -> list[str]:
    """Return the ROS arguments without those that rename the node."""
    if '--ros-args' not in arguments:
        return []
    kept: list[str] = []
    for argument in arguments[arguments.index('--ros-args'):]:
        if argument.startswith(('__node:=', '__name:=')):
            kept.pop()  # the -r before it
        else:
            kept.append(argument)
    return kept


def require_display() -> None:
    """
    Refuse the viewer where there is no display.

    :raises ConfigError: neither X nor Wayland is there.
    """
    if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        raise ConfigError(
            'view is true, but neither DISPLAY nor WAYLAND_DISPLAY is set; start from a '
            'desktop session or set view to false')


class CameraLink:
    """
    Frames on their way: a state goes out at exposure, the image is released a delay later.

    :param delay_s: the domain's time from exposure to image in software.
    """

    def __init__(
            self, world: WorldSelection, *, state_size: int, rate_hz: float, delay_s: float,
            step_s: float, view: bool, every_frame: bool, ros_arguments: list[str]):
        """Start the renderer process; ``wait_ready`` waits for it."""
        size = SNAPSHOT_HEAD + state_size
        self._writer = StateWriter(size)
        self._snapshot = np.zeros(size)
        self._schedule = Schedule(rate_hz, step_s)
        self._delay_s = delay_s
        self._pending: deque[tuple[float, int]] = deque()
        self._resets = self._released = 0
        command = renderer_command(
            world, self._writer, size, view=view, every_frame=every_frame,
            ros_arguments=ros_arguments)
        # Ctrl-C reaches the whole terminal group; the renderer ends when its pipe does.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                command, pass_fds=self._writer.descriptors, stdin=subprocess.DEVNULL)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        self._writer.close_reader_end()

    def wait_ready(self, timeout_s: float, keep_going: Callable[[], bool]) -> None:
        """
        Wait until the renderer can work.

        :raises OcrrlError: it ended, or took longer than ``timeout_s``.
        """
        end_s = time.monotonic() + timeout_s
        while keep_going() and not self._writer.is_reader_ready:
            self.check_alive()
            if time.monotonic() > end_s:
                raise OcrrlError(f'the renderer did not start within {timeout_s} s')
            time.sleep(0.02)

    def check_alive(self) -> None:
        """
        Raise when the renderer has ended.

        :raises OcrrlError: with its exit code; its own message is on the console.
        """
        code = self._process.poll()
        if code is not None:
            raise OcrrlError(f'the renderer process has ended with exit code {code}')

    def on_reset(self) -> None:
        """Begin a new episode: the sensor's random stream starts again."""
        self._resets += 1

    def capture(
            self, step: int, physics_s: float, stamp_s: float, episode: EpisodeSelection,
            render_state: Callable[[], np.ndarray]) -> None:
        """Expose when a frame is due."""
        if not self._schedule.is_due(step):
            return
        self._snapshot[:SNAPSHOT_HEAD] = (
            stamp_s, episode.seed, episode.episode, self._resets)
        self._snapshot[SNAPSHOT_HEAD:] = render_state()
        with self._naming_the_dead():
            number = self._writer.write(self._snapshot)
        self._pending.append((physics_s + self._delay_s, number))

    def release(self, physics_s: float) -> None:
        """Let the images go whose delay is over."""
        while self._pending and self._pending[0][0] <= physics_s + 1e-9:
            self._released = self._pending.popleft()[1]
            with self._naming_the_dead():
                self._writer.release(self._released)

    def wait_published(self, keep_going: Callable[[], bool]) -> None:
        """Wait until every released image is out (lockstep)."""
        while self._writer.finished < self._released and keep_going():
            self.check_alive()
            time.sleep(_POLL_S)

    @contextmanager
    def _naming_the_dead(self) -> Iterator[None]:
        """Say with which code the renderer ended where only its absence is noticed."""
        try:
            yield
        except InputError:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            self.check_alive()
            raise

    def close(self) -> None:
        """End the renderer: it leaves when its pipe closes; while it starts it is killed."""
        patience_s = _END_S if self._writer.is_reader_ready else 0.0
        self._writer.close()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
