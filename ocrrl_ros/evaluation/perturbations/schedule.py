# SPDX-License-Identifier: Apache-2.0
"""What disturbs an episode: drawn from its perturbation stream before it begins."""
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.evaluation.perturbations.settings import (
    AFTER, BEFORE, DisturbanceConfig, DisturbanceSettings, DURING, STALL)

SIZES = {'push': 'push_m', 'slide': 'slide_m', 'twist': 'twist_deg', 'poke': 'poke_n'}
MOMENTS = {BEFORE: 'before_m', DURING: 'during_m', AFTER: 'after_s', '': 'stall_at_s'}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One disturbance as drawn; when its moment comes depends on the episode."""

    kind: str
    phase: str
    """Empty for a stall, whose moment is a time."""
    moment: float
    """Distance in m (before, during), time held in s (after) or time of the episode in s."""
    size: float
    """Of the kind's unit: m, degrees or N; for a stall s, for a drop 0."""
    direction_rad: float
    """Horizontal direction, base frame; its half plane decides the sense of a twist."""


def draw_plan(rng: np.random.Generator, settings: DisturbanceSettings) -> Plan:
    """
    Draw the disturbance of an episode; always the same number of draws.

    :param rng: the episode's perturbation stream.
    """
    choices = settings.choices()
    which, stage = (int(number) for number in rng.integers(2 ** 32, size=2))
    kind = tuple(choices)[which % len(choices)]
    phase = choices[kind][stage % len(choices[kind])]
    when, how_much, turn = rng.random(3)
    size = _between(settings.sizes, SIZES.get(kind), how_much)
    return Plan(
        kind=kind, phase=phase, moment=_between(settings.sizes, MOMENTS[phase], when),
        size=settings.stall_s if kind == STALL else size,
        direction_rad=float((2.0 * turn - 1.0) * np.pi))


def _between(sizes: DisturbanceConfig, name: str | None, share: float) -> float:
    """Return the value at a share of a range; 0 without one."""
    low, high = getattr(sizes, name) if name else (0.0, 0.0)
    return float(low + share * (high - low))
