# SPDX-License-Identifier: Apache-2.0
"""
Forward and inverse kinematics of the FR3's TCP, over Pinocchio.

The model is the generated URDF with the fingers locked. One object serves one thread: Pinocchio
writes its intermediate results into it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import math
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.resources import model_path
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.limits import JointLimits
import pinocchio as pin
from scipy.linalg.lapack import dgesdd, dposv

_IDENTITY = np.eye(6)
_VELOCITY_DAMPING = 1e-4
_WRIST = 4


@dataclass(frozen=True, kw_only=True)
class KinematicsConfig:
    """Settings of the inverse kinematics."""

    iterations: int = field(
        default=3, metadata={'description': 'most Newton steps per solve'})
    position_tolerance_m: float = field(
        default=1e-4, metadata={'description': 'converged below this translation error, m'})
    rotation_tolerance_rad: float = field(
        default=1e-3, metadata={'description': 'converged below this rotation error, rad'})
    damping: float = field(
        default=1e-5, metadata={'description': 'damping of the least squares at zero error'})
    damping_per_error: float = field(
        default=1e-2, metadata={'description': 'added damping per squared error norm'})
    posture_gain: float = field(
        default=0.05, metadata={'description': (
            'share of the way to the ready posture that one solve goes in the null space')})
    max_step_rad: float = field(
        default=0.3, metadata={'description': 'largest joint motion of one Newton step, rad'})
    limit_speed_rad_s: float = field(
        default=0.15, metadata={'description': (
            'solutions stay where each joint may still move this fast, rad/s')})
    wrist_range_rad: float = field(
        default=1.0, metadata={'description': (
            'joint 5 does not turn away from zero beyond this, so that the wrist never turns over '
            'to save a little error in passing; pi: only its limits hold, rad')})

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        if not 1 <= self.iterations <= 1000:
            raise ConfigError(f'iterations is {self.iterations}; allowed: 1..1000')
        for name in ('position_tolerance_m', 'rotation_tolerance_rad', 'damping', 'max_step_rad',
                     'wrist_range_rad'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        for name in ('damping_per_error', 'limit_speed_rad_s'):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 0')
        if not 0.0 <= self.posture_gain <= 1.0:
            raise ConfigError(f'posture_gain is {self.posture_gain}; allowed: 0..1')


class FrankaKinematics:
    """Pose, Jacobian, gravity and inverse kinematics of ``fr3_hand_tcp`` in ``base``."""

    def __init__(
            self, config: KinematicsConfig | None = None, limits: JointLimits | None = None,
            urdf_path: Path | str | None = None):
        """
        Load the model.

        :param limits: joint limits; those of system image 5.9 by default.
        :param urdf_path: another URDF with the FR3's joint and frame names.
        """
        self.config = config or KinematicsConfig()
        self.limits = limits or JointLimits.for_image()
        path = Path(urdf_path) if urdf_path else model_path('fr3', 'fr3.urdf')
        full = pin.buildModelFromUrdf(str(path))
        fingers = [full.getJointId(name) for name in fr3.FINGER_JOINT_NAMES]
        self._model = pin.buildReducedModel(full, fingers, pin.neutral(full))
        self._data = self._model.createData()
        self._tcp = self._model.getFrameId(fr3.TCP_FRAME)
        self.ready_position = np.array(fr3.READY_POSITION)
        lower, upper = self.limits.box(self.config.limit_speed_rad_s)
        self._limits = lower.tolist(), upper.tolist()

    def forward(self, q: np.ndarray) -> np.ndarray:
        """Return base_T_tcp (7,) at joint positions q (7,) in rad."""
        pin.framesForwardKinematics(self._model, self._data, q)
        pose = pin.SE3ToXYZQUAT(self._data.oMf[self._tcp])
        return _canonical(pose)

    @property
    def model(self) -> pin.Model:
        """Return Pinocchio's model of the arm, fingers locked; not to be changed."""
        return self._model

    def least_singular_value(self, q: np.ndarray) -> float:
        """Return the smallest singular value of the Jacobian at q (7,): 0 at a singularity."""
        return float(dgesdd(self.jacobian(q), compute_uv=0)[1][-1])

    def frame_pose(self, q: np.ndarray, frame: str) -> np.ndarray:
        """
        Return base_T_frame (7,) of any frame of the URDF at q (7,).

        :raises InputError: the URDF has no such frame.
        """
        if not self._model.existFrame(frame):
            raise InputError(f'frame {frame!r} is not in the URDF')
        pin.framesForwardKinematics(self._model, self._data, q)
        return _canonical(pin.SE3ToXYZQUAT(self._data.oMf[self._model.getFrameId(frame)]))

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """Return the Jacobian (6, 7) of the TCP, [linear; angular], in the base frame."""
        return pin.computeFrameJacobian(
            self._model, self._data, q, self._tcp, pin.LOCAL_WORLD_ALIGNED)

    def joint_velocity(self, q: np.ndarray, twist: np.ndarray) -> np.ndarray:
        """Return joint velocities (7,) in rad/s that move the TCP at q by a twist (6,), damped."""
        jacobian = self.jacobian(q)
        return dposv(jacobian @ jacobian.T + _VELOCITY_DAMPING * _IDENTITY, twist)[1] @ jacobian

    def gravity(self, q: np.ndarray) -> np.ndarray:
        """Return the joint torques (7,) in Nm that hold arm and hand against gravity."""
        return pin.computeGeneralizedGravity(self._model, self._data, q)

    def solve(
            self, base_T_tcp: np.ndarray, q_start: np.ndarray, *,
            iterations: int | None = None) -> tuple[np.ndarray, bool]:
        """
        Return joint positions (7,) that bring the TCP to a pose, and whether they do.

        Damped least squares from q_start, with the null space drawn toward the ready posture and
        joints held inside their limits. The damping grows with the error, so far targets do not
        overshoot and near ones converge quadratically. Joint 5 stays within
        ``wrist_range_rad`` of zero or, started outside, goes no further out: where joints 5 and 7
        are nearly in line, tracking a target that passes beside that line exactly would turn the
        wrist over, and leave the arm in a corner of its limits (docs/notes/tasks.md).

        :param base_T_tcp: target (7,); its quaternion must have unit norm.
        :param q_start: start (7,), best the last solution.
        :param iterations: most steps; the configured number by default.
        :raises InputError: the target or the start is not finite.
        """
        config = self.config
        q = np.asarray(q_start, dtype=float)
        bounds = self._bounds(q[_WRIST])
        q = _inside(q, bounds)
        if not math.isfinite(sum(base_T_tcp.tolist()) + sum(q.tolist())):
            raise InputError(
                f'IK target {base_T_tcp.tolist()} from {np.asarray(q_start).tolist()}: every '
                'number must be finite')
        target = pin.XYZQUATToSE3(base_T_tcp)
        posture = config.posture_gain * (self.ready_position - q)
        for _ in range(iterations or config.iterations):
            error, translation2, rotation2 = self._error(q, target)
            if posture is None and self._is_converged(translation2, rotation2):
                return q, True
            q = self._step(q, error, translation2 + rotation2, posture, bounds)
            posture = None
        return q, self._is_converged(*self._error(q, target)[1:])

    def _is_converged(self, translation2: float, rotation2: float) -> bool:
        """Return whether squared errors in m^2 and rad^2 are within tolerance."""
        config = self.config
        return (translation2 <= config.position_tolerance_m ** 2
                and rotation2 <= config.rotation_tolerance_rad ** 2)

    def _bounds(self, wrist_rad: float) -> tuple[list[float], list[float]]:
        """Return the lower and upper positions of solutions that start with joint 5 there."""
        lower, upper = (limits.copy() for limits in self._limits)
        reach = self.config.wrist_range_rad
        lower[_WRIST] = max(min(wrist_rad, -reach), lower[_WRIST])
        upper[_WRIST] = min(max(wrist_rad, reach), upper[_WRIST])
        return lower, upper

    def _error(self, q: np.ndarray, target: pin.SE3) -> tuple[np.ndarray, float, float]:
        """Return the error twist (6,) in the TCP frame and its squared norms, m^2 and rad^2."""
        pin.forwardKinematics(self._model, self._data, q)
        pose = pin.updateFramePlacement(self._model, self._data, self._tcp)
        error = pin.log6(pose.actInv(target)).vector
        x, y, z, rx, ry, rz = error.tolist()
        return error, x * x + y * y + z * z, rx * rx + ry * ry + rz * rz

    def _step(
            self, q: np.ndarray, error: np.ndarray, error2: float, posture: np.ndarray | None,
            bounds: tuple[list[float], list[float]]) -> np.ndarray:
        """
        Return the positions (7,) after one damped Newton step inside the bounds.

        :param error2: squared norm of the error.
        :param posture: null-space motion (7,) to add.
        """
        jacobian = pin.computeFrameJacobian(self._model, self._data, q, self._tcp, pin.LOCAL)
        moved = q + self._damped_step(jacobian, error, error2, posture)
        inside = _inside(moved, bounds)
        if inside is moved:
            return moved
        # Let the free joints make up for those that their limits stop.
        jacobian = np.where(inside == moved, jacobian, 0.0)
        return _inside(q + self._damped_step(jacobian, error, error2, None), bounds)

    def _damped_step(
            self, jacobian: np.ndarray, error: np.ndarray, error2: float,
            posture: np.ndarray | None) -> np.ndarray:
        """Return the joint step (7,) for an error twist (6,), posture in the null space."""
        config = self.config
        if posture is not None:
            error = error - jacobian @ posture
        damping = config.damping + config.damping_per_error * error2
        step = dposv(jacobian @ jacobian.T + damping * _IDENTITY, error)[1] @ jacobian
        if posture is not None:
            step += posture
        largest = max(map(abs, step.tolist()))
        if largest > config.max_step_rad:
            step *= config.max_step_rad / largest
        return step


def _inside(q: np.ndarray, bounds: tuple[list[float], list[float]]) -> np.ndarray:
    """Return q (7,) clipped to bounds; NaN stays NaN."""
    lower, upper = bounds
    for value, least, most in zip(q.tolist(), lower, upper):
        if not least <= value <= most:
            return np.minimum(np.maximum(q, lower), upper)
    return q


def _canonical(pose: np.ndarray) -> np.ndarray:
    """Return the pose (7,) with a quaternion whose scalar part is >= 0."""
    if pose[6] < 0.0:
        pose[3:] *= -1.0
    return pose
