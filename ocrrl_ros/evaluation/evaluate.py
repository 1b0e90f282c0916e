# SPDX-License-Identifier: Apache-2.0
"""Evaluate a policy over many offline episodes, on all cores, resumable and paired by seed."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import functools
import hashlib
import json
from pathlib import Path
import time
from typing import Any, Literal

from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import default_base, default_residual
from ocrrl_ros.evaluation.chunk_schedule import RolloutConfig
from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.faults.run import FaultRun
from ocrrl_ros.evaluation.faults.settings import fault_settings, FaultConfig
from ocrrl_ros.evaluation.perturbations.settings import (
    check_names, disturbance_settings, DisturbanceConfig, PHASES)
from ocrrl_ros.evaluation.perturbations.twin_run import TwinRun
from ocrrl_ros.evaluation.policies import load_policies, PolicyBundles
from ocrrl_ros.evaluation.pose_noise import check_noise, NoiseName
from ocrrl_ros.evaluation.pose_sources import PoseKind
from ocrrl_ros.evaluation.provenance import available_cores, GitState, read_git_state
from ocrrl_ros.evaluation.result import summarise
from ocrrl_ros.evaluation.rollout_factory import build_rollout, RolloutSettings
from ocrrl_ros.evaluation.stress import check_stress, StressName
from ocrrl_ros.evaluation.worker_pool import run_items
from ocrrl_ros.sim.domain import Domain, load_domain
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task

REPORT_SEEDS = 1_000_000
Progress = Callable[[int, int, EpisodeRecord], None]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to evaluate."""

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(
        default='sim', metadata={'description': 'sim, proxy or a domain file'})
    policy: Literal['base', 'residual'] = field(
        default='residual', metadata={'description': 'base alone or base + residual'})
    poses: PoseKind = field(
        default='modelled', metadata={'description': 'where the object poses come from'})
    episodes: int = field(default=100, metadata={'description': 'number of episodes'})
    seed: int = field(
        default=10_000, metadata={
            'description': 'evaluation seed; development 10000..19999, report >= 1000000'})
    base: str | None = field(
        default=None, metadata={
            'description': (
                "base bundle, or scripted: 'expert', 'expert_on_poses' (goes by --poses), 'idle' "
                "(holds, hand open), 'random'; default: the domain's own")})
    residual: str | None = field(
        default=None, metadata={'description': "residual bundle; default: the task's own"})
    pose_noise: NoiseName = field(
        default='none', metadata={'description': (
            "errors in place of the pose sensor's, for truth and modelled poses: test (white "
            '10 mm and 5 deg, bias 3 mm and 1.5 deg), bias_K (K mm alone), paper (uniform)')})
    gate: Literal['on', 'off'] = field(
        default='on', metadata={
            'description': "whether the gate of the residual's bundle acts, where it has one"})
    perturb: tuple[str, ...] | None = field(default=None, metadata={'description': (
        'disturb every episode once by one of these kinds, and run it undisturbed beside: push, '
        'slide, twist, drop, poke; without a kind: all that suit the task')})
    perturb_when: tuple[str, ...] = field(default=PHASES, metadata={'description': (
        'before, during, after the grasp; each kind happens where it does something')})
    stall_s: float = field(default=0.0, metadata={'description': (
        'in place of --perturb: the base stops planning for this long once an episode, s')})
    disturbance: DisturbanceConfig = field(
        default_factory=DisturbanceConfig, metadata={'description': 'sizes of disturbances'})
    blend: Literal['on', 'off'] = field(
        default='on', metadata={
            'description': 'whether the residual is taken back where it is out of its depth'})
    stress: StressName = field(
        default='none', metadata={'description': (
            'what no residual was trained in: told_noise (covariances say what pose_noise does), '
            'wrong_place (poses 0.3 m off), told_place (the same, and covariances of 0.1 m), '
            'tilted (by 0.6 rad), oscillating (a swing of 12 mm on the residual)')})
    faults: tuple[str, ...] | None = field(default=None, metadata={'description': (
        'let one of these faults happen in every episode, in turn: loss, delay, reorder, '
        'clock_forward, clock_back, nan, inf, huge, frozen_camera, frozen_stamps, stall_0.2s, '
        'stall_1s, stall_3s, stall_10s; without a name: all')})
    fault: FaultConfig = field(
        default_factory=FaultConfig, metadata={'description': 'when and how severe faults are'})
    rollout: RolloutConfig = field(
        default_factory=RolloutConfig, metadata={'description': 'timing of the stack'})
    workers: int = field(default=0, metadata={'description': 'processes; 0: one per core'})

    def __post_init__(self) -> None:
        """Refuse counts and seeds that mean nothing."""
        if self.episodes < 1:
            raise ConfigError(f'episodes is {self.episodes}; allowed: >= 1')
        if self.seed < 0:
            raise ConfigError(f'seed is {self.seed}; allowed: >= 0')
        check_noise(self.pose_noise, self.poses)
        check_names(self.perturb, self.perturb_when, self.stall_s)
        check_stress(self.stress, self.policy, self.pose_noise)
        if fault_settings(self.faults, self.fault) is not None and (
                self.perturb is not None or self.stall_s > 0.0):
            raise ConfigError(
                f'faults is {self.faults} and perturb or stall_s is given; allowed: one of them')
        if self.workers < 0:
            raise ConfigError(f'workers is {self.workers}; allowed: >= 0, 0 is one per core')


def check_seed(seed: int, git: GitState) -> None:
    """Raise ConfigError when a report seed is used on a tree that cannot be named."""
    if seed >= REPORT_SEEDS and git.dirty:
        raise ConfigError(
            f'seed {seed} is a report seed (>= {REPORT_SEEDS}) and the source tree has '
            'uncommitted changes: commit first, or use a development seed, 10000..19999')


class EpisodeWorker:
    """Runs any episode of one evaluation; lives in a worker process."""

    def __init__(self, settings: RolloutSettings):
        """Build world, renderer and networks once."""
        self._settings = settings
        self._task = get_task(settings.task)
        self._domain = load_domain(settings.domain)
        self._rollout = build_rollout(settings)
        self._twins = self._faults = None
        if settings.disturbances is not None:
            self._twins = TwinRun(self._rollout, self._task, settings.disturbances)
        if settings.faults is not None:
            self._faults = FaultRun(
                self._rollout, settings.faults, settings.rollout.command_period_s)

    def __call__(self, episode: int) -> dict[str, Any]:
        """Run one episode; its streams depend on nothing but its number."""
        streams = functools.partial(
            episode_rngs, self._task.name, self._domain.name, self._settings.seed, episode)
        if self._twins is not None:
            return self._twins.run(episode, streams).to_mapping()
        if self._faults is not None:
            return self._faults.run(episode, streams).to_mapping()
        return self._rollout.run(episode, streams()).to_mapping()

    def close(self) -> None:
        """Free the renderer."""
        self._rollout.close()


class PartFile:
    """Finished episodes of an evaluation that may be interrupted, one JSON line each."""

    def __init__(self, path: Path | None, fingerprint: str):
        """
        Read what an earlier run finished.

        :param path: the file, or None to keep nothing.
        :param fingerprint: hash of everything that the episodes depend on; a file with another
            one is started anew.
        """
        self._path = path
        self._fingerprint = fingerprint
        self.records: dict[int, EpisodeRecord] = {}
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        """Read whole lines; a line that was cut off by a crash ends the reading."""
        for index, line in enumerate(path.read_text(encoding='utf-8').splitlines()):
            try:
                entry = json.loads(line)
            except ValueError:
                return
            if index == 0:
                if entry.get('fingerprint') != self._fingerprint:
                    return
                continue
            record = EpisodeRecord.from_mapping(entry)
            self.records[record.episode] = record

    def start(self) -> None:
        """Write header and known records anew, so that the file is whole."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = [{'fingerprint': self._fingerprint}]
        lines += [record.to_mapping() for record in self.records.values()]
        self._path.write_text(''.join(json.dumps(line) + '\n' for line in lines), 'utf-8')

    def add(self, record: EpisodeRecord) -> None:
        """Keep a finished episode."""
        self.records[record.episode] = record
        if self._path is not None:
            with self._path.open('a', encoding='utf-8') as file:
                file.write(json.dumps(record.to_mapping()) + '\n')

    def remove(self) -> None:
        """Delete the file, after the result was written."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def fingerprint(config: EvaluateConfig, domain: Domain, bundles: PolicyBundles,
                git: GitState) -> str:
    """Hash all that decides the episodes' results; the number of episodes and workers do not."""
    settings = to_mapping(config)
    for name in ('episodes', 'workers'):
        settings.pop(name)
    residual = bundles.residual.sha256 if bundles.residual else ''
    text = json.dumps([settings, domain.sha256(), bundles.base_sha256, residual, git.commit],
                      sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def rollout_settings(config: EvaluateConfig, *, film: bool = False) -> RolloutSettings:
    """
    Return what a worker builds its rollout from, with the bundles that ship where none is named.

    :param film: whether episodes are to be filmed.
    :raises BundleError: nothing ships for the world or the task.
    :raises ConfigError: disturbances that do not suit the task.
    """
    residual = None
    if config.policy == 'residual':
        residual = config.residual or default_residual(config.task)
    return RolloutSettings(
        task=config.task, domain=config.domain, residual=residual, poses=config.poses,
        base=config.base or default_base(config.domain), seed=config.seed,
        gate=config.gate == 'on', blend=config.blend == 'on', stress=config.stress,
        rollout=config.rollout, pose_noise=config.pose_noise, film=film,
        disturbances=disturbance_settings(
            get_task(config.task), config.perturb, config.perturb_when, config.stall_s,
            config.disturbance), faults=fault_settings(config.faults, config.fault))


def evaluate(config: EvaluateConfig, progress: Progress | None = None,
             part_path: Path | None = None) -> dict[str, Any]:
    """
    Run an evaluation and return its result.

    :param progress: called after every episode with done, total and the record.
    :param part_path: where finished episodes are kept until all are done, for resuming.
    :raises ConfigError: a report seed on a dirty tree, an unknown task or domain.
    :raises BundleError: a bundle that cannot be used.
    """
    started = time.monotonic()
    git = read_git_state()
    check_seed(config.seed, git)
    task, domain = get_task(config.task), load_domain(config.domain)
    settings = rollout_settings(config)
    bundles = load_policies(task, settings.base, settings.residual)
    parts = PartFile(part_path, fingerprint(config, domain, bundles, git))
    parts.start()
    for record in _missing_episodes(config, settings, parts):
        parts.add(record)
        if progress is not None:
            progress(len(parts.records), config.episodes, record)
    records = [parts.records[episode] for episode in range(config.episodes)]
    result = summarise(config, domain, bundles, records, git)
    result['wall_s'] = round(time.monotonic() - started, 3)
    parts.remove()
    return result


def _missing_episodes(config: EvaluateConfig, settings: RolloutSettings,
                      parts: PartFile) -> Iterator[EpisodeRecord]:
    """Run the episodes that no earlier run finished."""
    missing = [episode for episode in range(config.episodes) if episode not in parts.records]
    workers = config.workers or available_cores()
    for mapping in run_items(EpisodeWorker, settings, missing, workers=workers):
        yield EpisodeRecord.from_mapping(mapping)
