# SPDX-License-Identifier: Apache-2.0
"""
Hand arrays from one process to another without a lock or a file.

The memory is anonymous (``memfd``): it has no name that could be left behind, and the kernel
frees it with the last process, however that ends. A pipe wakes the reader, whose end-of-file
tells it that the writer is gone.
"""

from __future__ import annotations

import mmap
import os
import select

import numpy as np
from ocrrl_ros.core.errors import InputError

_HEADER = 64
# Places in the header.
_WRITTEN, _FINISHED, _RELEASED, _READY = range(4)


class _Region:
    """The mapped memory: a header of eight int64 and two slots of float64."""

    def __init__(self, descriptor: int, slot_size: int):
        """Map the memory."""
        self._map = mmap.mmap(descriptor, region_bytes(slot_size))
        self.header = np.frombuffer(self._map, np.int64, 8)
        self.slots = np.frombuffer(
            self._map, np.float64, 2 * slot_size, _HEADER).reshape(2, slot_size)


def region_bytes(slot_size: int) -> int:
    """Return the size in bytes of the memory for slots of ``slot_size`` numbers."""
    return _HEADER + 2 * slot_size * 8


class StateWriter:
    """
    The producer: writes snapshots into two slots in turn.

    :param slot_size: numbers per snapshot.
    """

    def __init__(self, slot_size: int):
        """Create the memory and the two pipes (wake, acknowledge)."""
        self.memory_fd = os.memfd_create('ocrrl_state', os.MFD_CLOEXEC)
        os.ftruncate(self.memory_fd, region_bytes(slot_size))
        self._region = _Region(self.memory_fd, slot_size)
        self.wake_read_fd, self._wake_write_fd = os.pipe()
        os.set_blocking(self._wake_write_fd, False)
        self._count = 0

    @property
    def descriptors(self) -> tuple[int, int]:
        """Return the descriptors that the reader process inherits: memory and wake pipe."""
        return self.memory_fd, self.wake_read_fd

    @property
    def is_reader_ready(self) -> bool:
        """Return whether the reader has said that it can work."""
        return bool(self._region.header[_READY])

    @property
    def written(self) -> int:
        """Return how many snapshots were written."""
        return self._count

    @property
    def finished(self) -> int:
        """Return the newest snapshot that the reader has dealt with."""
        return int(self._region.header[_FINISHED])

    def write(self, snapshot: np.ndarray) -> int:
        """Copy a snapshot (slot_size,), wake the reader, and return its number from 1."""
        self._count += 1
        self._region.slots[self._count % 2] = snapshot
        # The number is published after the data (x86 and the interpreter keep that order).
        self._region.header[_WRITTEN] = self._count
        self._wake()
        return self._count

    def release(self, number: int) -> None:
        """Permit the reader to pass on its result for snapshots up to this number."""
        self._region.header[_RELEASED] = number
        self._wake()

    def _wake(self) -> None:
        """Wake the reader."""
        try:
            os.write(self._wake_write_fd, b'.')
        except BlockingIOError:
            pass  # The reader is far behind and will find the newest number anyway.
        except BrokenPipeError as error:
            raise InputError('the reader of the shared state has ended') from error

    def close_reader_end(self) -> None:
        """Close the inherited end here, so that the reader's death is noticed."""
        os.close(self.wake_read_fd)

    def close(self) -> None:
        """Close the wake pipe: the reader sees the end and leaves."""
        os.close(self._wake_write_fd)
        os.close(self.memory_fd)


class StateReader:
    """The consumer in the other process."""

    def __init__(self, memory_fd: int, wake_fd: int, slot_size: int):
        """Map the inherited memory."""
        self._region = _Region(memory_fd, slot_size)
        self._wake_fd = wake_fd
        self._seen = 0
        self.skipped = 0

    def wait(self, timeout_s: float) -> np.ndarray | None:
        """
        Return a copy of the newest snapshot that was not seen yet, or None after the time-out.

        :raises EOFError: the writer has gone.
        """
        if int(self._region.header[_WRITTEN]) == self._seen:
            self._listen(timeout_s)
        while True:
            number = int(self._region.header[_WRITTEN])
            if number == self._seen:
                return None
            snapshot = self._region.slots[number % 2].copy()
            # Both slots are rewritten only after the number has moved on.
            if int(self._region.header[_WRITTEN]) == number:
                break
        self.skipped += number - self._seen - 1
        self._seen = number
        return snapshot

    def wait_released(self, timeout_s: float) -> bool:
        """
        Return whether the result for the snapshot returned last may be passed on.

        :raises EOFError: the writer has gone.
        """
        if not self._is_released():
            self._listen(timeout_s)
        return self._is_released()

    def ready(self) -> None:
        """Tell the writer that this process can work."""
        self._region.header[_READY] = 1

    def finish(self) -> None:
        """Tell the writer that the snapshot returned last is dealt with."""
        self._region.header[_FINISHED] = self._seen

    def _is_released(self) -> bool:
        """Return whether the writer has released the snapshot seen last."""
        return int(self._region.header[_RELEASED]) >= self._seen

    def _listen(self, timeout_s: float) -> None:
        """Sleep until the writer wakes this process, or the time is over."""
        ready, _, _ = select.select([self._wake_fd], [], [], timeout_s)
        if ready and not os.read(self._wake_fd, 4096):
            raise EOFError('the writer of the shared state has ended')
