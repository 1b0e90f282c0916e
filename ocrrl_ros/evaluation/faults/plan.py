# SPDX-License-Identifier: Apache-2.0
"""What fails in an episode, and when: drawn from its perturbation stream before it begins."""
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.evaluation.faults.settings import FaultSettings, STALLS_S


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """One fault as drawn; times are of the episode, s."""

    name: str
    begin_s: float
    lasts_s: float

    @property
    def end_s(self) -> float:
        """Return when it is over."""
        return self.begin_s + self.lasts_s

    def acts(self, now_s: float) -> bool:
        """Return whether it acts at a time of the episode."""
        return self.begin_s - 1e-9 <= now_s < self.end_s - 1e-9


def draw_fault(
        rng: np.random.Generator, episode: int, settings: FaultSettings) -> FaultPlan:
    """
    Draw the fault of an episode; always the same number of draws.

    :param rng: the episode's perturbation stream.
    """
    when, how_long = rng.random(2)
    name = settings.names[episode % len(settings.names)]
    lasts_s = _between(settings.sizes.lasts_s, how_long)
    return FaultPlan(
        name=name, begin_s=_between(settings.sizes.begin_s, when),
        lasts_s=STALLS_S.get(name, lasts_s))


def _between(bounds: tuple[float, float], share: float) -> float:
    """Return the value at a share of a range."""
    return float(bounds[0] + share * (bounds[1] - bounds[0]))
