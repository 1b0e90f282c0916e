# SPDX-License-Identifier: Apache-2.0
"""The gripper's topics: the measured opening, as CRISP's adapter publishes it, and the wished."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import InputError
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

GRIPPER_STATE_TOPIC = 'gripper/joint_states'
GRIPPER_COMMAND_TOPIC = 'gripper/gripper_position_controller/commands'
_FINGERS = ('finger_joint1', 'finger_joint2')
#: What rounding may add to an end.
_TOLERANCE = 1e-6


def opening_from_message(message: JointState) -> float:
    """
    Return the opening, 0 closed .. 1 open.

    :raises InputError: the message holds no finite position.
    """
    if not message.position or not np.isfinite(message.position[0]):
        raise InputError(
            f'{GRIPPER_STATE_TOPIC} holds positions {list(message.position)}; one finite opening '
            '0 .. 1 is needed')
    return float(np.clip(message.position[0], 0.0, 1.0))


def opening_from_command(message: Float64MultiArray) -> float:
    """
    Return the wished opening, 0 closed .. 1 open.

    :raises InputError: the message is not one finite opening.
    """
    values = list(message.data)
    if len(values) != 1:
        raise InputError(
            f'{GRIPPER_COMMAND_TOPIC} holds {len(values)} values; one opening 0 .. 1 is needed')
    opening = values[0]
    if not -_TOLERANCE <= opening <= 1.0 + _TOLERANCE:
        raise InputError(
            f'{GRIPPER_COMMAND_TOPIC} wishes an opening of {opening}; allowed: 0 closed .. 1 open')
    return float(np.clip(opening, 0.0, 1.0))


def width_from_fingers(message: JointState, topic: str) -> float:
    """
    Return the width between both fingers, m: the sum of their positions.

    The joints are found by the end of their names, so that a prefix does not matter.

    :raises InputError: a finger is missing, or its position is not finite.
    """
    found = dict(zip(message.name, message.position))
    widths_m = [next((position for name, position in found.items() if name.endswith(finger)),
                     float('nan')) for finger in _FINGERS]
    if not np.isfinite(widths_m).all():
        raise InputError(
            f'{topic} holds joints {list(message.name)} at {list(message.position)}; finite '
            f'positions of joints ending in {" and ".join(_FINGERS)} are needed, m')
    return max(float(sum(widths_m)), 0.0)
