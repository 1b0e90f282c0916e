# SPDX-License-Identifier: Apache-2.0
"""Play between the drive of a hand and its fingers: what is commanded and read is not what is."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.robot import fr3


class GripperPlay:
    """
    Play (backlash) of a hand whose encoder sits on the drive.

    The fingers stay where they are until the drive has crossed the play, and then trail it by
    half of it: a hand that opens stops short of the commanded width, one that closes too, and
    after each change of direction the fingers start late. The encoder tells the drive's width.
    Without play the fingers are where the drive is, to the last bit.
    """

    def __init__(self, backlash_m: float):
        """
        Start without an offset.

        :param backlash_m: play of the width between the fingers, from one side to the other.
        """
        # A finger moves half as far as the width changes; the band lies on both sides.
        self._half_band_m = 0.25 * backlash_m
        self._finger_m = 0.0
        self._drive_m = 0.0

    def reset(self, finger_m: float) -> None:
        """Put drive and fingers at one position, in the middle of the play."""
        self._finger_m = self._drive_m = finger_m

    def follow(self, drive_m: float) -> float:
        """
        Move the drive and return where it pushes the fingers to.

        :param drive_m: position of the drive as that of one finger, m.
        :return: finger position, m, within the fingers' travel.
        """
        self._drive_m = drive_m
        finger = np.clip(
            self._finger_m, drive_m - self._half_band_m, drive_m + self._half_band_m)
        self._finger_m = float(np.clip(finger, 0.0, 0.5 * fr3.MAX_WIDTH_M))
        return self._finger_m

    @property
    def offset_m(self) -> float:
        """Return by how much the encoder's finger position differs from the finger's, m."""
        return self._drive_m - self._finger_m
