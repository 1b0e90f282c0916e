# SPDX-License-Identifier: Apache-2.0
"""Which base policy and residual an evaluation runs."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.core.bundle import Bundle, load_bundle
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.core.resources import bundle_path
from ocrrl_ros.policy.assembly import AnyResidual, check_residual, load_gated_residual
from ocrrl_ros.policy.base_policy import BasePolicy
from ocrrl_ros.policy.gate import GATE_FILE, ResidualGate
from ocrrl_ros.sim.tasks import Task

EXPERT_ON_POSES = 'expert_on_poses'
SCRIPTED = ('expert', EXPERT_ON_POSES, 'idle', 'random')


@dataclass(frozen=True)
class PolicyBundles:
    """
    What was loaded, for result files.

    :param base: checked bundle, or None for a scripted base.
    :param residual: checked bundle, or None for the base alone.
    """

    base_name: str
    base: Bundle | None
    residual: Bundle | None

    @property
    def base_sha256(self) -> str:
        """Return the base bundle's hash, or the scripted base's name."""
        return self.base.sha256 if self.base is not None else self.base_name

    @property
    def has_gate(self) -> bool:
        """Return whether the residual's bundle holds a gate."""
        return self.residual is not None and GATE_FILE in self.residual.manifest.files

    @property
    def train_seed(self) -> int | None:
        """Return the seed of the evaluated network: the residual's, else the base's."""
        bundle = self.residual or self.base
        return bundle.manifest.seed if bundle is not None else None


def load_policies(task: Task, base: str, residual: str | None) -> PolicyBundles:
    """
    Check base and residual before any work starts.

    :param base: bundle folder, or one of SCRIPTED.
    :param residual: bundle folder, or None for the base alone.
    :raises BundleError: a bundle is missing, altered, or made for something else.
    """
    base_bundle = None
    if base not in SCRIPTED:
        try:
            folder = bundle_path(base)
        except BundleError as error:
            raise BundleError(f'{error}; or one of: {", ".join(SCRIPTED)}') from error
        base_bundle = load_bundle(folder, 'base', task=task.name)
    residual_bundle = None
    if residual is not None:
        residual_bundle, _ = check_residual(residual, task.name)
    return PolicyBundles(
        base if base_bundle is None else base_bundle.path.name, base_bundle, residual_bundle)


def base_factory(
        bundles: PolicyBundles, task: Task) -> Callable[[np.random.Generator], BasePolicy]:
    """
    Build what gives each episode its base policy; networks are loaded once.

    :raises ConfigError: an unknown scripted base.
    """
    if bundles.base is not None:
        from ocrrl_ros.policy.adapters.onnx_policy import OnnxBasePolicy
        return OnnxBasePolicy.from_bundle(bundles.base).drawing_from
    if bundles.base_name in ('expert', EXPERT_ON_POSES):
        from ocrrl_ros.sim.experts import expert_for
        return lambda rng: expert_for(task)
    if bundles.base_name == 'random':
        from ocrrl_ros.sim.stand_in import RandomBase
        return RandomBase
    if bundles.base_name == 'idle':
        from ocrrl_ros.sim.stand_in import IdleBase
        return lambda rng: IdleBase()
    raise ConfigError(f'scripted base {bundles.base_name!r}; known: {", ".join(SCRIPTED)}')


def create_residual(
        bundles: PolicyBundles, task: str, *, with_gate: bool = True,
) -> tuple[AnyResidual | None, ResidualGate | None]:
    """Build the residual network and its gate; None for what is not there or not wanted."""
    if bundles.residual is None:
        return None, None
    return load_gated_residual(bundles.residual.path, task, with_gate=with_gate)
