# SPDX-License-Identifier: Apache-2.0
"""Joint limits of the FR3, the position-dependent velocity limit included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.robot import fr3


@dataclass(frozen=True, kw_only=True)
class JointLimits:
    """
    Limits of the seven arm joints, each array (7,), in rad and s.

    ``velocity_bounds`` is the binding velocity limit: near a position limit the robot must be
    slow enough to brake, and the control box rejects motions that are not.
    """

    position_lower: np.ndarray
    position_upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray
    torque: np.ndarray
    torque_rate: np.ndarray
    velocity_offset: np.ndarray
    deceleration: np.ndarray
    formula_lower: np.ndarray
    formula_upper: np.ndarray

    @classmethod
    def for_image(cls, image: fr3.SystemImage = '5.9') -> JointLimits:
        """
        Return the limits of a system image: '5.9' (5.9.0 and newer) or '5.8' (5.8 and older).

        :raises UnknownNameError: there is no such image.
        """
        if image not in fr3.POSITION_LIMITS:
            raise UnknownNameError('system image', image, fr3.POSITION_LIMITS)
        lower, upper = fr3.POSITION_LIMITS[image]
        formula_lower, formula_upper = fr3.VELOCITY_FORMULA_BOUNDS[image]
        return cls(
            position_lower=np.array(lower), position_upper=np.array(upper),
            velocity=np.array(fr3.MAX_VELOCITY), acceleration=np.array(fr3.MAX_ACCELERATION),
            jerk=np.array(fr3.MAX_JERK), torque=np.array(fr3.MAX_TORQUE),
            torque_rate=np.array(fr3.MAX_TORQUE_RATE),
            velocity_offset=np.array(fr3.VELOCITY_OFFSET[image]),
            deceleration=np.array(fr3.DECELERATION),
            formula_lower=np.array(formula_lower), formula_upper=np.array(formula_upper))

    def velocity_bounds(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the lower and upper velocity limits (..., 7) in rad/s at positions q (..., 7).

        The formula and its tolerance are those of libfranka's rate limiting.
        """
        q = np.asarray(q, dtype=float)
        above = np.maximum(0.0, 2.0 * self.deceleration * (self.formula_upper - q))
        below = np.maximum(0.0, 2.0 * self.deceleration * (q - self.formula_lower))
        upper = np.clip(np.sqrt(above) - self.velocity_offset, 0.0, self.velocity)
        lower = np.clip(self.velocity_offset - np.sqrt(below), -self.velocity, 0.0)
        tolerance = fr3.VELOCITY_TOLERANCE
        return np.minimum(lower + tolerance, 0.0), np.maximum(upper - tolerance, 0.0)

    def box(self, speed_rad_s: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the lowest and highest positions (7,) at which each joint may move that fast.

        Between them a joint may move at speed_rad_s in either direction; at 0 rad/s it is the
        range in which the robot may be commanded at all.
        """
        speed = np.minimum(speed_rad_s, self.velocity) + fr3.VELOCITY_TOLERANCE
        room = (speed + self.velocity_offset) ** 2 / (2.0 * self.deceleration)
        return (
            np.maximum(self.formula_lower + room, self.position_lower),
            np.minimum(self.formula_upper - room, self.position_upper))
