# SPDX-License-Identifier: Apache-2.0
"""A person's targets, which go before those of base and residual while they are fresh."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.plausible import check_near


class Takeover:
    """
    The newest target of a person.

    :param max_age_s: silence that ends the takeover.
    """

    def __init__(self, max_age_s: float):
        """Start with nobody at the controls."""
        self._max_age_s = max_age_s
        self._target: np.ndarray | None = None
        self._opening: float | None = None
        self._arrived_s = -np.inf

    def on_target(self, base_T_tcp: np.ndarray, now_s: float) -> None:
        """
        Take a target pose (7,) of the TCP in the robot base frame.

        :param now_s: time of arrival; a person's device may have no clock of ours.
        :raises InputError: it is not finite, no rotation, or out of any reach.
        """
        self._target = check_near(base_T_tcp, 'teleop target')
        self._arrived_s = now_s

    def on_opening(self, opening: float) -> None:
        """
        Take a wished opening of the gripper, 0 closed .. 1 open.

        :raises InputError: it is not within that range.
        """
        if not 0.0 <= opening <= 1.0:
            raise InputError(f'teleop opening is {opening}; allowed: 0 .. 1')
        self._opening = float(opening)

    def target(self, now_s: float) -> np.ndarray | None:
        """Return the pose (7,) to go to, or None while nobody steers."""
        return self._target if now_s - self._arrived_s <= self._max_age_s else None

    def opening(self, otherwise: float) -> float:
        """Return the wished opening, or what it is where nobody has said."""
        return otherwise if self._opening is None else self._opening

    def clear(self) -> None:
        """Forget target and opening: whoever steers next begins anew."""
        self._target = self._opening = None
        self._arrived_s = -np.inf
