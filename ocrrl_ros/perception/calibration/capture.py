# SPDX-License-Identifier: Apache-2.0
"""When to take the next picture of a board, and what to tell whoever moves the arm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.calibration.board import BoardView
from ocrrl_ros.perception.calibration.quality import tilt_spread_deg


@dataclass(frozen=True, kw_only=True)
class CaptureConfig:
    """Settings of taking pictures; nobody has to press a key, both hands are on the arm."""

    samples: int = field(default=15, metadata={'description': 'pictures to take'})
    settle_s: float = field(default=0.8, metadata={
        'description': 'time that the arm stands still before a picture counts, s'})
    still_rad: float = field(default=0.002, metadata={
        'description': 'motion of any joint that is taken for standing still, rad'})
    min_move_m: float = field(default=0.03, metadata={
        'description': 'distance of the TCP from all pictures so far, m, or ...'})
    min_turn_deg: float = field(default=8.0, metadata={
        'description': '... its turn away from them, deg'})
    min_points_share: float = field(default=0.5, metadata={
        'description': "share of the board's points that a picture must show, 0 .. 1"})
    good_tilt_deg: float = field(default=9.0, metadata={
        'description': 'spread of the turns about two axes that the advice aims at, deg'})

    def __post_init__(self) -> None:
        """Refuse settings without meaning."""
        if not 4 <= self.samples <= 500:
            raise ConfigError(f'samples is {self.samples}; allowed: 4 .. 500')
        for name in ('settle_s', 'still_rad', 'min_move_m', 'min_turn_deg', 'good_tilt_deg'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        if not 0.0 < self.min_points_share <= 1.0:
            raise ConfigError(
                f'min_points_share is {self.min_points_share}; allowed: above 0, up to 1')


@dataclass(frozen=True, kw_only=True)
class Advice:
    """
    What to do with a picture.

    :param take: whether it counts.
    :param text: what to tell the operator.
    """

    take: bool
    text: str


class CaptureGuide:
    """
    Follows the arm and decides about pictures.

    :param point_count: points of the whole board.
    :param poses: (7,) poses of the TCP in the pictures that there are already.
    """

    def __init__(
            self, config: CaptureConfig, point_count: int, poses: list[np.ndarray] | None = None):
        """Start with the pictures of an earlier session."""
        self._config = config
        self._point_count = point_count
        self._poses = list(poses or ())
        self._still_q: np.ndarray | None = None
        self._still_since_s = 0.0

    @property
    def taken(self) -> int:
        """Return how many pictures there are."""
        return len(self._poses)

    @property
    def is_done(self) -> bool:
        """Return whether there are enough."""
        return self.taken >= self._config.samples

    def follow(self, stamp_s: float, q: np.ndarray) -> None:
        """Take joint positions (7,) in rad; time running back starts the wait anew."""
        moved = self._still_q is None or np.abs(q - self._still_q).max() > self._config.still_rad
        if moved or stamp_s < self._still_since_s:
            self._still_q, self._still_since_s = np.array(q, float), stamp_s

    def judge(self, stamp_s: float, view: BoardView | None, base_T_tcp: np.ndarray) -> Advice:
        """Decide about the picture of an instant, on the clock of the joint positions."""
        if self._still_q is None:
            return Advice(take=False, text='no joint positions yet')
        seen = 0 if view is None else len(view.points)
        if seen < self._config.min_points_share * self._point_count:
            return Advice(take=False, text=(
                f'{seen} of {self._point_count} points of the board are seen; bring all of it '
                'into the picture'))
        if not self._is_new(base_T_tcp):
            return Advice(take=False, text=self.next_step())
        if stamp_s - self._still_since_s < self._config.settle_s:
            return Advice(take=False, text='hold still')
        return Advice(take=True, text='taken')

    def note(self, base_T_tcp: np.ndarray) -> None:
        """Remember that a picture was taken at a pose (7,)."""
        self._poses.append(np.asarray(base_T_tcp, float))

    def _is_new(self, base_T_tcp: np.ndarray) -> bool:
        """Return whether no picture was taken nearby."""
        if not self._poses:
            return True
        poses = np.array(self._poses)
        distance_m = np.linalg.norm(poses[:, :3] - base_T_tcp[:3], axis=1)
        turn_rad = se3.quat_angle(poses[:, 3:], base_T_tcp[3:])
        near = (distance_m < self._config.min_move_m) & (
            turn_rad < np.radians(self._config.min_turn_deg))
        return not near.any()

    def next_step(self) -> str:
        """Say where the hand should go next."""
        if self.taken < 3:
            return 'move on, and tilt the hand by 20 to 40 deg'
        tilts = tilt_spread_deg(np.array(self._poses))
        if tilts[0] < self._config.good_tilt_deg:
            return 'move on, and tilt the hand further, 20 to 40 deg'
        if tilts[1] < self._config.good_tilt_deg:
            return 'move on, and tilt the hand about another axis than so far'
        return 'move on to another place and distance'
