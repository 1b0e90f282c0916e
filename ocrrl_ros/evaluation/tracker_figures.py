# SPDX-License-Identifier: Apache-2.0
"""One object in one frame against the truth, and the figures of many of them."""
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from ocrrl_ros.evaluation.late_poses import LateError

GOOD_M, GOOD_RAD = 0.005, np.radians(5.0)
BAD_M, BAD_RAD = 0.015, np.radians(15.0)
CHI2_95_3DOF = 7.815
CHI2_95_2DOF = 5.991
LONG_FRAMES = 1000
RETURN_S = 0.5
PHASES = ('free', 'near', 'held')


@dataclass(frozen=True, kw_only=True)
class Sample:
    """
    One object in one frame; errors are estimate minus truth in the base frame.

    A turn that the object's symmetry hides is no error; a tilt is a turn across the line of sight.
    Times are those of the whole frame,
    ``memory_mb`` is what the process holds after it, ``is_there`` whether there is an object,
    ``late`` the errors of the pose that arrives in this frame.
    """

    object_id: str
    sequence: int
    stamp_s: float
    phase: int
    speed: np.ndarray
    error_m: np.ndarray
    error_rad: np.ndarray
    tilt_rad: float
    valid: bool
    just_lost: bool
    state: str
    confidence: float
    nees_position: float
    nees_rotation: float
    nees_tilt: float
    wall_s: float
    cpu_s: float
    first: bool
    parts: dict[str, float]
    is_there: bool = True
    memory_mb: float = 0.0
    late: LateError | None = None

    @property
    def distance_m(self) -> float:
        """Return the position error, m."""
        return float(np.linalg.norm(self.error_m))

    @property
    def angle_rad(self) -> float:
        """Return the rotation error, rad."""
        return float(np.linalg.norm(self.error_rad))

    @property
    def is_seen(self) -> bool:
        """Say whether the estimate comes from the image, not from a prediction."""
        return self.state in ('ok', 'warn')

    @property
    def is_half_visible(self) -> bool:
        """Say whether half of the object or more is in sight, by the tracker's own measure."""
        return self.parts.get('occluded', 0.0) <= 0.5

    @property
    def is_good(self) -> bool:
        """Say whether the pose may be used."""
        return self.distance_m <= GOOD_M and self.angle_rad <= GOOD_RAD

    @property
    def is_bad(self) -> bool:
        """Say whether the pose must not be used."""
        return self.distance_m > BAD_M or self.angle_rad > BAD_RAD


def summarise(samples: Sequence[Sample]) -> dict[str, Any]:
    """
    Return counts, error quantiles, loss, honesty and time of one row.

    ``valid_share`` counts from the first valid frame of each sequence; ``losses`` are closings of
    the gate; ``bad_passed`` and ``good_rejected`` are the shares of bad frames that are valid and
    of good frames that are not, None without such frames; ``found_at_once`` is the share of
    sequences whose first frame is good; ``half_visible_…`` leaves out what is mostly hidden.
    See `absence` and `wear` for the rest.
    """
    started = _since_first_valid(samples)
    used = [sample for sample in samples if sample.valid]
    bad = [sample for sample in samples if sample.is_bad and sample.is_seen]
    good = [sample for sample in started if sample.is_good]
    steady = [sample for sample in samples if not sample.first]
    return {
        'frames': len(samples), 'sequences': len({sample.sequence for sample in samples}),
        'found_at_once': _share([s for s in samples if s.first], lambda sample: sample.is_good),
        'never_valid': len({s.sequence for s in samples} - {s.sequence for s in used}),
        'valid_share': _share(started, lambda sample: sample.valid),
        'losses': sum(sample.just_lost for sample in samples),
        'half_visible_mm': _quantiles([1e3 * s.distance_m for s in used if s.is_half_visible]),
        'half_visible_deg': _quantiles(
            [np.degrees(s.angle_rad) for s in used if s.is_half_visible]),
        'position_mm': _quantiles([1e3 * sample.distance_m for sample in used]),
        'rotation_deg': _quantiles([np.degrees(sample.angle_rad) for sample in used]),
        'tilt_deg': _quantiles([np.degrees(sample.tilt_rad) for sample in used]),
        'bad_frames': len(bad), 'bad_passed': _share(bad, lambda sample: sample.valid),
        'good_rejected': _share(good, lambda sample: not sample.valid),
        'nees_position_95': _share(used, lambda sample: sample.nees_position < CHI2_95_3DOF),
        'nees_rotation_95': _share(used, lambda sample: sample.nees_rotation < CHI2_95_3DOF),
        'nees_tilt_95': _share(used, lambda sample: sample.nees_tilt < CHI2_95_2DOF),
        'cpu_ms': _quantiles([1e3 * sample.cpu_s for sample in steady]),
        'wall_ms': _quantiles([1e3 * sample.wall_s for sample in steady]),
        'first_frame_ms': _quantiles([1e3 * s.cpu_s for s in samples if s.first]),
    } | lateness(samples) | absence(samples) | wear(samples)


def passed_count(row: Mapping[str, Any]) -> int:
    """Return how many bad frames of a row were valid."""
    return round(row['bad_frames'] * (row['bad_passed'] or 0.0))


def headline(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return frames, bad frames that passed and the worst median errors of rows, in words."""
    bad = sum(row['bad_frames'] for row in rows)
    passed = sum(map(passed_count, rows))
    worst = [max((row[key]['p50'] for row in rows if row[key] is not None), default=math.nan)
             for key in ('position_mm', 'rotation_deg')]
    return (f'{sum(row["frames"] for row in rows)} poses; worst median {worst[0]:.1f} mm, '
            f'{worst[1]:.1f} deg; {passed} of {bad} bad ones passed')


def lateness(samples: Sequence[Sample]) -> dict[str, Any]:
    """
    Return error quantiles of poses at their time of use, ``LATE_FRAMES`` after their image.

    ``late_…`` as they were seen, ``moved_…`` moved on at constant velocity.
    """
    late = [sample.late for sample in samples if sample.late is not None]
    return {
        'late_mm': _quantiles([1e3 * error.seen_m for error in late]),
        'late_deg': _quantiles([np.degrees(error.seen_rad) for error in late]),
        'moved_mm': _quantiles([1e3 * error.moved_m for error in late]),
        'moved_deg': _quantiles([np.degrees(error.moved_rad) for error in late])}


def absence(samples: Sequence[Sample]) -> dict[str, Any]:
    """
    Return what happens when an object leaves the picture and comes back.

    ``stale_frames`` (frames that are valid though it is gone) and ``return_s`` (from the first
    frame in which it is back to the first valid one) over the sequences in which it leaves;
    ``not_returned`` counts those in which it stays for half a second without a valid frame.
    """
    stale, back, missed = [], [], 0
    for number in {sample.sequence for sample in samples if not sample.is_there}:
        inside = [sample for sample in samples if sample.sequence == number]
        gone = next(index for index, sample in enumerate(inside) if not sample.is_there)
        there = [s for s in inside[gone:] if s.is_there]
        stale.append(sum(s.valid for s in inside[gone:] if not s.is_there))
        seen_s = next((s.stamp_s for s in there if s.valid), None)
        if seen_s is None:
            missed += bool(there) and there[-1].stamp_s - there[0].stamp_s >= RETURN_S
        else:
            back.append(seen_s - there[0].stamp_s)
    return {'stale_frames': _quantiles(stale), 'return_s': _quantiles(back),
            'not_returned': missed}


def wear(samples: Sequence[Sample]) -> dict[str, float | None]:
    """
    Return how memory and median error change between the second and the last tenth of frames.

    The first tenth is left to what is allocated once. None with fewer than a thousand frames.
    """
    if len(samples) < LONG_FRAMES:
        return {'memory_growth_mb': None, 'drift_mm': None}
    tenth = len(samples) // 10
    early, late = samples[tenth:2 * tenth], samples[-tenth:]

    def change(value: Callable[[Sample], float]) -> float:
        return float(np.median([value(s) for s in late]) - np.median([value(s) for s in early]))

    return {'memory_growth_mb': change(lambda sample: sample.memory_mb),
            'drift_mm': change(lambda sample: 1e3 * sample.distance_m)}


def _since_first_valid(samples: Sequence[Sample]) -> list[Sample]:
    """Return the frames of each sequence from its first valid one on."""
    seen: set[int] = set()
    kept = []
    for sample in samples:
        if sample.valid:
            seen.add(sample.sequence)
        if sample.sequence in seen:
            kept.append(sample)
    return kept


def _share(samples: Sequence[Sample], claim: Callable[[Sample], bool]) -> float | None:
    """Return the share of samples for which a claim holds; None of nothing."""
    return float(np.mean([claim(sample) for sample in samples])) if samples else None


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return quantiles; None of nothing."""
    if not len(values):
        return None
    p50, p95, p99 = np.quantile(values, [0.5, 0.95, 0.99])
    return {'p50': float(p50), 'p95': float(p95), 'p99': float(p99), 'max': float(max(values))}
