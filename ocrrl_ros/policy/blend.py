# SPDX-License-Identifier: Apache-2.0
"""
How much of a residual acts when it is out of its depth: the weight beside the gate's.

Three things that the robot itself can know take the residual back, each by a factor in 0 .. 1
that is exactly 1 in ordinary episodes:

- *novelty*: the observation lies outside of what the residual was trained on, told by the scale
  of its own input normaliser, which ships inside ``policy.onnx``;
- *poses*: whoever reports an object's pose says in its covariance that it is not sure;
- *oscillation*: the correction swings at the rate of the policy (oscillation.py); here the swing
  is taken out of the action instead of all of it.

All change over time and never jump. What is left when the weight is 0 is the base, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError, MissingDependencyError
from ocrrl_ros.core.se3 import quat_to_matrix
from ocrrl_ros.core.symmetry import CYLINDER, REVOLUTION
from ocrrl_ros.policy.oscillation import OscillationConfig, OscillationDamper

#: Longest time that counts as one tick: after a pause weights move on from where they were.
MAX_STEP_S = 0.1
_PLACES = ('tcp_object_position', 'base_object_height')
_SPREAD_TENSORS = ('normalizer.shift', 'normalizer.scale')


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlendConfig:
    """When a residual is taken back, and how fast."""

    enabled: bool = dataclasses.field(
        default=True, metadata={'description': (
            'take the residual back where it is out of its depth')})
    deviation_ordinary: float = dataclasses.field(
        default=8.0, metadata={'description': (
            'deviation of an observation entry from training that is let be, in its std')})
    deviation_zero: float = dataclasses.field(
        default=10.0, metadata={'description': 'deviation that leaves nothing of the residual'})
    deviation_mean_s: float = dataclasses.field(
        default=0.3, metadata={'description': 'time constant over which deviations are meant, s'})
    place_factor: float = dataclasses.field(
        default=1.4, metadata={'description': (
            'how much more the deviation of an object position or height counts')})
    position_sigma_ordinary_m: float = dataclasses.field(
        default=0.020, metadata={'description': (
            'standard deviation of a reported position (length of the error) that is let be, m')})
    position_sigma_zero_m: float = dataclasses.field(
        default=0.050, metadata={'description': 'one that leaves nothing of the residual, m'})
    rotation_sigma_ordinary_rad: float = dataclasses.field(
        default=0.2, metadata={'description': (
            'standard deviation of a reported rotation (angle) that is let be, rad; turns about '
            'an axis of revolution do not count')})
    rotation_sigma_zero_rad: float = dataclasses.field(
        default=0.6, metadata={'description': 'one that leaves nothing of the residual, rad'})
    fall_s: float = dataclasses.field(
        default=0.2, metadata={'description': 'shortest time from the whole weight to none, s'})
    rise_s: float = dataclasses.field(
        default=1.0, metadata={'description': 'shortest time back, s'})
    oscillation: OscillationConfig = OscillationConfig()

    def __post_init__(self) -> None:
        """Refuse limits in the wrong order and times that cannot work."""
        for name, unit in (('deviation', ''), ('position_sigma', '_m'),
                           ('rotation_sigma', '_rad')):
            ordinary, zero = f'{name}_ordinary{unit}', f'{name}_zero{unit}'
            low, high = getattr(self, ordinary), getattr(self, zero)
            if not 0.0 <= low < high < np.inf:
                raise ConfigError(
                    f'{ordinary} is {low} and {zero} {high}; allowed: 0 <= {ordinary} < {zero}')
        if not 1.0 <= self.place_factor <= 10.0:
            raise ConfigError(f'place_factor is {self.place_factor}; allowed: 1 .. 10')
        for name in ('deviation_mean_s', 'fall_s', 'rise_s'):
            value = getattr(self, name)
            if not 0.02 <= value <= 60.0:
                raise ConfigError(f'{name} is {value} s; allowed: 0.02 .. 60')


@dataclasses.dataclass(frozen=True)
class BlendFactors:
    """
    What takes the residual back now; the weight is the product of the first two.

    :param novelty: 1 where the observation is as in training .. 0.
    :param poses: 1 where the reported poses are certain enough .. 0.
    :param smoothing: share 0 .. 1 in which the most oscillating axis is smoothed.
    """

    novelty: float = 1.0
    poses: float = 1.0
    smoothing: float = 0.0

    @property
    def weight(self) -> float:
        """Return the share of the residual that is left."""
        return self.novelty * self.poses


@dataclasses.dataclass(frozen=True)
class ObservationSpread:
    """
    Where the observations of training lay.

    :param shift: (D,) their mean.
    :param scale: (D,) 1 over their standard deviation; 1 where they hardly changed.
    :param places: (D,) which entries say where an object is; false for all if None.
    """

    shift: np.ndarray
    scale: np.ndarray
    places: np.ndarray | None = None

    @classmethod
    def from_model(
            cls, model_bytes: bytes, fields: Sequence[tuple[str, int]],
            name: str) -> ObservationSpread | None:
        """
        Read the input normaliser of an exported residual; None where the model has none.

        :param fields: names and sizes of the observation's entries, D in all.
        :param name: of the model, for errors.
        :raises BundleError: the model is unreadable or normalises another observation.
        """
        try:
            import onnx
        except ImportError as error:
            raise MissingDependencyError('onnx (reads residuals)', 'pip install onnx') from error
        try:
            model = onnx.load_model_from_string(model_bytes)
        except Exception as error:  # protobuf raises its own types
            raise BundleError(f'{name} is no ONNX model: {error}') from error
        found = {item.name: onnx.numpy_helper.to_array(item).astype(float)
                 for item in model.graph.initializer if item.name in _SPREAD_TENSORS}
        if set(found) != set(_SPREAD_TENSORS):
            return None
        shift, scale = (found[name] for name in _SPREAD_TENSORS)
        places = np.repeat([entry.rpartition('.')[2] in _PLACES for entry, _ in fields],
                           [count for _, count in fields])
        size = len(places)
        if shift.shape != (size,) or scale.shape != (size,) or not (
                np.isfinite([shift, scale]).all() and (scale > 0.0).all()):
            raise BundleError(
                f'{name} normalises {shift.shape} by {scale.shape} entries; needed: {size} '
                'finite ones each, scales above 0')
        return cls(shift, scale, places)


class ResidualBlend:
    """
    Weight and smoothing of the residual of one robot.

    :param symmetries: symmetry group of each object, as in the observation layout.
    :param spread: of the observations in training; None leaves novelty out.
    """

    def __init__(
            self, config: BlendConfig | None = None, symmetries: Sequence[str] = (),
            spread: ObservationSpread | None = None):
        """Start as for a new episode."""
        self.config = config or BlendConfig()
        self._revolves = [name in (REVOLUTION, CYLINDER) for name in symmetries]
        self._spread = spread
        self._scale = self._scaled()
        self._damper = OscillationDamper(self.config.oscillation)
        self.reset()

    def reset(self) -> None:
        """Start a new episode: all of the residual acts, and no pose is known."""
        self.factors = BlendFactors()
        self._told = [1.0] * len(self._revolves)
        self._deviation = 0.0 if self._spread is None else np.zeros_like(self._spread.shift)
        self._updated_s = np.nan
        self._damper.reset()

    def on_object_pose(
            self, index: int, base_T_object: np.ndarray, covariance: np.ndarray) -> None:
        """
        Take how certain a pose is; it counts until the object's next one.

        :param index: of the object in the layout.
        :param base_T_object: (7,).
        :param covariance: 36 numbers of translation (m) and rotation vector (rad), base frame.
            Zeros say nothing and count as certain; what is no covariance counts as no certainty.
        """
        config = self.config
        position, rotation = pose_sigmas(base_T_object, covariance, self._revolves[index])
        self._told[index] = min(
            _remaining(position, config.position_sigma_ordinary_m, config.position_sigma_zero_m),
            _remaining(rotation, config.rotation_sigma_ordinary_rad,
                       config.rotation_sigma_zero_rad))

    def apply(
            self, action: np.ndarray, acting: float, observation: np.ndarray,
            now_s: float) -> tuple[np.ndarray, float]:
        """
        Return the action (7,) without its swing, and the weight of it in [0, 1].

        In ordinary episodes these are the action itself and exactly 1.

        :param action: (7,) of the residual network.
        :param acting: share of it that gains and gate let act.
        :param observation: (1, D) that the action answers.
        :param now_s: time; must not run backwards between resets.
        """
        if not self.config.enabled:
            return action, 1.0
        # No time has passed in a new episode.
        step_s = min(max(now_s - self._updated_s, 0.0), MAX_STEP_S) if (
            np.isfinite(self._updated_s)) else 0.0
        self._updated_s = now_s
        action = self._damper.damp(action, acting, now_s, step_s)
        last = self.factors
        self.factors = BlendFactors(
            novelty=self._moved(last.novelty, self._familiar(observation[0], step_s), step_s),
            poses=self._moved(last.poses, min(self._told, default=1.0), step_s),
            smoothing=float(self._damper.share.max()))
        return action, self.factors.weight

    def _scaled(self) -> np.ndarray | None:
        """Return what deviations (D,) are multiplied by."""
        spread = self._spread
        if spread is None or spread.places is None:
            return None if spread is None else spread.scale
        return spread.scale * np.where(spread.places, self.config.place_factor, 1.0)

    def _familiar(self, observation: np.ndarray, step_s: float) -> float:
        """Return 1 for an observation (D,) as in training .. 0 for one of another kind."""
        if self._spread is None:
            return 1.0
        config = self.config
        deviation = np.abs((observation - self._spread.shift) * self._scale)
        # Cut, so that one absurd number does not count for longer than what is merely far out.
        deviation = np.minimum(deviation, 2.0 * config.deviation_zero)
        share = 1.0 - np.exp(-step_s / config.deviation_mean_s)
        self._deviation += share * (deviation - self._deviation)
        return _remaining(
            float(self._deviation.max()), config.deviation_ordinary, config.deviation_zero)

    def _moved(self, value: float, wanted: float, step_s: float) -> float:
        """Return the factor a tick later, on its way to the wanted one."""
        low, high = value - step_s / self.config.fall_s, value + step_s / self.config.rise_s
        return min(max(wanted, low), high)


def pose_sigmas(
        base_T_object: np.ndarray, covariance: np.ndarray, revolves: bool) -> tuple[float, float]:
    """
    Return the standard deviations of a pose: length of the position error in m, angle in rad.

    :param covariance: 36 numbers as in ``PoseWithCovariance``.
    :param revolves: turns about the object's z axis are invisible and do not count.
    :return: infinity for both where the numbers cannot be variances.
    """
    matrix = np.reshape(np.asarray(covariance, dtype=float), (6, 6))
    variances = np.diag(matrix)
    if not np.isfinite(matrix).all() or (variances < 0.0).any():
        return np.inf, np.inf
    turning = float(variances[3:].sum())
    if revolves:
        axis = quat_to_matrix(np.asarray(base_T_object, dtype=float)[3:])[:, 2]
        turning = max(turning - float(axis @ matrix[3:, 3:] @ axis), 0.0)
    return float(np.sqrt(variances[:3].sum())), float(np.sqrt(turning))


def _remaining(value: float, ordinary: float, zero: float) -> float:
    """Return 1 up to the ordinary value, falling to 0 at the other."""
    return min(max((zero - value) / (zero - ordinary), 0.0), 1.0)
