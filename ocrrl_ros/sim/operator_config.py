# SPDX-License-Identifier: Apache-2.0
"""Sizes of the scripted operator's errors and habits."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from ocrrl_ros.core.errors import ConfigError


def _setting(default: float, text: str) -> float:
    return field(default=default, metadata={'description': text})


@dataclass(frozen=True, kw_only=True)
class OperatorConfig:
    """Sizes of the operator's errors and habits; standard deviations unless said otherwise."""

    lateral_error_m: float = _setting(0.005, 'aim error in x and in y, m')
    depth_error_m: float = _setting(0.004, 'grip height error, m')
    yaw_error_rad: float = _setting(0.07, 'error of the judged object yaw, rad')
    correction_gain: float = _setting(0.5, 'share of the aim error left after a second look')
    correction_share: float = _setting(0.5, 'share of grasps with a second look')
    speed_m_s: float = _setting(0.15, 'median mean speed of a free stroke, m/s')
    descent_speed_m_s: float = _setting(0.07, 'median mean speed of the way down, m/s')
    speed_spread: float = _setting(0.22, 'sigma of the logarithm of speeds')
    turn_speed_rad_s: float = _setting(0.9, 'mean speed of turning the hand, rad/s')
    shortest_stroke_s: float = _setting(0.6, 'least duration of a stroke, s')
    curvature_m: float = _setting(0.02, 'sideways and upward bend of a free stroke, m')
    hover_height_m: float = _setting(0.09, 'mean height above the object before descending, m')
    hover_spread_m: float = _setting(0.015, 'spread of that height, m')
    reaction_s: float = _setting(0.4, 'mean time before the first motion, s')
    pause_s: float = _setting(0.2, 'mean pause at the hover point, s')
    descent_pause_share: float = _setting(0.2, 'share of descents with a pause half way')
    grip_offset_s: float = _setting(0.10, 'spread of closing before (-) or after (+) arrival, s')
    grip_wait_s: float = _setting(0.55, 'mean time between closing and lifting, s')
    lift_height_m: float = _setting(0.16, 'mean height of the lift, m')
    carry_height_m: float = _setting(0.14, 'mean height above the place while carrying, m')
    before_m: float = _setting(0.08, 'mean distance before a drawer where pushing starts, m')
    overrun_m: float = _setting(0.006, 'mean length of a push beyond the closed drawer, m')
    shut_m: float = _setting(0.012, 'opening of a drawer that counts as shut, m')
    tremor_m: float = _setting(0.0008, 'stationary tremor per axis, m')
    tremor_tau_s: float = _setting(0.3, 'correlation time of the tremor, s')
    empty_opening: float = _setting(0.25, 'opening below which the fingers hold nothing, 0..1')

    def __post_init__(self) -> None:
        """Refuse negative sizes and shares above 1."""
        for item in fields(self):
            value = getattr(self, item.name)
            upper = 1.0 if item.name.endswith(('share', 'gain', 'opening')) else np.inf
            if not 0.0 <= value <= upper:
                raise ConfigError(f'{item.name} is {value}; allowed: 0 .. {upper}')
        for name in ('speed_m_s', 'descent_speed_m_s', 'turn_speed_rad_s', 'tremor_tau_s',
                     'shortest_stroke_s'):
            if not getattr(self, name) > 0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
