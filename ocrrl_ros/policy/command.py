# SPDX-License-Identifier: Apache-2.0
"""What the deployment logic decides: one policy tick, one command."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ocrrl_ros.policy.blend import BlendFactors


@dataclass(frozen=True)
class PolicyAction:
    """
    One policy tick, as recorded.

    :param base_pose: (7,) target of the base policy, robot base frame.
    :param action: (7,) residual in [-1, 1], before gain; what oscillates in it is smoothed.
    :param gain: product of loss gain and operator gain; 0 when the residual is off.
    :param weight: share of the residual that gate and blend leave, 1 without either; gain x
        weight acts.
    :param blend: what the blend's part of it is made of.
    :param command_pose: (7,) composed target.
    :param is_takeover: a person's target, which stands for the base's; no residual acts.
    """

    stamp_s: float
    base_pose: np.ndarray
    base_gripper: float
    action: np.ndarray
    gain: float
    command_pose: np.ndarray
    command_gripper: float
    ik_converged: bool = True
    weight: float = 1.0
    blend: BlendFactors = BlendFactors()
    is_takeover: bool = False


@dataclass(frozen=True)
class Command:
    """
    One command tick: joint positions and velocities (7,) and gripper opening 0 .. 1.

    :param is_restart: this command does not continue the last one: it is where the arm was
        measured. A sink that interpolates begins anew.
    """

    q: np.ndarray
    dq: np.ndarray
    gripper: float
    is_restart: bool = False
