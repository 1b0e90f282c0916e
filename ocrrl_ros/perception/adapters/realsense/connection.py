# SPDX-License-Identifier: Apache-2.0
"""Keep a camera open: notice that it is lost, look for it again, say what happened."""

from __future__ import annotations

from collections.abc import Callable
import enum
from typing import Protocol

from ocrrl_ros.core.errors import ConfigError, InputError, OcrrlError
from ocrrl_ros.perception.adapters.realsense.config import RealsenseConfig
from ocrrl_ros.perception.adapters.realsense.frames import CameraFrame


class CameraLostError(OcrrlError):
    """The camera cannot be reached, now; it may be later."""


class FrameSource(Protocol):
    """An open camera or recording."""

    name: str
    """Name and serial number, for people."""
    unmatched: int
    """Sets that were dropped, as colour and depth were of different instants."""

    def poll(self) -> CameraFrame | None:
        """
        Return the newest frame that was not returned before, or None.

        :raises CameraLostError: the camera is gone.
        :raises InputError: what it sends cannot be used.
        """

    def has_ended(self) -> bool:
        """Return whether no frame will ever come: the end of a recording."""

    def close(self) -> None:
        """Stop it; nothing is raised."""


class CameraState(enum.Enum):
    """What the camera is doing."""

    SEARCHING = 'searching'
    OPEN = 'open'
    STREAMING = 'streaming'
    LOST = 'lost'
    ENDED = 'ended'

    @property
    def is_fine(self) -> bool:
        """Return whether frames come, or a recording is over as it must be."""
        return self in (CameraState.STREAMING, CameraState.ENDED)


class CameraConnection:
    """
    Opens the camera, hands over its frames, and opens it again after it was lost.

    Times are seconds on any one clock of the caller's.

    :param open_source: opens the camera; raises ``CameraLostError`` where it is not there.
    """

    def __init__(self, open_source: Callable[[], FrameSource], config: RealsenseConfig):
        """Open at the first step."""
        self._open_source = open_source
        self._config = config
        self._source: FrameSource | None = None
        self._has_streamed = False
        self._since_s = -float('inf')
        self._changes: list[tuple[CameraState, str]] = []
        self._told: tuple[CameraState, str] | None = None
        self.state = CameraState.SEARCHING
        self.reason = 'not opened yet'
        self.losses = 0
        """How often a camera that streamed was lost."""

    @property
    def unmatched(self) -> int:
        """Return how many sets of the open source were no colour and depth of one instant."""
        return 0 if self._source is None else self._source.unmatched

    def take_changes(self) -> list[tuple[CameraState, str]]:
        """Return each change of state or of its reason since the last call, once."""
        changes, self._changes = self._changes, []
        return changes

    def step(self, now_s: float) -> CameraFrame | None:
        """
        Return a frame if there is one; open, close and open again as it takes.

        Opening takes as long as the camera needs, a second or two.

        :raises ConfigError: the settings do not fit the camera, before it has ever streamed.
        """
        if self.state is CameraState.ENDED:
            return None
        if now_s < self._since_s:
            self._since_s = now_s  # the clock was set back: nothing waits for hours
        if self._source is None:
            self._try_to_open(now_s)
        return None if self._source is None else self._poll(now_s)

    def close(self) -> None:
        """Close the camera for good."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _try_to_open(self, now_s: float) -> None:
        """Open when an attempt is due."""
        if now_s - self._since_s < self._config.reconnect_period_s:
            return
        self._since_s = now_s
        try:
            self._source = self._open_source()
        except (CameraLostError, InputError) as error:
            self._set(self._lost_state(), str(error))
        except ConfigError as error:
            # What has worked may work again, say on the port that the camera was in before.
            if not self._has_streamed:
                raise
            self._set(CameraState.LOST, str(error))
        else:
            # The reason of a loss stands until frames come.
            self.state = CameraState.OPEN

    def _poll(self, now_s: float) -> CameraFrame | None:
        """Take a frame, or notice that none comes."""
        try:
            frame = self._source.poll()
            ended = frame is None and self._source.has_ended()
        except (CameraLostError, InputError) as error:
            self._lose(now_s, str(error))
            return None
        if frame is not None:
            self._has_streamed = True
            self._since_s = now_s
            self._set(CameraState.STREAMING, self._source.name)
        elif ended:
            self._set(CameraState.ENDED, f'the recording is over: {self._source.name}')
            self.close()
        else:
            self._check_silence(now_s)
        return frame

    def _check_silence(self, now_s: float) -> None:
        """Lose a camera that is open and sends nothing."""
        streaming = self.state is CameraState.STREAMING
        limit_s = self._config.max_silence_s if streaming else self._config.first_frame_s
        if now_s - self._since_s > limit_s:
            self._lose(now_s, f'no frame of colour and depth for {limit_s:g} s')

    def _lose(self, now_s: float, reason: str) -> None:
        """Close, and try again after a pause."""
        self.losses += self.state is CameraState.STREAMING
        self._set(self._lost_state(), reason)
        self.close()
        self._since_s = now_s

    def _lost_state(self) -> CameraState:
        """Return the state without a camera: what was never there is not lost."""
        return CameraState.LOST if self._has_streamed else CameraState.SEARCHING

    def _set(self, state: CameraState, reason: str) -> None:
        """Note the state, as a change where it is one that was not told."""
        if (state, reason) != self._told:
            self._told = (state, reason)
            self._changes.append((state, reason))
        self.state, self.reason = state, reason
