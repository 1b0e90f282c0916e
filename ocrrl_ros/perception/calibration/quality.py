# SPDX-License-Identifier: Apache-2.0
"""Whether a calibration is good enough to move an arm by, and what spoils it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
import math

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.calibration.hand_eye import (
    ErrorModel, HandEye, Mount, Sighting, solve)
from ocrrl_ros.perception.frame import Intrinsics
from scipy.spatial.transform import Rotation

# A picture this many times worse than the median one does not fit the others.
_OUTLYING = 4.0


@dataclass(frozen=True, kw_only=True)
class CalibrationLimits:
    """
    What a calibration must reach; a poor one is refused.

    The tracker takes the camera's height as known to 2 mm and its tilt to 0.4 deg
    (`SupportPlaneConfig`); a calibration within these limits keeps that promise.
    """

    min_samples: int = field(default=10, metadata={'description': 'pictures that must agree'})
    min_tilt_deg: float = field(default=7.0, metadata={
        'description': 'spread of the turns of the hand about the second of its axes, deg'})
    max_rms_px: float = field(default=1.5, metadata={
        'description': 'rms distance of seen and predicted corners, px'})
    max_left_out_px: float = field(default=2.0, metadata={
        'description': 'rms distance in pictures that the fit was not told of, px'})
    max_position_std_mm: float = field(default=2.0, metadata={
        'description': "standard deviation of the camera's position, mm"})
    max_rotation_std_deg: float = field(default=0.3, metadata={
        'description': "standard deviation of the camera's rotation, deg"})
    max_dropped_share: float = field(default=0.2, metadata={
        'description': 'share of pictures that may be left out because they do not fit, 0 .. 0.5'})

    def __post_init__(self) -> None:
        """Refuse limits without meaning."""
        if self.min_samples < 4:
            raise ConfigError(f'min_samples is {self.min_samples}; allowed: >= 4')
        for name in ('min_tilt_deg', 'max_rms_px', 'max_left_out_px', 'max_position_std_mm',
                     'max_rotation_std_deg'):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        if not 0.0 <= self.max_dropped_share <= 0.5:
            raise ConfigError(
                f'max_dropped_share is {self.max_dropped_share}; allowed: 0 .. 0.5')


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """
    A solution and its verdict.

    :param kept: indices of the sightings it rests on.
    :param tilt_deg: (3,) spread of the hand's turns about three axes, largest first.
    :param problems: why it is refused, in words; nothing when it is accepted.
    """

    solution: HandEye
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    tilt_deg: np.ndarray
    problems: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Return whether it may be used."""
        return not self.problems

    @property
    def position_std_mm(self) -> float:
        """Return the standard deviation of the camera's position, all axes together, mm."""
        return float(np.linalg.norm(self.solution.position_std_m)) * 1e3

    @property
    def rotation_std_deg(self) -> float:
        """Return the standard deviation of the camera's rotation, all axes together, deg."""
        return math.degrees(float(np.linalg.norm(self.solution.rotation_std_rad)))

    @property
    def left_out_px(self) -> float:
        """Return the rms over pictures of the error in each that the fit was not told of, px."""
        return float(np.sqrt((self.solution.left_out_px ** 2).mean()))


def tilt_spread_deg(base_T_tcp: np.ndarray) -> np.ndarray:
    """
    Return (3,) how far the hand's turns (S, 7) spread about three axes, deg, largest first.

    Standard deviations about the principal axes of the turns away from their mean.
    """
    turns = Rotation.from_quat(np.atleast_2d(base_T_tcp)[:, 3:])
    away = (turns.mean().inv() * turns).as_rotvec()
    return np.degrees(np.linalg.svd(away, compute_uv=False)[:3] / math.sqrt(len(away))) if (
        len(away) >= 3) else np.zeros(3)


def calibrate(
        sightings: list[Sighting], camera: Intrinsics, mount: Mount,
        errors: ErrorModel = ErrorModel(),
        limits: CalibrationLimits = CalibrationLimits()) -> Calibration:
    """
    Solve, leave out pictures that contradict the others, and judge.

    :raises InputError: there is no solution at all.
    """
    kept = list(range(len(sightings)))
    allowed = math.floor(limits.max_dropped_share * len(sightings))
    solution = solve(sightings, camera, mount, errors)
    while len(sightings) - len(kept) < allowed:
        worst = _outlier(solution.left_out_px, limits.max_left_out_px)
        if worst is None:
            break
        fewer = kept[:worst] + kept[worst + 1:]
        try:
            solution = solve([sightings[index] for index in fewer], camera, mount, errors)
        except InputError:
            break
        kept = fewer
    tilts = tilt_spread_deg(np.array([sightings[index].base_T_tcp for index in kept]))
    found = Calibration(
        solution=solution, kept=tuple(kept), tilt_deg=tilts, problems=(),
        dropped=tuple(sorted(set(range(len(sightings))) - set(kept))))
    return replace(found, problems=tuple(_problems(found, limits)))


def _outlier(left_out_px: np.ndarray, limit_px: float) -> int | None:
    """Return the picture that fits worst, None where all fit."""
    worst = int(np.argmax(left_out_px))
    bound = max(limit_px, _OUTLYING * float(np.median(left_out_px)))
    return worst if left_out_px[worst] > bound else None


def _problems(found: Calibration, limits: CalibrationLimits) -> list[str]:
    """Say what of the limits is not kept."""
    problems = []
    if len(found.kept) < limits.min_samples:
        problems.append(f'{len(found.kept)} pictures agree; needed: {limits.min_samples}')
    if found.tilt_deg[1] < limits.min_tilt_deg:
        problems.append(
            f'the hand was tilted by {found.tilt_deg[1]:.1f} deg about its second axis; needed: '
            f'{limits.min_tilt_deg:g} deg')
    measured = (
        ('corners are off by', found.solution.rms_px,
         limits.max_rms_px, 'px'),
        ('corners of pictures left out are off by', found.left_out_px,
         limits.max_left_out_px, 'px'),
        ("the camera's position is known to", found.position_std_mm,
         limits.max_position_std_mm, 'mm'),
        ("the camera's rotation is known to", found.rotation_std_deg,
         limits.max_rotation_std_deg, 'deg'))
    return problems + [
        f'{what} {value:.2f} {unit}; allowed: {limit:g} {unit}'
        for what, value, limit, unit in measured if not value <= limit]
