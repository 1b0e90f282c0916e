# SPDX-License-Identifier: Apache-2.0
"""Judge the joint targets that another process received."""
import numpy as np
from ocrrl_ros.robot.limits import JointLimits

SILENCE_S = 0.2
"""After a longer pause a stream begins anew, where the arm is then."""
_SLACK_RAD = 1e-4
_SLACK_RAD_S = 0.02


def count_broken_targets(
        times_s: np.ndarray, q: np.ndarray, limits: JointLimits) -> dict[str, int]:
    """
    Return how many targets lie outside the position limits, or were reached too fast.

    Speeds are those between neighbours, by the times that the sender stamped. Velocities and
    accelerations do not travel: `evaluate --faults` judges those where they are made.

    :param times_s: (N,) stamps; q (N, 7) rad.
    """
    if not len(q):
        return {'targets': 0, 'not finite': 0, 'position': 0, 'velocity': 0}
    outside = (q < limits.position_lower) | (q > limits.position_upper)
    lower, upper = limits.velocity_bounds(q)
    step_s = np.diff(times_s)[:, None]
    move = np.diff(q, axis=0)
    room = _SLACK_RAD + _SLACK_RAD_S * step_s
    too_fast = ((move > np.maximum(upper[1:], upper[:-1]) * step_s + room)
                | (move < np.minimum(lower[1:], lower[:-1]) * step_s - room))
    too_fast &= step_s < SILENCE_S
    return {'targets': len(q), 'not finite': int((~np.isfinite(q)).any(axis=1).sum()),
            'position': int(outside.any(axis=1).sum()),
            'velocity': int(too_fast.any(axis=1).sum())}
