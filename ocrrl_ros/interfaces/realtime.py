# SPDX-License-Identifier: Apache-2.0
"""Ask for a steady loop: real-time scheduling, locked memory, no collector pauses, deadlines."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import os
import time

from ocrrl_ros.core.memory_lock import lock_memory
from ocrrl_ros.core.system_check import LIMITS_FILE, limits_lines

_PR_SET_TIMERSLACK = 29


@dataclasses.dataclass(frozen=True)
class Scheduling:
    """
    What a loop got from the system, and why not more.

    :param message: the scheduler of the thread, with what would permit SCHED_FIFO.
    :param memory: whether the memory of the process is locked, with what would permit it.
    """

    policy: str
    priority: int
    message: str
    memory: str
    is_locked: bool = False

    @property
    def is_fifo(self) -> bool:
        """Return whether the thread runs under SCHED_FIFO."""
        return self.policy == 'SCHED_FIFO'

    @property
    def hints(self) -> tuple[str, ...]:
        """Return what was asked for and refused, each with its remedy."""
        refused = ((self.is_fifo, self.message), (self.is_locked, self.memory))
        return tuple(text for is_there, text in refused if not is_there)


def enter_realtime(priority: int, *, locks_memory: bool = True) -> Scheduling:
    """
    Put the calling thread under SCHED_FIFO and lock the process's memory, where permitted.

    Children start under the normal scheduler and unlocked again. Without permission the thread
    stays where it is, with the timer slack lowered to 1 us; the messages say what would permit
    it. Memory is locked without SCHED_FIFO, too.

    :param priority: 1 to 99; 0 leaves scheduler and memory as they are on purpose.
    :param locks_memory: False leaves the memory as it is.
    """
    _lower_timer_slack()
    if priority <= 0:
        return Scheduling('SCHED_OTHER', 0, 'normal scheduler: priority 0 was asked for',
                          'not locked: priority 0 was asked for')
    memory, is_locked = _lock() if locks_memory else ('not locked: not asked for', False)
    try:
        os.sched_setscheduler(
            0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except (OSError, AttributeError) as error:
        return Scheduling(
            'SCHED_OTHER', 0, f'SCHED_FIFO {priority} is not permitted ({error}); {_remedy(0)}',
            memory, is_locked)
    return Scheduling(
        'SCHED_FIFO', priority, f'SCHED_FIFO priority {priority}', memory, is_locked)


def _lock() -> tuple[str, bool]:
    """Lock the memory; return what became of it, and whether it is locked."""
    problem = lock_memory()
    return (f'not locked ({problem}); {_remedy(1)}', False) if problem else ('locked', True)


def _remedy(line: int) -> str:
    """Return the sentence with one of the lines of limits.d."""
    return f'add the line "{limits_lines()[line]}" to {LIMITS_FILE} and log in again'


def freeze_garbage() -> None:
    """Collect once and leave what survives out of every later collection."""
    gc.collect()
    gc.freeze()


def release_garbage() -> None:
    """Let the collector see everything again, so that libraries are taken down in order."""
    gc.unfreeze()
    gc.collect()


def _lower_timer_slack() -> None:
    """Ask for wake-ups within 1 us of the time asked for (Linux; elsewhere nothing)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1000, 0, 0, 0)
    except (OSError, AttributeError):
        return


class DeadlineLoop:
    """
    Periodic loop on absolute deadlines of the monotonic clock.

    A late period is caught up by running the next ones at once. A backlog above
    ``max_backlog_s`` is given up and counted in ``lost_s``: the caller reports it.
    """

    def __init__(self, period_s: float, max_backlog_s: float = 0.1):
        """Start counting at the next ``wait``."""
        self.period_s = period_s
        self.lost_s = 0.0
        self._max_backlog_s = max_backlog_s
        self._deadline_s: float | None = None

    def wait(self) -> float:
        """Sleep until the next deadline and return the time in seconds of the monotonic clock."""
        now_s = time.monotonic()
        if self._deadline_s is None:
            self._deadline_s = now_s
        self._deadline_s += self.period_s
        behind_s = now_s - self._deadline_s
        if behind_s > self._max_backlog_s:
            self.lost_s += behind_s
            self._deadline_s = now_s
        if behind_s < 0.0:
            time.sleep(-behind_s)
            now_s = time.monotonic()
        return now_s

    def system_deadline_s(self) -> float | None:
        """
        Return the newest deadline on the system's clock, whatever its lateness now.

        None where the two clocks could not be read at one instant.
        """
        before_s = time.monotonic()
        system_s = time.time()
        after_s = time.monotonic()
        if self._deadline_s is None or after_s - before_s > 1e-3:
            return None
        return system_s - (before_s - self._deadline_s)
