# SPDX-License-Identifier: Apache-2.0
"""The contract of a base policy: observations in, chunks of absolute TCP targets out."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import numpy as np

HORIZON = 16
STEP_S = 0.05


@dataclasses.dataclass(frozen=True)
class BaseInputs:
    """
    What a base policy sees, for N robots at once.

    :param stamp_s: (N,) time of the observation in seconds.
    :param rgb: (N, H, W, 3) uint8 colour images at the camera's resolution, or None when the
        policy needs none.
    :param base_T_tcp: (N, 7) measured TCP poses in the robot base frame.
    :param gripper: (N,) measured opening, 0 closed .. 1 open.
    :param instructions: N sentences.
    :param privileged: simulator truth for scripted policies; always None in deployment.
    :param rows: (N,) index of each robot, for policies that keep state per robot (see
        ``reset``) and are asked about some robots only; 0 .. N - 1 when None.
    """

    stamp_s: np.ndarray
    rgb: np.ndarray | None
    base_T_tcp: np.ndarray
    gripper: np.ndarray
    instructions: tuple[str, ...]
    privileged: Any = None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        """Return N."""
        return len(self.base_T_tcp)


@dataclasses.dataclass(frozen=True)
class ChunkBatch:
    """
    Chunks of N robots: point i is meant for stamp + i * step.

    :param poses: (N, H, 7) absolute TCP targets in the robot base frame.
    :param grippers: (N, H) opening, 0 closed .. 1 open.
    """

    poses: np.ndarray
    grippers: np.ndarray


def switch_steps(grippers: np.ndarray) -> np.ndarray:
    """
    Return the first step (N,) at which the hand is told to open or close, -1 where it never is.

    :param grippers: (N, H) opening, 0 closed .. 1 open.
    """
    closed = grippers < 0.5
    changed = closed != closed[:, :1]
    return np.where(changed.any(axis=1), changed.argmax(axis=1), -1)


class BasePolicy(abc.ABC):
    """A frozen policy that plans chunks of ``horizon`` points, ``step_s`` apart."""

    horizon: int = HORIZON
    step_s: float = STEP_S
    needs_images: bool = True

    @abc.abstractmethod
    def infer(self, inputs: BaseInputs) -> ChunkBatch:
        """Return one chunk per robot in ``inputs``."""

    def drawing_from(self, rng: np.random.Generator) -> BasePolicy:
        """
        Return this policy with all that it draws at random taken from a generator.

        :param rng: of the ``base`` stream; a policy that draws nothing leaves it alone.
        """
        return self

    def reset(self, indices: np.ndarray | None = None) -> None:
        """
        Forget per-episode state of the given robots (all when None); stateless by default.

        :param indices: (M,) integer indices of the robots whose episode starts anew.
        """
