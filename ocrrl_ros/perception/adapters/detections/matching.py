# SPDX-License-Identifier: Apache-2.0
"""
Bring detections and the images that they were made of together.

A detection comes when its image is long past, so images wait for it; and it may be taken sooner
than its image, which comes another way. Both wait for a bounded time.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.perception.adapters.detections.config import DetectionsConfig
from ocrrl_ros.perception.detected_pose import DetectedPose
from ocrrl_ros.perception.frame import RgbdFrame

Matched = tuple[RgbdFrame, Mapping[str, DetectedPose]]
#: As long as one image says nothing about their rate.
_UNKNOWN_RATE_S = 0.005
#: Whatever the stamps say, no more images and no more detections of an object are kept.
_MOST_FRAMES, _MOST_WAITING = 120, 10


class DetectionMatcher:
    """
    Images and detections that wait for each other.

    :param object_ids: the objects that are tracked.
    """

    def __init__(self, object_ids: Sequence[str], config: DetectionsConfig):
        """Start with nothing."""
        self._config, self._ids = config, tuple(object_ids)
        self._forget()

    def _forget(self) -> None:
        """Forget what waits; a clock that runs back starts anew."""
        self._frames: list[RgbdFrame] = []
        self._waiting: dict[str, list[tuple[float, DetectedPose, str]]] = {
            name: [] for name in self._ids}
        # Of each object, the stamp of the last image that was matched; at first, of the first.
        self._matched_s: dict[str, float] = {}
        self._seen: set[str] = set()

    @property
    def has_frames(self) -> bool:
        """Whether any image is there."""
        return bool(self._frames)

    def add_frame(self, frame: RgbdFrame) -> None:
        """Keep an image; those that are older than the settings allow are dropped."""
        if self._frames and frame.stamp_s < self._frames[-1].stamp_s:
            self._forget()
        if self._frames and frame.stamp_s == self._frames[-1].stamp_s:
            return
        self._frames.append(frame)
        oldest_s = frame.stamp_s - self._config.history_s
        self._frames = [
            kept for kept in self._frames[-_MOST_FRAMES:] if kept.stamp_s >= oldest_s]
        for name in self._ids:
            self._matched_s.setdefault(name, frame.stamp_s)

    def add_pose(self, object_id: str, stamp_s: float, pose: DetectedPose, source: str) -> None:
        """
        Keep a detection until its image is there.

        :param source: topic that it came on, for messages.
        :raises InputError: its image is not kept, or no longer, or it is not newer than the last.
        """
        if not self._frames:
            raise InputError(f'{source}: detections arrive, but no images')
        newest_s = self._frames[-1].stamp_s
        if stamp_s > newest_s + self._config.history_s:
            raise InputError(
                f'{source}: detection of {object_id} is stamped {stamp_s - newest_s:.3f} s after '
                f'the newest image; allowed: {self._config.history_s} s; do the clocks agree?')
        if stamp_s < self._frames[0].stamp_s - self._tolerance_s():
            raise InputError(
                f'{source}: detection of {object_id} is {newest_s - stamp_s:.3f} s older than the '
                f'newest image and its own image is not kept; detections.history_s is '
                f'{self._config.history_s} s; do the clocks agree?')
        last_s = self._matched_s[object_id]
        if object_id in self._seen and stamp_s < last_s + self._tolerance_s():
            raise InputError(
                f'{source}: detection of {object_id} is not newer than the last one, by '
                f'{last_s - stamp_s:.3f} s; do two programs publish it?')
        waiting = self._waiting[object_id]
        bisect.insort(waiting, (stamp_s, pose, source), key=lambda item: item[0])
        del waiting[:-_MOST_WAITING]

    def take(self) -> tuple[list[Matched], list[str]]:
        """
        Return images with the detections made of them, oldest first, and what has no image.

        :return: matches, each once, and a text for each detection that is given up.
        """
        found: dict[int, dict[str, DetectedPose]] = {}
        problems: list[str] = []
        for name in self._ids:
            for index, pose in self._take_object(name, problems):
                found.setdefault(index, {})[name] = pose
        return [(self._frames[index], found[index]) for index in sorted(found)], problems

    def _take_object(
            self, name: str, problems: list[str]) -> list[tuple[int, DetectedPose]]:
        """Return places of images and an object's poses in them; keep those that may still be."""
        found, keep = [], []
        for stamp_s, pose, source in self._waiting[name]:
            index = self._nearest(stamp_s)
            if index is not None:
                found.append((index, pose))
                self._matched_s[name] = self._frames[index].stamp_s
                self._seen.add(name)
            elif stamp_s > self._frames[-1].stamp_s:
                keep.append((stamp_s, pose, source))
            else:
                problems.append(
                    f'{source}: no image has the stamp of a detection of {name}, within '
                    f'{self._tolerance_s():.4f} s, half the time between images; is it made of '
                    'the images of this camera?')
        self._waiting[name] = keep
        return found

    def silent(self) -> dict[str, float | None]:
        """
        Return the objects that had no detection for too long while images came.

        :return: seconds since the image of the last one by object id, None where none ever came.
        """
        if not self._frames:
            return {}
        newest_s = self._frames[-1].stamp_s
        return {
            name: newest_s - since_s if name in self._seen else None
            for name, since_s in self._matched_s.items()
            if newest_s - since_s > self._config.max_wait_s}

    def _nearest(self, stamp_s: float) -> int | None:
        """Return the place of the image of a stamp, None where there is none."""
        away_s = np.abs(np.array([frame.stamp_s for frame in self._frames]) - stamp_s)
        index = int(np.argmin(away_s))
        return index if away_s[index] <= self._tolerance_s() else None

    def _tolerance_s(self) -> float:
        """Return half the least time between two images: some of them may be missing."""
        if len(self._frames) < 2:
            return _UNKNOWN_RATE_S
        return 0.5 * float(np.diff([frame.stamp_s for frame in self._frames]).min())
