# SPDX-License-Identifier: Apache-2.0
"""Which joint targets may go to the robot."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.limits import JointLimits


class TargetGate:
    """
    Refuses targets outside the limits or far from where the arm is.

    :param max_distance_rad: furthest that a target may be from the measured position.
    """

    def __init__(self, limits: JointLimits, max_distance_rad: float):
        """Keep the limits."""
        self._lower, self._upper = limits.box(0.0)
        self._max_distance_rad = max_distance_rad

    def check(self, target: np.ndarray, q: np.ndarray) -> None:
        """
        Refuse a target (7,) in rad that the arm must not go to from q (7,).

        :raises InputError: names the joint, the value and what is allowed.
        """
        if target.shape != (7,) or not np.isfinite(target).all():
            raise InputError(
                f'joint target is {target.tolist()}; allowed: 7 finite numbers, rad')
        for name, value, low, high in zip(ARM_JOINT_NAMES, target, self._lower, self._upper):
            if not low <= value <= high:
                raise InputError(
                    f'joint target of {name} is {value:.4f} rad; allowed: {low:.4f} .. {high:.4f}')
        distance = np.abs(target - q)
        worst = int(distance.argmax())
        if distance[worst] > self._max_distance_rad:
            raise InputError(
                f'joint target of {ARM_JOINT_NAMES[worst]} is {target[worst]:.4f} rad, '
                f'{distance[worst]:.3f} rad from the measured {q[worst]:.4f}; allowed: '
                f'{self._max_distance_rad:g} rad (max_target_distance_rad)')
