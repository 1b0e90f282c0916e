# SPDX-License-Identifier: Apache-2.0
"""
One episode as one MCAP file in a rosbag2 folder, written without ROS.

Messages arrive as serialised CDR, so a reader gets them bit for bit. The folder is a normal
rosbag2 bag: ``ros2 bag info``, ``rosbags``, ``mcap`` and Foxglove read it.
"""

from __future__ import annotations

import functools
import json
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
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._types = bags.types
        self._writer = bags.writer(
            self.folder, version=_BAG_VERSION, storage_plugin=bags.storage)
        self._connections: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        try:
            self._writer.open()
        except OSError as error:
            raise DatasetError(f'cannot write {self.folder}: {error}') from error

    def write(self, topic: str, type_name: str, data: bytes, stamp_ns: int) -> None:
        """
        Append one serialised message.

        :param type_name: such as ``sensor_msgs/msg/JointState``.
        :param stamp_ns: time of reception in nanoseconds.
        """
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=self._types)
            self.counts[topic] = 0
        self._writer.write(self._connections[topic], stamp_ns, data)
        self.counts[topic] += 1

    def close(self, summary: dict[str, Any] | None = None) -> None:
        """
        Finish the bag so that readers find its index; a second call does nothing.

        :param summary: written beside the bag's files as ``episode.json``.
        """
        if self._writer is None:
            return
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
