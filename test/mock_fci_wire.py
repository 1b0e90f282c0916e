# SPDX-License-Identifier: Apache-2.0
"""
The bytes of the robot's FCI, protocol version 10, as the installed pylibfranka speaks them.

The places of the state's numbers and error bits, and what the status bytes mean, were found by
sending one marked packet after another and looking at what the library made of it.
"""

from __future__ import annotations

import struct

VERSION = 10
PORT = 1337
HEADER = struct.Struct('<III')  # command, id, size with the header
CONNECT_REQUEST = struct.Struct('<HH')  # library version, UDP port of the client
CONNECT_REPLY = struct.Struct('<BH')  # status, server version
MOVE_REQUEST = struct.Struct('<II6d?7d')
STATE = struct.Struct('<Q320f2B41?41?Bf')
COMMAND = struct.Struct('<Q38d2?7d?')
COLLISION_REQUEST = struct.Struct('<52d')
LOAD_REQUEST = struct.Struct('<13d')

CONNECT, MOVE, STOP_MOVE, SET_COLLISION, SET_LOAD, RECOVER, GET_MODEL = 0, 1, 2, 3, 9, 10, 11
SETTERS = range(3, 10)

OK = 0
CONNECT_WRONG_VERSION = 1
MOVE_STARTED, MOVE_PREEMPTED, MOVE_NOT_POSSIBLE, MOVE_REFLEX, MOVE_USER_STOP = 1, 2, 5, 8, 9
MOVE_INVALID = 10
SETTER_NOT_POSSIBLE = 1
RECOVER_NOT_POSSIBLE, RECOVER_MANUAL, RECOVER_ABORTED = 1, 3, 6

IDLE, MOVING, GUIDING, REFLEX, USER_STOPPED = 1, 2, 3, 4, 5

# Name: (first place among the 320 numbers, how many).
FIELDS = {
    'O_T_EE': (0, 16), 'O_T_EE_d': (16, 16), 'F_T_EE': (32, 16), 'EE_T_K': (48, 16),
    'F_T_NE': (64, 16), 'NE_T_EE': (80, 16), 'm_ee': (96, 1), 'I_ee': (97, 9),
    'F_x_Cee': (106, 3), 'm_load': (109, 1), 'I_load': (110, 9), 'F_x_Cload': (119, 3),
    'elbow': (122, 2), 'elbow_d': (124, 2), 'tau_J': (126, 7), 'tau_J_d': (133, 7),
    'dtau_J': (140, 7), 'q': (147, 7), 'q_d': (154, 7), 'dq': (161, 7), 'dq_d': (168, 7),
    'ddq_d': (175, 7), 'joint_contact': (182, 7), 'cartesian_contact': (189, 6),
    'joint_collision': (195, 7), 'cartesian_collision': (202, 6),
    'tau_ext_hat_filtered': (208, 7), 'O_F_ext_hat_K': (215, 6), 'K_F_ext_hat_K': (221, 6),
    'O_dP_EE_d': (227, 6), 'O_ddP_O': (233, 3), 'elbow_c': (236, 2), 'delbow_c': (238, 2),
    'ddelbow_c': (240, 2), 'O_T_EE_c': (242, 16), 'O_dP_EE_c': (258, 6),
    'O_ddP_EE_c': (264, 6), 'theta': (270, 7), 'dtheta': (277, 7)}
# Of the 41 error bits those that the tests raise.
ERROR_BITS = {
    'joint_position_limits_violation': 0, 'self_collision_avoidance_violation': 2,
    'joint_velocity_violation': 3, 'joint_reflex': 6, 'cartesian_reflex': 7,
    'communication_constraints_violation': 25, 'power_limit_violation': 26}


def reply(command: int, number: int, payload: bytes) -> bytes:
    """Return one answer on the TCP connection."""
    return HEADER.pack(command, number, HEADER.size + len(payload)) + payload
