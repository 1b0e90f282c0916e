# SPDX-License-Identifier: Apache-2.0
"""
How far the base's plan may run ahead of a hand that does not follow it.

A chunk is a course in time. Where residual, contact or a limit keeps the hand from following, its
points run away until the next chunk begins at the measured hand again: the lead grows past the
residual's bound, and base and residual hold each other in the balance for ever
(docs/notes/residual.md, "A plan that waits for the hand"). So the lead of a hand at rest is
bounded, and grows with its speed towards the target, as the lag of an arm that follows does. It is
the anti-windup of the plan. It waits as far as the residual pulls: a base alone, or one whose
residual adds nothing, is executed as it is.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy import kernels

# Templates of sizes, see compiled_ufunc.
_POSE, _TWIST, _VELOCITY = np.zeros(7), np.zeros(6), np.zeros(3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeadConfig:
    """How far the base's target may lie ahead of the measured TCP."""

    rest_m: float = dataclasses.field(
        default=0.010, metadata={'description': 'largest lead of a hand at rest, m'})
    speed_s: float = dataclasses.field(
        default=0.15, metadata={
            'description': "by how much it grows with the hand's speed that way, s"})

    def __post_init__(self) -> None:
        """Refuse leads with which nothing would ever move."""
        for name, low, high in (('rest_m', 0.001, 10.0), ('speed_s', 0.0, 10.0)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f'lead.{name} is {value}; allowed: {low} .. {high}')


def pull(
        base_targets: np.ndarray, targets: np.ndarray, config: LeadConfig) -> np.ndarray:
    """
    Return how hard a residual pulls (N,): from 0, not at all, to 1, by the lead at rest or more.

    :param base_targets: (N, 7) before the residual.
    :param targets: (N, 7) after it.
    """
    return kernels.pull(base_targets, targets, config.rest_m, _POSE)


def limit_lead(
        targets: np.ndarray, twists: np.ndarray, base_T_tcp: np.ndarray,
        tcp_velocity: np.ndarray, pulled: np.ndarray,
        config: LeadConfig) -> tuple[np.ndarray, np.ndarray]:
    """
    Return plans whose targets have waited for the hand; those within the lead are copied.

    The whole plan is shifted back along the way to its first target, so that its course stays.

    :param targets: (N, K, 7) base frame; the first one is executed now.
    :param twists: (N, 6) velocity of the first target, base frame, m/s and rad/s.
    :param base_T_tcp: (N, 7) measured.
    :param tcp_velocity: (N, 3) measured, m/s, base frame.
    :param pulled: (N,) in [0, 1], how hard the residual pulled in the last tick, see ``pull``; so
        much of the waiting counts, and 0 returns the plan unchanged.
    :return: targets (N, K, 7) and twists (N, 6).
    """
    return kernels.limit_lead(
        targets, twists, base_T_tcp, tcp_velocity, pulled, config.rest_m, config.speed_s,
        _POSE, _TWIST, _VELOCITY)
