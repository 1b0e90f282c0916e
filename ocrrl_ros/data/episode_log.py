# SPDX-License-Identifier: Apache-2.0
"""
One episode as one MCAP file in a rosbag2 folder, written without ROS.

Messages arrive as serialised CDR, so a reader gets them bit for bit. The folder is a normal
rosbag2 bag: ``ros2 bag info``, ``rosbags``, ``mcap`` and Foxglove read it.

What has been flushed is on the disk in whole chunks: after a crash every reader that goes through
an MCAP from its beginning finds it. Where the disk is full the file ends with the last whole
chunk, and with index and metadata where there is room for them.
"""

from __future__ import annotations

from collections import defaultdict
import contextlib
import functools
import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from ocrrl_ros.core.errors import DatasetError, MissingDependencyError

_BAG_VERSION = 9


class BagLibrary(NamedTuple):
    """What of rosbags is needed, imported where it is used."""

    writer: type
    storage: Any
    types: Any


@functools.lru_cache(maxsize=1)
def load_bag_library() -> BagLibrary:
    """
    Import rosbags; takes a second, so call it before the first episode.

    :raises MissingDependencyError: rosbags is not installed.
    """
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import get_typestore, Stores
    except ImportError as error:
        raise MissingDependencyError('rosbags (writes MCAP)', 'pip install rosbags') from error
    return BagLibrary(Writer, StoragePlugin.MCAP, get_typestore(Stores.ROS2_JAZZY))


class EpisodeLog:
    """
    Writes one bag folder; usable as a context manager.

    :param folder: created here; must not exist.
    :raises DatasetError: the folder exists or cannot be written.
    """

    def __init__(self, folder: Path | str):
        """Open the bag."""
        bags = load_bag_library()
        self.folder = Path(folder)
        if self.folder.exists():
            raise DatasetError(f'{self.folder} exists already; episodes are never overwritten')
        self._types = bags.types
        self._writer = bags.writer(
            self.folder, version=_BAG_VERSION, storage_plugin=bags.storage)
        self._connections: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._writer.open()
            self._safe_bytes = self._flushed()
        except OSError as error:
            raise DatasetError(f'cannot write {self.folder}: {error}') from error

    def write(self, topic: str, type_name: str, data: bytes, stamp_ns: int) -> None:
        """
        Append one serialised message.

        :param type_name: such as ``sensor_msgs/msg/JointState``.
        :param stamp_ns: time of reception in nanoseconds.
        :raises DatasetError: the disk is full; the log is closed then, with what it held before.
        """
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=self._types)
            self.counts[topic] = 0
        try:
            self._writer.write(self._connections[topic], stamp_ns, data)
        except OSError as error:
            self._give_up(error)
        self.counts[topic] += 1

    def flush(self) -> None:
        """
        Put everything so far on the disk, as a chunk that is whole.

        :raises DatasetError: the disk is full; the log is closed then, with what it held before.
        """
        try:
            self._safe_bytes = self._flushed()
        except OSError as error:
            self._give_up(error)

    def _flushed(self) -> int:
        """Write the pending chunk and return the size of the file."""
        storage = self._writer.storage
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()
        return storage.bio.tell()

    def _give_up(self, cause: OSError) -> None:
        """End the file behind its last whole chunk and say why."""
        writer, self._writer = self._writer, None
        storage = writer.storage
        with contextlib.suppress(OSError):
            # Tries to write what it holds, in vain, and closes the file whatever comes.
            storage.bio.close()
        os.truncate(storage.path, self._safe_bytes)
        text = f'{self.folder} ends early: {cause}'
        try:
            # What was cut off has left room for the index.
            storage.bio = storage.path.open('r+b')
            storage.bio.seek(self._safe_bytes)
            storage.chunk = type(storage.chunk)(2 ** 63 - 1, 0, io.BytesIO(), defaultdict(list))
            writer.close()
        except OSError:
            with contextlib.suppress(OSError):
                storage.bio.close()
            os.truncate(storage.path, self._safe_bytes)
            text += '; there was no room for its index (mcap recover makes one)'
        raise DatasetError(text) from cause

    def close(self, summary: dict[str, Any] | None = None) -> None:
        """
        Finish the bag so that readers find its index; a second call does nothing.

        :param summary: written beside the bag's files as ``episode.json``.
        """
        if self._writer is None:
            return
        self.flush()
        writer, self._writer = self._writer, None
        try:
            writer.close()
            if summary is not None:
                text = json.dumps(summary | {'messages': self.counts}, indent=2) + '\n'
                (self.folder / 'episode.json').write_text(text, encoding='utf-8')
        except OSError as error:
            raise DatasetError(f'cannot finish {self.folder}: {error}') from error

    def __enter__(self) -> EpisodeLog:
        """Return the open log."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the bag, whatever happened."""
        self.close()
