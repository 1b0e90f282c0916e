# SPDX-License-Identifier: Apache-2.0
"""
Primitive shapes that make the generated models look like an FR3.

Own approximation of the arm's outline; sizes were read off the kinematic table and the public
data sheet's outline, to about 1 cm. Arm shapes are for the eye only; hand, fingers and pads also
collide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Vector = tuple[float, float, float]

COLOURS = {
    'shell': (0.93, 0.94, 0.95, 1.0),
    'joint': (0.55, 0.57, 0.60, 1.0),
    'dark': (0.18, 0.19, 0.20, 1.0),
    'pad': (0.08, 0.08, 0.08, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Rod:
    """Cylinder, or capsule when round, between two points of the link frame; m."""

    start: Vector
    end: Vector
    radius: float
    colour: str = 'shell'
    is_round: bool = True


@dataclass(frozen=True, kw_only=True)
class Block:
    """Axis-aligned box in the link frame: centre and half sizes in m."""

    centre: Vector
    half: Vector
    colour: str = 'shell'
    name: str = ''
    role: Literal['visual', 'collision', 'pad'] = 'visual'


Shape = Rod | Block

# The inner faces of the pads lie in the plane y = 0 of the finger frames, so that the gap between
# the pads equals the width that the hand reports; the TCP (z = 45 mm) lies at their middle.
_PAD_HALF = (0.0090, 0.0020, 0.0090)
_PAD_CENTRE = (0.0, 0.0020, 0.0445)


def _finger(pad_name: str) -> tuple[Shape, ...]:
    """Return carriage, fingertip and pad of one finger."""
    return (
        Block(centre=(0.0, 0.0165, 0.0100), half=(0.0105, 0.0085, 0.0100), colour='dark',
              role='collision'),
        Block(centre=(0.0, 0.0090, 0.0365), half=(0.0095, 0.0050, 0.0175), colour='dark',
              role='collision'),
        Block(centre=_PAD_CENTRE, half=_PAD_HALF, colour='pad', name=pad_name, role='pad'),
    )


SHAPES: dict[str, tuple[Shape, ...]] = {
    'fr3_link0': (
        Rod(start=(0, 0, 0), end=(0, 0, 0.140), radius=0.070, is_round=False),
        Block(centre=(-0.080, 0, 0.045), half=(0.070, 0.060, 0.045)),
        Block(centre=(-0.152, 0, 0.040), half=(0.004, 0.045, 0.030), colour='dark'),
    ),
    'fr3_link1': (
        Rod(start=(0, 0, -0.193), end=(0, 0, -0.060), radius=0.062, is_round=False),
        Rod(start=(0, 0, -0.075), end=(0, 0, 0), radius=0.060),
        Rod(start=(0, -0.075, 0), end=(0, 0.060, 0), radius=0.058, colour='joint',
            is_round=False),
    ),
    'fr3_link2': (
        Rod(start=(0, 0, 0), end=(0, -0.110, 0), radius=0.060),
        Rod(start=(0, -0.110, 0), end=(0, -0.195, 0), radius=0.062, is_round=False),
        Rod(start=(0, 0, 0.060), end=(0, 0, 0.078), radius=0.050, colour='joint',
            is_round=False),
    ),
    'fr3_link3': (
        Rod(start=(0, 0, -0.121), end=(0, 0, -0.050), radius=0.060, colour='joint',
            is_round=False),
        Rod(start=(0, 0, -0.050), end=(0.0825, 0, 0), radius=0.056),
        Rod(start=(0.0825, -0.065, 0), end=(0.0825, 0.065, 0), radius=0.055, is_round=False),
    ),
    'fr3_link4': (
        Rod(start=(0, 0, -0.078), end=(0, 0, 0.078), radius=0.048, colour='joint',
            is_round=False),
        Rod(start=(0, 0, 0), end=(-0.0825, 0.075, 0), radius=0.055),
        Rod(start=(-0.0825, 0.060, 0), end=(-0.0825, 0.124, 0), radius=0.060, is_round=False),
    ),
    'fr3_link5': (
        Rod(start=(0, 0, -0.260), end=(0, 0, -0.180), radius=0.060, colour='joint',
            is_round=False),
        Rod(start=(0, 0.010, -0.180), end=(0, 0.055, -0.050), radius=0.045),
        Rod(start=(0, 0.055, -0.050), end=(0, 0.070, 0), radius=0.044),
        Rod(start=(0, 0.030, 0), end=(0, 0.095, 0), radius=0.050, is_round=False),
    ),
    'fr3_link6': (
        Rod(start=(0, 0, -0.030), end=(0, 0, 0.050), radius=0.048, colour='joint',
            is_round=False),
        Rod(start=(0, 0, 0), end=(0.088, 0, 0), radius=0.044),
        Rod(start=(0.088, -0.050, 0), end=(0.088, 0.045, 0), radius=0.046, is_round=False),
    ),
    'fr3_link7': (
        Rod(start=(0, 0, 0.050), end=(0, 0, 0.085), radius=0.044, is_round=False),
        Rod(start=(0, 0, 0.085), end=(0, 0, 0.107), radius=0.032, colour='joint',
            is_round=False),
    ),
    'fr3_hand': (
        Block(centre=(0, 0, 0.0330), half=(0.0315, 0.1020, 0.0330), role='collision'),
        Block(centre=(0, 0, 0.0665), half=(0.0150, 0.0900, 0.0010), colour='dark'),
    ),
    'fr3_leftfinger': _finger('left_pad'),
    'fr3_rightfinger': _finger('right_pad'),
}
