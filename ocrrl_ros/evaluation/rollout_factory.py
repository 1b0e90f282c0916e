# SPDX-License-Identifier: Apache-2.0
"""Build everything that one evaluation's episodes run in, from names and paths."""
from dataclasses import dataclass

from ocrrl_ros.evaluation.chunk_schedule import RolloutConfig
from ocrrl_ros.evaluation.faults.settings import FaultSettings
from ocrrl_ros.evaluation.image_feed import ImageFeed
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceSettings
from ocrrl_ros.evaluation.policies import (
    base_factory, create_residual, EXPERT_ON_POSES, load_policies, PolicyBundles, SCRIPTED)
from ocrrl_ros.evaluation.pose_noise import named_noise, NoiseName, NoisyPoses, without_errors
from ocrrl_ros.evaluation.pose_sources import (
    LostPoses, ModelledPoses, PerceivedPoses, PoseKind, PoseSource, TruthPoses)
from ocrrl_ros.evaluation.rollout import Rollout
from ocrrl_ros.evaluation.seen_objects import SeenObjects
from ocrrl_ros.evaluation.stress import (
    OscillatingResidual, POSE_STRESSES, StressedPoses, StressName)
from ocrrl_ros.policy.action_chunk import ChunkConfig
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.blend import BlendConfig
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.controller import ControllerConfig
from ocrrl_ros.policy.image_residual import ImageResidualNetwork
from ocrrl_ros.policy.plan_lead import LeadConfig
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.world import SimWorld


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """Names and paths that a worker process builds its rollout from; all can be pickled."""

    task: str
    domain: str
    base: str
    residual: str | None
    gate: bool = True
    blend: bool = True
    stress: StressName = 'none'
    poses: PoseKind
    seed: int
    rollout: RolloutConfig
    pose_noise: NoiseName = 'none'
    film: bool = False
    disturbances: DisturbanceSettings | None = None
    faults: FaultSettings | None = None


def build_pose_source(settings: RolloutSettings, world: SimWorld,
                      renderer: SceneRenderer | None) -> PoseSource:
    """Build the source of object poses."""
    noise = named_noise(settings.pose_noise)
    source = _build_source(settings, world, renderer, exact=noise is not None)
    if noise is not None:
        source = NoisyPoses(source, noise, world.task.object_ids)
    if settings.stress in POSE_STRESSES:
        source = StressedPoses(source, settings.stress, noise)
    return source


def _build_source(settings: RolloutSettings, world: SimWorld, renderer: SceneRenderer | None, *,
                  exact: bool = False) -> PoseSource:
    """Build the source itself; ``exact`` takes the errors from the modelled one."""
    timing, task = settings.rollout, world.task
    if settings.poses == 'truth':
        return TruthPoses(task.object_ids, timing.policy_period_s)
    if settings.poses == 'lost':
        return LostPoses(timing.policy_period_s)
    if settings.poses == 'modelled':
        from ocrrl_ros.core.configuration import load_yaml
        from ocrrl_ros.core.resources import config_path
        from ocrrl_ros.sim.pose_model_config import PoseModelConfig
        sensor = load_yaml(PoseModelConfig, config_path('pose_model.yaml'))
        return ModelledPoses(
            task.object_ids, without_errors(sensor) if exact else sensor,
            period_s=timing.policy_period_s, horizon_s=task.horizon_s)
    return PerceivedPoses(
        task.object_ids, world.domain, renderer, tracker_latency_s=timing.tracker_latency_s,
        period_s=timing.command_period_s)


def build_rollout(settings: RolloutSettings, bundles: PolicyBundles | None = None) -> Rollout:
    """
    Build world, camera, policies and controller.

    :param bundles: checked bundles when the caller has them already.
    """
    task, domain = get_task(settings.task), load_domain(settings.domain)
    world = SimWorld(task, domain, load_physics(), estimates_torque=False)
    bundles = bundles or load_policies(task, settings.base, settings.residual)
    residual, gate = create_residual(bundles, task.name, with_gate=settings.gate)
    sees_images = isinstance(residual, ImageResidualNetwork)
    if settings.stress == 'oscillating':
        residual = OscillatingResidual(residual)
    sees = (settings.base not in SCRIPTED or settings.poses == 'perceived' or settings.film
            or sees_images)
    renderer = None
    if sees:
        renderer = SceneRenderer(world.model, domain.camera.width, domain.camera.height)
    timing = settings.rollout
    config = ControllerConfig(
        policy_period_s=timing.policy_period_s, command_rate_hz=1.0 / timing.command_period_s,
        chunk=ChunkConfig(lead=LeadConfig(rest_m=timing.lead_rest_m)),
        blend=BlendConfig(enabled=settings.blend))

    return Rollout(
        world, base_factory(bundles, task),
        build_controller(task.name, residual, config, gate=gate),
        build_pose_source(settings, world, renderer), kinematics=FrankaKinematics(),
        renderer=renderer,
        bounds=residual.bounds if residual is not None else ResidualBounds(), config=timing,
        seen=SeenObjects(task.object_ids) if settings.base == EXPERT_ON_POSES else None,
        images=ImageFeed(renderer, domain.camera) if sees_images else None)
