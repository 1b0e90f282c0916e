# SPDX-License-Identifier: Apache-2.0
"""A description of a training environment that any process can build it from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
import functools
from pathlib import Path

import numpy as np
from ocrrl_ros.core.bundle import load_bundle
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.policy.adapters.onnx_policy import OnnxBasePolicy
from ocrrl_ros.policy.base_policy import BasePolicy
from ocrrl_ros.policy.observation import LayoutVariant, ObservationLayout
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.sim.base_pool import BasePool, deal_rows
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.experts import expert_for
from ocrrl_ros.sim.guide import guide_for
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
from ocrrl_ros.sim.stand_in import StandInBase, StandInConfig
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.vec_config import VecEnvConfig
from ocrrl_ros.sim.vec_env import ResidualVecEnv
from ocrrl_ros.sim.vec_image_env import ImageVecEnv
from ocrrl_ros.sim.visual_randomization import VisualRandomization

TRAINING_DOMAIN = 'sim'
"""The only world that training opens."""
SCRIPTED_BASES = ('stand_in', 'expert')


def load_pose_model(path: Path | None = None) -> PoseModelConfig:
    """Return the settings of a file, config/pose_model.yaml when None."""
    return load_yaml(PoseModelConfig, path or config_path('pose_model.yaml'))


def load_environment(num_envs: int) -> VecEnvConfig:
    """Return the environments that residuals are trained in, config/train/environment.yaml."""
    return replace(
        load_yaml(VecEnvConfig, config_path('train', 'environment.yaml')), num_envs=num_envs)


@dataclass(frozen=True, kw_only=True)
class EnvOrigin:
    """
    The task and the base that a run is for.

    :param base: name of a scripted base, or the hash of a bundle's network: the same network
        under another path, or with other metrics in its manifest, is the same base.
    :param other_bases: the hashes of further bases that it is trained among.
    """

    task: str = ''
    base: str = ''
    other_bases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EnvRecipe:
    """Everything that a `ResidualVecEnv` is made of; pickles to worker processes."""

    task: str = 'cube_lift'
    base: str = field(default='stand_in', metadata={
        'description': 'folder of a base bundle, or a scripted base for benchmarks: '
        + ', '.join(SCRIPTED_BASES)})
    other_bases: tuple[str, ...] = field(default=(), metadata={'description': (
        'folders of further base bundles, which act in a share of the environments, '
        'env.other_base_share')})
    seed: int = 0
    env: VecEnvConfig = field(default_factory=VecEnvConfig)
    observation: LayoutVariant = field(
        default='relative', metadata={'description': 'observation layout of the residual'})
    pose_model: PoseModelConfig = field(default_factory=load_pose_model)
    stand_in: StandInConfig = field(default_factory=StandInConfig)
    images: VisualRandomization | None = field(default=None, metadata={
        'description': 'pictures for a residual that sees them; None takes none'})

    def __post_init__(self) -> None:
        """Refuse unknown tasks, missing bundles and seeds early, before any process starts."""
        get_task(self.task)
        load_task_spec(self.task).layout(self.observation)
        if self.seed < 0:
            raise ConfigError(f'seed is {self.seed}; allowed: >= 0')
        if self.other_bases and self.base in SCRIPTED_BASES:
            raise ConfigError(
                f'other_bases is {self.other_bases} beside the scripted base {self.base}; '
                'allowed: beside a base bundle')
        for folder in self._bundles:
            load_bundle(folder, 'base', task=self.task)

    @property
    def _bundles(self) -> tuple[str, ...]:
        """Return the folders of all bases that are bundles, the own one first."""
        own = () if self.base in SCRIPTED_BASES else (self.base,)
        return (*own, *self.other_bases)

    @property
    def origin(self) -> EnvOrigin:
        """Return what a run on these environments must keep to be the same run."""
        if self.base in SCRIPTED_BASES:
            return EnvOrigin(task=self.task, base=self.base)
        base, *others = (
            load_bundle(folder, 'base', task=self.task).manifest.files['policy.onnx']
            for folder in self._bundles)
        return EnvOrigin(task=self.task, base=base, other_bases=tuple(others))

    @property
    def layout(self) -> ObservationLayout:
        """Return the observation layout of the residual."""
        return load_task_spec(self.task).layout(self.observation)

    def split(self, parts: int) -> list[EnvRecipe]:
        """Return recipes of nearly equal numbers of environments that make up this one."""
        sizes = np.full(parts, self.env.num_envs // parts)
        sizes[:self.env.num_envs % parts] += 1
        if sizes.min() < 1:
            raise ConfigError(
                f'workers is {parts}; allowed: 1 .. {self.env.num_envs}, the number of '
                'environments')
        models = max(1, self.env.models // parts)
        mid_starts = max(1, self.env.mid_starts // parts)
        return [
            replace(self, env=replace(
                self.env, num_envs=int(size), models=models, mid_starts=mid_starts))
            for size in sizes]

    def build(self, shard: int = 0) -> ResidualVecEnv:
        """
        Return the environment.

        :param shard: number of this part, so that parts draw independently.
        """
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 2, shard]))
        task = get_task(self.task)
        kind = ResidualVecEnv if self.images is None else functools.partial(
            ImageVecEnv, visual=self.images)
        env = kind(
            task, load_domain(TRAINING_DOMAIN), load_physics(), self._base(rng),
            self.layout, self.pose_model, self.env, rng,
            guide=guide_for(task) if self.env.guided else None, expert=expert_for(task))
        if self.env.mid_start_share > 0.0:
            env.collect_mid_starts(expert_for(task))
        return env

    def _base(self, rng: np.random.Generator) -> BasePolicy:
        """Return the base policy."""
        if self.base == 'expert':
            return expert_for(get_task(self.task))
        if self.base == 'stand_in':
            return StandInBase(self.env.num_envs, rng, self.stand_in)
        others = self.other_bases if self.env.other_base_share > 0.0 else ()
        # The environment's own generator, which its saved state holds.
        bases = [
            OnnxBasePolicy.from_bundle(
                load_bundle(folder, 'base', task=self.task)).drawing_from(rng)
            for folder in (self.base, *others)]
        return BasePool(bases, deal_rows(
            self.env.num_envs, self.env.other_base_share, len(others))) if others else bases[0]
