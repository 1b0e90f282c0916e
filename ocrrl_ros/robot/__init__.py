# SPDX-License-Identifier: Apache-2.0
"""Franka Research 3: facts, models, kinematics, limits, command shaping, impedance, gripper."""
