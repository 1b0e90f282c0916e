# SPDX-License-Identifier: Apache-2.0
"""The gripper's measured opening, from the topic that CRISP's gripper adapter publishes."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import InputError
from sensor_msgs.msg import JointState

GRIPPER_STATE_TOPIC = 'gripper/joint_states'
GRIPPER_COMMAND_TOPIC = 'gripper/gripper_position_controller/commands'


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
