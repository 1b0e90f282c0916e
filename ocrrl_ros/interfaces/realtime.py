# SPDX-License-Identifier: Apache-2.0
"""Ask for a steady loop: real-time scheduling, locked memory, no collector pauses, deadlines."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import os
from pathlib import Path
import time

from ocrrl_ros.core.memory_lock import lock_memory
from ocrrl_ros.core.system_check import LIMITS_FILE, limits_lines

_PR_SET_TIMERSLACK = 29
#: What Fast DDS calls its threads.
_MIDDLEWARE_PREFIX = 'dds.'


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

    The threads that the middleware has in this process follow, one priority lower: they hold the
    locks that a publication or a take waits for, and under the normal scheduler any busy program
    makes them hold those for milliseconds (docs/notes/realtime.md).

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
    _raise_middleware(max(priority - 1, 1))
    return Scheduling(
        'SCHED_FIFO', priority, f'SCHED_FIFO priority {priority}', memory, is_locked)


def middleware_threads(tasks: Path = Path('/proc/self/task')) -> list[int]:
    """Return the thread ids of the middleware in this process; Linux and Fast DDS alone."""
    found = []
    for task in tasks.glob('*'):
        try:
            name = (task / 'comm').read_text()
        except OSError:
            # It has ended meanwhile.
            continue
        if name.startswith(_MIDDLEWARE_PREFIX):
            found.append(int(task.name))
    return sorted(found)


def _raise_middleware(priority: int) -> None:
    """Put the middleware's threads under SCHED_FIFO, where they still run."""
    for thread in middleware_threads():
        with contextlib.suppress(OSError):
            os.sched_setscheduler(
                thread, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))


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

    A late period is caught up by running the next ones at once, or, with ``skips``, deadlines that
    have passed meanwhile are left out and counted in ``skipped``. A backlog above
    ``max_backlog_s`` is given up in either case and counted in ``lost_s``: the caller reports it.

    :param skips: for work that goes by the time and gains nothing by being done twice at once,
        such as a command; not for work that every period has to have its own of, such as physics.
    """

    def __init__(self, period_s: float, max_backlog_s: float = 0.1, *, skips: bool = False):
        """Start counting at the next ``wait``."""
        self.period_s = period_s
        self.lost_s = 0.0
        self.skipped = 0
        self._skips = skips
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
        elif self._skips and behind_s >= self.period_s:
            passed = int(behind_s / self.period_s)
            self.skipped += passed
            self._deadline_s += passed * self.period_s
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
