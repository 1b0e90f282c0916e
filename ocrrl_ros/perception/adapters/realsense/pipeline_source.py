# SPDX-License-Identifier: Apache-2.0
"""Frames of a running RealSense pipeline."""

from __future__ import annotations

import contextlib
from typing import Any

from ocrrl_ros.perception.adapters.realsense.connection import CameraLostError
from ocrrl_ros.perception.adapters.realsense.frames import CameraFrame, FrameReader


class PipelineSource:
    """
    Polls a started pipeline, of which the library keeps the newest set of frames.

    :param rs: the RealSense library.
    :param pipeline: started.
    :param name: name and serial number, for people.
    :param ends: whether it plays a recording that is not begun anew at its end.
    """

    def __init__(
            self, rs: Any, pipeline: Any, name: str, *, align: bool = True, ends: bool = False):
        """Take over the pipeline; ``close`` stops it."""
        self.name = name
        self._rs = rs
        self._pipeline = pipeline
        self._device = pipeline.get_active_profile().get_device()
        self._reader = FrameReader(rs, align, self._device.is_playback())
        self._ends = ends
        self._has_begun = False
        self._last: tuple[int, float] | None = None
        self.unmatched = 0
        """Sets whose colour and depth are more than half a period apart, dropped."""

    def poll(self) -> CameraFrame | None:
        """
        Return the newest frame that was not returned before, or None.

        :raises CameraLostError: the device was removed, or the library says that it failed.
        :raises InputError: what the camera sends cannot be used.
        """
        try:
            frames = self._pipeline.poll_for_frames()
            self._has_begun |= bool(frames)
            frame = self._reader.read(frames) if frames else None
            if not frames and not self._device.is_connected():
                raise CameraLostError(f'{self.name} was unplugged')
        except RuntimeError as error:
            raise CameraLostError(f'{self.name}: {error}') from error
        # A set that is late in one stream repeats an image of the other.
        if frame is None or (frame.number, frame.timestamp_s) == self._last:
            return None
        if not frame.belongs_together:
            self.unmatched += 1
            return None
        self._last = frame.number, frame.timestamp_s
        return frame

    def has_ended(self) -> bool:
        """Return whether a recording is over."""
        if not self._ends:
            return False
        status = self._device.as_playback().current_status()
        # A recording that has yet to begin is stopped, too.
        self._has_begun |= status == self._rs.playback_status.playing
        return self._has_begun and status == self._rs.playback_status.stopped

    def close(self) -> None:
        """Stop the pipeline; a device that is gone cannot be asked to."""
        with contextlib.suppress(RuntimeError):
            self._pipeline.stop()
