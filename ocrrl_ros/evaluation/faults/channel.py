# SPDX-License-Identifier: Apache-2.0
"""A topic on which messages get lost, come late, overtake each other or hold wrong numbers."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from ocrrl_ros.evaluation.faults.plan import FaultPlan
from ocrrl_ros.evaluation.faults.settings import FaultConfig

M = TypeVar('M')
WRONG = {'nan': (np.nan,), 'inf': (np.inf, -np.inf), 'huge': (1e30, -1e30)}


@dataclass(frozen=True)
class JointReading:
    """
    One message with the arm's joints.

    :param q: (7,) rad; dq (7,) rad/s.
    """

    q: np.ndarray
    dq: np.ndarray
    stamp_s: float


@dataclass(frozen=True)
class ChunkReading:
    """
    One chunk as it travels, its numbers unchecked.

    :param poses: (H, 7) in the base frame; grippers (H,), 0 closed .. 1 open.
    """

    stamp_s: float
    step_s: float
    poses: np.ndarray
    grippers: np.ndarray


def garbled(values: np.ndarray, wrong: float, rng: np.random.Generator) -> np.ndarray:
    """Return a copy of an array of which one number, drawn, is wrong."""
    changed = np.array(values, dtype=float)
    changed.flat[int(rng.integers(changed.size))] = wrong
    return changed


class FaultyChannel(Generic[M]):
    """
    Delivers the messages of one topic as a fault lets it.

    :param garble: returns a message with a wrong number in it: of the message, the number and the
        generator that draws its place.
    """

    def __init__(
            self, plan: FaultPlan, sizes: FaultConfig, rng: np.random.Generator,
            garble: Callable[[M, float, np.random.Generator], M]):
        """Start with nothing under way."""
        self._plan = plan
        self._sizes = sizes
        self._rng = rng
        self._garble = garble
        self._under_way: list[tuple[float, int, M]] = []
        self._sent = 0
        self.garbled = 0
        """Messages that were given a wrong number."""

    def deliver(self, messages: Sequence[M], now_s: float) -> list[M]:
        """Send messages now, and return what arrives now, in the order of arrival."""
        for message in messages:
            for sent, late_s in self._copies(message, now_s):
                self._sent += 1
                self._under_way.append((now_s + late_s, self._sent, sent))
        arrived = sorted(
            (item for item in self._under_way if item[0] <= now_s + 1e-9), key=lambda it: it[:2])
        self._under_way = [item for item in self._under_way if item[0] > now_s + 1e-9]
        return [message for _, _, message in arrived]

    def _copies(self, message: M, now_s: float) -> list[tuple[M, float]]:
        """Return what becomes of a message: copies, and by how much each comes late, s."""
        name, sizes, rng = self._plan.name, self._sizes, self._rng
        if not self._plan.acts(now_s):
            return [(message, 0.0)]
        if name == 'loss':
            return [] if rng.random() < sizes.loss_share else [(message, 0.0)]
        if name == 'delay':
            return [(message, sizes.delay_s)]
        if name == 'reorder':
            count = 2 if rng.random() < sizes.twice_share else 1
            return [(message, float(rng.uniform(0.0, sizes.reorder_s))) for _ in range(count)]
        if name in WRONG and rng.random() < sizes.garbled_share:
            self.garbled += 1
            wrong = WRONG[name][int(rng.integers(len(WRONG[name])))]
            return [(self._garble(message, wrong, rng), 0.0)]
        return [(message, 0.0)]
