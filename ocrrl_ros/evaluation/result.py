# SPDX-License-Identifier: Apache-2.0
"""The result of an evaluation as JSON (design section 4, protocol section 6)."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.failure_modes import count_modes
from ocrrl_ros.evaluation.faults.settings import fault_settings
from ocrrl_ros.evaluation.faults.summary import summarise_faults
from ocrrl_ros.evaluation.perturbations.settings import disturbance_settings
from ocrrl_ros.evaluation.perturbations.summary import summarise_disturbances
from ocrrl_ros.evaluation.policies import PolicyBundles
from ocrrl_ros.evaluation.pose_noise import named_noise
from ocrrl_ros.evaluation.provenance import describe_machine, GitState
from ocrrl_ros.evaluation.statistics import lower_bound, wilson_interval
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.tasks import get_task, SUCCESS_VERSION

PROTOCOL_VERSION = 1


def summarise(config: Any, domain: Domain, bundles: PolicyBundles,
              records: Sequence[EpisodeRecord], git: GitState) -> dict[str, Any]:
    """
    Build the result of finished episodes.

    :param config: the EvaluateConfig; written into the result.
    :param records: in order of their episode number.
    """
    n, successes = len(records), sum(record.outcome for record in records)
    modes = [record.failure_mode for record in records]
    low, high = wilson_interval(successes, n)
    return {
        'task': config.task, 'domain': domain.name, 'policy': config.policy,
        'poses': config.poses, 'pose_noise': _noise_of(config),
        'seed': config.seed, 'episodes': n, 'successes': successes,
        'rate': successes / n, 'wilson95': [low, high],
        'lower_bound95': lower_bound(successes, n),
        'mean_episode_s': float(np.mean([record.duration_s for record in records])),
        'bundle_sha256': bundles.residual.sha256 if bundles.residual else bundles.base_sha256,
        'gate': config.gate == 'on' and bundles.has_gate,
        'base': bundles.base_name, 'base_sha256': bundles.base_sha256,
        'train_seed': bundles.train_seed, 'eval_seed': config.seed,
        'domain_sha256': domain.sha256(), 'success_version': SUCCESS_VERSION,
        'protocol_version': PROTOCOL_VERSION, 'git': git.commit, 'git_dirty': git.dirty,
        'outcomes': [bool(record.outcome) for record in records],
        'init_sha256': [record.init_sha256 for record in records],
        'failure_modes': modes, 'failure_counts': count_modes(modes),
        'durations_s': [record.duration_s for record in records],
        'residual': residual_summary(records),
        'hold_share': float(np.mean([record.hold_share for record in records])),
        'pose_valid_share': float(np.mean([record.pose_valid_share for record in records])),
        'clip_inactive_share': _mean_known([record.clip_inactive_share for record in records]),
        **{name: _mean_known([getattr(record, name) for record in records])
           for name in ('command_acceleration_rad_s2', 'command_jerk_rad_s3')},
        'mean_wall_episode_s': float(np.mean([record.wall_s for record in records])),
        'config': to_mapping(config), 'machine': describe_machine(),
        **_disturbance(config, domain, records), **_faults(config, records)}


def _disturbance(config: Any, domain: Domain,
                 records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Return the block on disturbances, nothing where there were none."""
    settings = disturbance_settings(
        get_task(config.task), config.perturb, config.perturb_when, config.stall_s,
        config.disturbance)
    if settings is None:
        return {}
    timing = config.rollout
    latencies_s = {
        'camera_delay': domain.camera.delay_s, 'camera_period': 1.0 / domain.camera.rate_hz,
        'tracker_latency': timing.tracker_latency_s, 'policy_period': timing.policy_period_s,
        'command_period': timing.command_period_s, 'replan_period': timing.replan_period_s,
        'chunk_latency': list(timing.chunk_latency_s),
        'observation_delay': domain.arm.observation_delay_s}
    return {'disturbance': summarise_disturbances(settings, latencies_s, records)}


def _faults(config: Any, records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Return the block on faults and whether no limit was broken, nothing without faults."""
    settings = fault_settings(config.faults, config.fault)
    if settings is None:
        return {}
    block = summarise_faults(settings, records)
    return {'faults': block, 'passed': block['violations_total'] == 0}


def _noise_of(config: Any) -> dict[str, Any]:
    """Return the name and the sizes of the noise that poses were given."""
    noise = named_noise(config.pose_noise)
    return {'name': config.pose_noise} | ({} if noise is None else to_mapping(noise))


def residual_summary(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    """Average the residual's statistics over the episodes."""
    names = ('mean_translation_mm', 'mean_rotation_deg', 'saturated_share',
             'sign_changes_per_s', 'mean_gain', 'mean_weight', 'mean_blend', 'blended_share')
    return {name: float(np.mean([getattr(record.residual, name) for record in records]))
            for name in names}


def _mean_known(values: Sequence[float | None]) -> float | None:
    """Average what was measured; None when nothing was."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
