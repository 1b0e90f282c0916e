# SPDX-License-Identifier: Apache-2.0
"""Where a camera on the hand was when it took a picture."""

from __future__ import annotations

import collections

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError

# Longest time between poses of the hand that is bridged; the arm is followed at 100 Hz or more.
MAX_GAP_S = 0.03
_HISTORY = 500


class WristCamera:
    """
    Follows the hand and answers for instants that lie between its poses.

    :param tcp_T_camera: (7,) calibrated pose of the colour optical frame in the TCP's.
    """

    def __init__(self, tcp_T_camera: np.ndarray, max_gap_s: float = MAX_GAP_S):
        """Start without any pose."""
        if not max_gap_s > 0.0:
            raise ConfigError(f'max_gap_s is {max_gap_s} s; allowed: > 0')
        self._tcp_T_camera = se3.check_pose(tcp_T_camera, 'tcp_T_camera')
        self._max_gap_s = max_gap_s
        self._stamps: collections.deque[float] = collections.deque(maxlen=_HISTORY)
        self._poses: collections.deque[np.ndarray] = collections.deque(maxlen=_HISTORY)

    def add(self, stamp_s: float, base_T_tcp: np.ndarray) -> None:
        """Take the TCP's pose (7,) at an instant; a clock that runs back starts anew."""
        if self._stamps and stamp_s < self._stamps[-1]:
            self._stamps.clear()
            self._poses.clear()
        self._stamps.append(stamp_s)
        self._poses.append(np.asarray(base_T_tcp, float))

    def pose_at(self, stamp_s: float) -> np.ndarray | None:
        """
        Return base_T_camera (7,) at an instant.

        :return: None where no poses around it are known, or none near enough: yet, or for good.
        """
        after = int(np.searchsorted(self._stamps, stamp_s))
        if after == len(self._stamps):
            return None
        if self._stamps[after] == stamp_s:
            return se3.pose_multiply(self._poses[after], self._tcp_T_camera)
        if after == 0:
            return None
        begin_s, end_s = self._stamps[after - 1], self._stamps[after]
        if end_s - begin_s > self._max_gap_s:
            return None
        between = se3.pose_interpolate(
            self._poses[after - 1], self._poses[after], (stamp_s - begin_s) / (end_s - begin_s))
        return se3.pose_multiply(between, self._tcp_T_camera)
