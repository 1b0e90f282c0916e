# SPDX-License-Identifier: Apache-2.0
"""Several base policies, each of which acts in some of the environments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy, ChunkBatch
from ocrrl_ros.sim.vec_mixed_base import spread_rows


def deal_rows(num_envs: int, share: float, count: int) -> np.ndarray:
    """
    Return (N,) which base acts in each environment: 0 for its own, 1 .. count for the others.

    The others take a share of the environments between them, in even distances: exploration is
    graded over the environments, and every base is to meet all grades.
    """
    owners = np.zeros(num_envs, np.int64)
    chosen = np.flatnonzero(spread_rows(num_envs, share))
    owners[chosen] = 1 + np.arange(len(chosen)) % count
    return owners


class BasePool(BasePolicy):
    """
    Asks, for each environment, the base that acts there.

    A residual that has met one base alone counts on that one's faults.

    :param policies: stateless bases of the same horizon and step; the first is the own one.
    :param owners: (N,) which of them acts in each environment.
    """

    def __init__(self, policies: Sequence[BasePolicy], owners: np.ndarray):
        """Refuse bases that plan at different times."""
        first = policies[0]
        self.horizon, self.step_s = first.horizon, first.step_s
        self.needs_images = any(policy.needs_images for policy in policies)
        for policy in policies[1:]:
            if (policy.horizon, policy.step_s) != (self.horizon, self.step_s):
                raise ConfigError(
                    f'another base plans {policy.horizon} points of {policy.step_s} s; allowed: '
                    f'as the own one, {self.horizon} of {self.step_s} s')
        self._policies = tuple(policies)
        self.owners = owners

    def infer(self, inputs: BaseInputs) -> ChunkBatch:
        """Return one chunk per environment in ``inputs``."""
        rows = np.arange(len(inputs)) if inputs.rows is None else inputs.rows
        owners = self.owners[rows]
        poses = np.empty((len(rows), self.horizon, 7))
        grippers = np.empty((len(rows), self.horizon))
        for number in np.unique(owners):
            chosen = np.flatnonzero(owners == number)
            chunks = self._policies[number].infer(_part(inputs, rows, chosen))
            poses[chosen], grippers[chosen] = chunks.poses, chunks.grippers
        return ChunkBatch(poses, grippers)


def _part(inputs: BaseInputs, rows: np.ndarray, chosen: np.ndarray) -> BaseInputs:
    """Return what bases see of the chosen robots (M,)."""
    return BaseInputs(
        stamp_s=inputs.stamp_s[chosen],
        rgb=None if inputs.rgb is None else inputs.rgb[chosen],
        base_T_tcp=inputs.base_T_tcp[chosen], gripper=inputs.gripper[chosen],
        instructions=tuple(inputs.instructions[index] for index in chosen),
        privileged=inputs.privileged, rows=rows[chosen])
