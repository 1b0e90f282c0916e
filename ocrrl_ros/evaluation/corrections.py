# SPDX-License-Identifier: Apache-2.0
"""The targets of one episode before and after the residual, for the action-correction picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.evaluate import EvaluateConfig, rollout_settings
from ocrrl_ros.evaluation.film import Film
from ocrrl_ros.evaluation.policies import load_policies
from ocrrl_ros.evaluation.pose_sources import PoseKind
from ocrrl_ros.evaluation.rollout_factory import build_rollout
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task

DIGITS = 5
"""Decimals of a target in m: a hundredth of a millimetre."""


@dataclass(frozen=True, kw_only=True)
class CorrectionsConfig:
    """Which episode to log; it is the one that `ocrrl evaluate` runs with the same settings."""

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(default='sim', metadata={'description': 'sim, proxy or a domain file'})
    poses: PoseKind = field(
        default='modelled', metadata={'description': 'where the object poses come from'})
    seed: int = field(default=10_000, metadata={'description': 'evaluation seed'})
    episode: int = field(default=0, metadata={'description': 'number of the episode'})
    base: str | None = field(
        default=None, metadata={'description': "base bundle; default: the domain's own"})
    residual: str | None = field(
        default=None, metadata={'description': "residual bundle; default: the task's own"})

    def __post_init__(self) -> None:
        """Refuse episodes that do not exist."""
        if self.episode < 0:
            raise ConfigError(f'episode is {self.episode}; allowed: >= 0')


def log_corrections(config: CorrectionsConfig) -> dict[str, Any]:
    """
    Run one episode with base and residual and return its targets.

    :return: `time_s` (T,), `base_targets` and `corrected_targets` (T, 3) in m, base frame, one
        per policy tick, and where they come from.
    :raises BundleError: a bundle that cannot be used.
    """
    settings = rollout_settings(EvaluateConfig(
        task=config.task, domain=config.domain, policy='residual', poses=config.poses,
        base=config.base, residual=config.residual, episodes=1, seed=config.seed), film=True)
    task, domain = get_task(config.task), load_domain(config.domain)
    bundles = load_policies(task, settings.base, settings.residual)
    film = Film()
    rollout = build_rollout(settings, bundles)
    try:
        record = rollout.run(
            config.episode,
            episode_rngs(task.name, domain.name, config.seed, config.episode), film)
    finally:
        rollout.close()
    trace = film.trace()
    size = 1e3 * np.linalg.norm(trace.corrected_targets - trace.base_targets, axis=1)
    return {
        'task': task.name, 'domain': domain.name, 'poses': config.poses, 'seed': config.seed,
        'episode': config.episode, 'outcome': record.failure_mode,
        'duration_s': record.duration_s, 'init_sha256': record.init_sha256,
        'base_sha256': bundles.base_sha256, 'bundle_sha256': bundles.residual.sha256,
        'domain_sha256': domain.sha256(), 'train_seed': bundles.train_seed,
        'mean_mm': float(size.mean()), 'largest_mm': float(size.max()),
        'time_s': np.round(trace.time_s, 3).tolist(),
        'base_targets': np.round(trace.base_targets, DIGITS).tolist(),
        'corrected_targets': np.round(trace.corrected_targets, DIGITS).tolist()}
