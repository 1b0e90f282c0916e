# SPDX-License-Identifier: Apache-2.0
"""
The arm's impedance laws, with the gains and safety clips of CRISP.

Two roles of one C++ controller (crisp_controllers/CartesianController, v2.3) are mirrored:

- joint impedance, the default: ``tau = K (q_d - q) - D dq``. In simulation it is a MuJoCo affine
  actuator, so here are only its gains and a monitor of the clips that the actuator lacks;
- Cartesian impedance, for the bridge's ``target_pose``: a law in numpy.

Neither contains gravity: the robot, and gravcomp in simulation, add it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.se3 import quat_conjugate, quat_multiply, quat_to_rotvec
from ocrrl_ros.robot import fr3

_WEIGHTS = (150.0, 150.0, 150.0, 150.0, 50.0, 30.0, 10.0)


def _require_positive(name: str, values: tuple[float, ...], unit: str) -> None:
    """Raise ConfigError unless every value is finite and above zero."""
    if not all(np.isfinite(value) and value > 0.0 for value in values):
        raise ConfigError(f'{name} is {values} {unit}; allowed: finite values > 0')


@dataclass(frozen=True, kw_only=True)
class JointImpedanceConfig:
    """Gains and clips of CRISP in its joint role (task gains 0, nullspace projector ``none``)."""

    stiffness: float = field(
        default=5.0, metadata={'description': 'global stiffness, times the weights: Nm/rad'})
    weights: tuple[float, float, float, float, float, float, float] = field(
        default=_WEIGHTS, metadata={'description': 'stiffness weight of each joint'})
    damping_ratio: float = field(
        default=1.0, metadata={'description': 'damping = 2 * ratio * sqrt(stiffness)'})
    error_clip_rad: float = field(
        default=0.5, metadata={'description': 'position error that counts as clipped, rad'})
    max_delta_tau: float = field(
        default=0.5, metadata={'description': 'torque change allowed per millisecond, Nm'})

    def __post_init__(self) -> None:
        """Refuse gains and clips that are not positive."""
        _require_positive('stiffness', (self.stiffness,), 'Nm/rad')
        _require_positive('weights', self.weights, '')
        _require_positive('damping_ratio', (self.damping_ratio,), '')
        _require_positive('error_clip_rad', (self.error_clip_rad,), 'rad')
        _require_positive('max_delta_tau', (self.max_delta_tau,), 'Nm/ms')

    def stiffness_gains(self) -> np.ndarray:
        """Return K (7,) in Nm/rad."""
        return self.stiffness * np.array(self.weights)

    def damping_gains(self) -> np.ndarray:
        """Return D (7,) in Nm s/rad."""
        return 2.0 * self.damping_ratio * np.sqrt(self.stiffness_gains())

    def velocity_lead_s(self) -> np.ndarray:
        """
        Return D / K (7,) in s: by how much the arm lags behind a moving target.

        ``q_d + velocity_lead_s * dq_d`` as target of the affine law equals CRISP's law with the
        velocity field of ``target_joint`` filled: K (q_d - q) + D (dq_d - dq).
        """
        return self.damping_gains() / self.stiffness_gains()


class JointImpedanceMonitor:
    """
    Counts the ticks in which CRISP would have clipped and the affine actuator does not.

    Simulation and robot follow the same law only while the clips are inactive; the share of
    active ticks is the evidence (protocol section 1: at most 0.1 %). A tick may be longer than
    CRISP's millisecond: the torque then counts as clipped when it changes by more than the clip
    lets through in that time.
    """

    def __init__(self, config: JointImpedanceConfig):
        """Start with no ticks."""
        self._stiffness = config.stiffness_gains()
        self._damping = config.damping_gains()
        self._error_clip_rad = config.error_clip_rad
        self._max_delta_tau = config.max_delta_tau
        self._tau: np.ndarray | None = None
        self.ticks = 0
        self.clipped = 0
        self.error_clipped = 0
        self.torque_rate_clipped = 0

    def update(
            self, q_target: np.ndarray, q: np.ndarray, dq: np.ndarray, dt_s: float, *,
            dq_target: np.ndarray | None = None) -> bool:
        """
        Account for one tick of q_target, q, dq (7,); return whether a clip was active.

        :param dq_target: velocity (7,) of the target in rad/s where ``target_joint`` carries one.
        """
        error = q_target - q
        tau = self._stiffness * error - self._damping * dq
        if dq_target is not None:
            tau += self._damping * dq_target
        is_clipped = bool((np.abs(error) > self._error_clip_rad).any())
        self.error_clipped += is_clipped
        if self._tau is not None:
            limit = self._max_delta_tau * dt_s / 1e-3
            is_rate_clipped = bool((np.abs(tau - self._tau) > limit).any())
            self.torque_rate_clipped += is_rate_clipped
            is_clipped = is_clipped or is_rate_clipped
        self._tau = tau
        self.clipped += is_clipped
        self.ticks += 1
        return is_clipped

    @property
    def inactive_share(self) -> float | None:
        """Return the share of ticks without a clip, or None before the first tick."""
        return 1.0 - self.clipped / self.ticks if self.ticks else None

    @property
    def error_share(self) -> float:
        """Return the share of ticks in which the error clip was active, 0 before the first."""
        return self.error_clipped / max(self.ticks, 1)

    @property
    def torque_rate_share(self) -> float:
        """Return the share of ticks in which the torque's rate was clipped, 0 before the first."""
        return self.torque_rate_clipped / max(self.ticks, 1)

    def reset(self, tau: np.ndarray | None = None) -> None:
        """
        Forget the last torque, so that a jump of the state does not count; keep counts.

        :param tau: torque (7,) in Nm that acts now; the next tick is then compared with it.
        """
        self._tau = tau


@dataclass(frozen=True, kw_only=True)
class CartesianImpedanceConfig:
    """Gains and clips of CRISP in its Cartesian role."""

    translation_stiffness: float = field(default=600.0, metadata={'description': 'N/m'})
    rotation_stiffness: float = field(default=30.0, metadata={'description': 'Nm/rad'})
    error_clip_m: float = field(
        default=0.1, metadata={'description': 'translation error is clipped to this per axis, m'})
    error_clip_rad: float = field(
        default=0.5, metadata={'description': 'rotation error is clipped to this per axis, rad'})
    nullspace_stiffness: float = field(default=5.0, metadata={'description': 'Nm/rad'})
    nullspace_max_tau: float = field(
        default=5.0, metadata={'description': 'largest nullspace torque per joint, Nm'})
    regularization: float = field(
        default=1e-3, metadata={'description': 'damping of the Jacobian pseudo-inverse'})
    max_delta_tau: float = field(
        default=0.5, metadata={'description': 'torque change allowed per millisecond, Nm'})
    output_filter: float = field(
        default=0.5, metadata={'description': 'share of the last torque kept per millisecond'})
    limit_range_rad: float = field(
        default=0.1, metadata={'description': 'joint-limit repulsion starts this far away, rad'})
    limit_torque: float = field(
        default=5.0, metadata={'description': 'repulsion at the joint limit, Nm'})

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name in (
                'translation_stiffness', 'rotation_stiffness', 'error_clip_m', 'error_clip_rad',
                'nullspace_stiffness', 'nullspace_max_tau', 'regularization', 'max_delta_tau',
                'limit_range_rad', 'limit_torque'):
            _require_positive(name, (getattr(self, name),), '')
        if not 0.0 <= self.output_filter < 1.0:
            raise ConfigError(f'output_filter is {self.output_filter}; allowed: 0 <= x < 1')


class CartesianImpedance:
    """Torque law that pulls the TCP to a target pose; call it every millisecond."""

    def __init__(
            self, config: CartesianImpedanceConfig, position_lower: np.ndarray,
            position_upper: np.ndarray, stiffness: np.ndarray | None = None):
        """
        Prepare gains; the torque history is empty.

        :param position_lower: lower joint limits (7,) for the repulsion.
        :param position_upper: upper joint limits (7,).
        :param stiffness: (6,) >= 0 per axis of the base frame, N/m then Nm/rad; that of the
            configuration when None. The damping is 2 sqrt(stiffness) per axis.
        :raises InputError: not six finite numbers >= 0.
        """
        self._config = config
        if stiffness is None:
            stiffness = np.repeat(
                [config.translation_stiffness, config.rotation_stiffness], 3)
        self._stiffness = np.array(stiffness, dtype=float)
        if self._stiffness.shape != (6,) or not (
                np.isfinite(self._stiffness) & (self._stiffness >= 0.0)).all():
            raise InputError(
                f'Cartesian stiffness is {self._stiffness.tolist()}; allowed: 6 finite numbers '
                '>= 0')
        self._damping = 2.0 * np.sqrt(self._stiffness)
        self._clip = np.repeat([config.error_clip_m, config.error_clip_rad], 3)
        self._lower = np.asarray(position_lower, dtype=float)
        self._upper = np.asarray(position_upper, dtype=float)
        self._tau = np.zeros(7)

    def reset(self, tau: np.ndarray | None = None) -> None:
        """Set the torque (7,) that the rate limit starts from, zero by default."""
        self._tau = np.zeros(7) if tau is None else np.array(tau, dtype=float)

    def clipped_error(self, base_T_tcp: np.ndarray, base_T_target: np.ndarray) -> np.ndarray:
        """Return the error (6,) [m; rad] in the base frame, clipped per axis."""
        rotation = quat_multiply(base_T_target[3:], quat_conjugate(base_T_tcp[3:]))
        error = np.concatenate([base_T_target[:3] - base_T_tcp[:3], quat_to_rotvec(rotation)])
        return np.clip(error, -self._clip, self._clip)

    def torque(
            self, q: np.ndarray, dq: np.ndarray, *, base_T_tcp: np.ndarray,
            jacobian: np.ndarray, base_T_target: np.ndarray, q_nullspace: np.ndarray,
            dt_s: float = 1e-3) -> np.ndarray:
        """
        Return the joint torques (7,) in Nm, without gravity.

        :param jacobian: (6, 7) of the TCP in the base frame, [linear; angular].
        :param q_nullspace: posture (7,) that the redundant joint is pulled to.
        """
        config = self._config
        error = self.clipped_error(base_T_tcp, base_T_target)
        tau = jacobian.T @ (self._stiffness * error - self._damping * (jacobian @ dq))
        tau += self._nullspace_torque(q, dq, jacobian, q_nullspace) + self._repulsion(q)
        limit = config.max_delta_tau * dt_s / 1e-3
        tau = np.clip(tau, self._tau - limit, self._tau + limit)
        keep = config.output_filter ** (dt_s / 1e-3)
        tau = np.clip((1.0 - keep) * tau + keep * self._tau, -_MAX_TORQUE, _MAX_TORQUE)
        self._tau = tau
        return tau.copy()

    def _nullspace_torque(
            self, q: np.ndarray, dq: np.ndarray, jacobian: np.ndarray,
            q_nullspace: np.ndarray) -> np.ndarray:
        """Return the posture torque (7,), projected so that the TCP does not feel it."""
        config = self._config
        gain = config.nullspace_stiffness
        secondary = gain * (q_nullspace - q) - 2.0 * np.sqrt(gain) * dq
        regular = jacobian @ jacobian.T + config.regularization * np.eye(6)
        projected = secondary - jacobian.T @ np.linalg.solve(regular, jacobian @ secondary)
        return np.clip(projected, -config.nullspace_max_tau, config.nullspace_max_tau)

    def _repulsion(self, q: np.ndarray) -> np.ndarray:
        """Return the torque (7,) that pushes away from near joint limits, linear in depth."""
        config = self._config
        below = np.clip(self._lower + config.limit_range_rad - q, 0.0, config.limit_range_rad)
        above = np.clip(q - self._upper + config.limit_range_rad, 0.0, config.limit_range_rad)
        return config.limit_torque * (below - above) / config.limit_range_rad


_MAX_TORQUE = np.array(fr3.MAX_TORQUE)
