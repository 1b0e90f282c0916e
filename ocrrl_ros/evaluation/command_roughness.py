# SPDX-License-Identifier: Apache-2.0
"""How rough an episode's joint commands are."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.policy.command import Command


class CommandRoughness:
    """Root mean squares of acceleration and jerk of a stream of commands, from velocities."""

    def __init__(self) -> None:
        """Start an episode."""
        self._velocities: list[np.ndarray] = []
        self._acceleration, self._jerk, self._count = 0.0, 0.0, 0

    def update(self, command: Command, dt_s: float) -> None:
        """Take the next command; where it does not continue the last one, begin anew."""
        if command.is_restart:
            self._velocities.clear()
        self._velocities.append(np.array(command.dq))
        if len(self._velocities) == 3:
            before, last, now = self._velocities
            self._acceleration += float(((now - last) ** 2).mean()) / dt_s ** 2
            self._jerk += float(((now - 2.0 * last + before) ** 2).mean()) / dt_s ** 4
            self._count += 1
            self._velocities.pop(0)

    @property
    def acceleration_rad_s2(self) -> float | None:
        """Return the acceleration's, over ticks and joints; None before the third command."""
        return float(np.sqrt(self._acceleration / self._count)) if self._count else None

    @property
    def jerk_rad_s3(self) -> float | None:
        """Return the jerk's, over ticks and joints; None before the third command."""
        return float(np.sqrt(self._jerk / self._count)) if self._count else None
