# SPDX-License-Identifier: Apache-2.0
"""The wished opening: thresholds for hands that open or close, a deadband for the others."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.robot.gripper_config import HandDriverConfig


class Wish(Protocol):
    """The newest wish, as a target opening."""

    def take(self, opening: float) -> None:
        """Take a wished opening, 0..1."""

    @property
    def target(self) -> float | None:
        """Return the wished target, None before there is one."""

    def differs(self, target: float, other: float | None) -> bool:
        """Return whether a target is worth a command where the other was the last."""


def checked_opening(opening: float) -> float:
    """
    Return an opening of 0..1.

    :raises InputError: it is not finite or outside.
    """
    if not (np.isfinite(opening) and 0.0 <= opening <= 1.0):
        raise InputError(f'wished opening is {opening}; allowed: 0 closed .. 1 open')
    return float(opening)


class BinaryWish:
    """Open or closed, with a band between both that changes nothing."""

    def __init__(self, config: HandDriverConfig):
        """Start without a wish."""
        self._close_below, self._open_above = config.close_below, config.open_above
        self._target: float | None = None

    def take(self, opening: float) -> None:
        """
        Take a wished opening, 0..1.

        :raises InputError: it is not finite or outside; the wish stays as it was.
        """
        opening = checked_opening(opening)
        if opening > self._open_above:
            self._target = 1.0
        elif opening < self._close_below:
            self._target = 0.0

    @property
    def target(self) -> float | None:
        """Return 0.0 or 1.0; None while no wish has left the band."""
        return self._target

    def differs(self, target: float, other: float | None) -> bool:
        """Return whether the targets are different."""
        return target != other


class ProportionalWish:
    """Any opening; changes within the deadband are noise."""

    def __init__(self, config: HandDriverConfig):
        """Start without a wish."""
        self._deadband = config.deadband
        self._target: float | None = None

    def take(self, opening: float) -> None:
        """
        Take a wished opening, 0..1.

        :raises InputError: it is not finite or outside; the wish stays as it was.
        """
        self._target = checked_opening(opening)

    @property
    def target(self) -> float | None:
        """Return the newest wish."""
        return self._target

    def differs(self, target: float, other: float | None) -> bool:
        """Return whether the target is beyond the deadband, or an end that is not reached."""
        if other is None:
            return True
        is_end = target in (0.0, 1.0)
        return target != other and (is_end or abs(target - other) > self._deadband)
