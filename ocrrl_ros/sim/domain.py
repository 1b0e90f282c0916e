# SPDX-License-Identifier: Apache-2.0
"""
A domain describes one world completely: looks, camera, sensors, objects, arm and delays.

What a world *is* and what software is *told* about it differ: ``CameraConfig`` holds the
true pose and intrinsics and the calibration error between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
import hashlib
import json
from pathlib import Path
from typing import Literal

import numpy as np
from ocrrl_ros.core.configuration import from_mapping, load_yaml, read_yaml, to_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.sim.camera_config import CameraConfig, require_range, Triple
from ocrrl_ros.sim.held_out import held_out_setting, held_out_settings, without_neutral

Range = tuple[float, float]
DISTRIBUTION = 'world_distribution'
"""File in config/domains that is no domain: the ranges that held-out worlds are drawn from."""


@dataclass(frozen=True, kw_only=True)
class SurfaceLook:
    """Colour and pattern of a surface; colours are linear RGB in 0..1."""

    rgb: Triple = (0.7, 0.7, 0.7)
    rgb2: Triple = field(
        default=(0.6, 0.6, 0.6), metadata={'description': 'second colour of the pattern'})
    pattern: Literal['flat', 'checker', 'wood', 'speckle'] = 'flat'
    repeat_per_m: float = field(
        default=2.0, metadata={'description': 'pattern repetitions per metre'})
    specular: float = 0.1
    shininess: float = 0.2

    def __post_init__(self) -> None:
        """Refuse colours outside 0..1."""
        for value in (*self.rgb, *self.rgb2):
            require_range('colour component', value, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class LightConfig:
    """One spot or directional light, in the base frame."""

    position_m: Triple = (0.6, 0.6, 1.8)
    target_m: Triple = (0.5, 0.0, 0.0)
    diffuse: Triple = (0.7, 0.7, 0.7)
    specular: Triple = (0.2, 0.2, 0.2)
    casts_shadow: bool = field(
        default=False,
        metadata={'description': 'shadows triple the frame time on a software renderer'})


@dataclass(frozen=True, kw_only=True)
class LooksConfig:
    """Everything that only the camera notices."""

    table: SurfaceLook = field(default_factory=SurfaceLook)
    floor: SurfaceLook = field(default_factory=SurfaceLook)
    horizon_rgb: Triple = (0.7, 0.75, 0.8)
    zenith_rgb: Triple = (0.4, 0.45, 0.55)
    headlight_ambient: float = 0.35
    headlight_diffuse: float = 0.15
    lights: tuple[LightConfig, ...] = field(default_factory=lambda: (LightConfig(),))
    objects: dict[str, Triple] = field(
        default_factory=dict, metadata={'description': 'colour by object id'})
    robot_tint: Triple = field(
        default=(1.0, 1.0, 1.0), metadata={'description': 'factor on the robot colours'})


@dataclass(frozen=True, kw_only=True)
class ObjectConfig:
    """How this world's objects deviate from the task's nominal ones."""

    size_scale: float = field(default=1.0, metadata={'description': 'factor on every length'})
    mass_scale: float = field(default=1.0, metadata={'description': 'factor on the mass'})
    friction: float = field(
        default=0.8, metadata={'description': 'sliding friction of object against all else'})
    drawer_friction_n: float = field(
        default=4.0, metadata={'description': 'dry friction of a drawer on its slide, N'})
    contact_softness: float = held_out_setting(
        1.0, 'factor on the time constant of contacts; the object yields by its square')

    def __post_init__(self) -> None:
        """Refuse objects that no hand could hold."""
        require_range('objects.size_scale', self.size_scale, 0.8, 1.2)
        require_range('objects.mass_scale', self.mass_scale, 0.2, 5.0)
        require_range('objects.friction', self.friction, 0.1, 2.0)
        require_range('objects.drawer_friction_n', self.drawer_friction_n, 0.0, 20.0, 'N')
        require_range('objects.contact_softness', self.contact_softness, 1.0, 6.0)


@dataclass(frozen=True, kw_only=True)
class ArmConfig:
    """How this world's arm deviates from the nominal law."""

    stiffness_scale: float = field(default=1.0, metadata={'description': 'factor on K'})
    damping_scale: float = field(default=1.0, metadata={'description': 'factor on D'})
    joint_friction_scale: float = field(
        default=1.0, metadata={'description': 'factor on dry joint friction'})
    action_delay_s: float = field(
        default=0.004, metadata={'description': 'command sent to command acting, s'})
    observation_delay_s: float = field(
        default=0.002, metadata={'description': 'joint state measured to known, s'})

    def __post_init__(self) -> None:
        """Refuse scales and delays beyond what the controller could bear."""
        require_range('arm.stiffness_scale', self.stiffness_scale, 0.3, 3.0)
        require_range('arm.damping_scale', self.damping_scale, 0.3, 3.0)
        require_range('arm.joint_friction_scale', self.joint_friction_scale, 0.0, 3.0)
        require_range('arm.action_delay_s', self.action_delay_s, 0.0, 0.2, 's')
        require_range('arm.observation_delay_s', self.observation_delay_s, 0.0, 0.2, 's')


@dataclass(frozen=True, kw_only=True)
class HandConfig:
    """The Franka Hand of this world."""

    speed_m_s: float = field(default=0.1, metadata={'description': 'width speed in m/s'})
    latency_s: float = field(
        default=0.10, metadata={'description': 'command to first motion, s'})
    finger_force_n: float = field(
        default=35.0, metadata={'description': 'largest force of each finger in N'})
    backlash_m: float = held_out_setting(
        0.0, 'play of the width between drive and fingers, m')

    def __post_init__(self) -> None:
        """Refuse what the Franka Hand cannot do."""
        require_range('hand.speed_m_s', self.speed_m_s, 0.01, 0.2, 'm/s')
        require_range('hand.latency_s', self.latency_s, 0.0, 0.5, 's')
        require_range('hand.finger_force_n', self.finger_force_n, 5.0, 70.0, 'N')
        require_range('hand.backlash_m', self.backlash_m, 0.0, 0.01, 'm')


@dataclass(frozen=True, kw_only=True)
class RandomizationConfig:
    """
    Ranges that training draws from, uniformly, once per episode; (low, high).

    Scales multiply the domain's own value, delays and friction replace it.
    """

    size_scale: Range = (0.97, 1.03)
    mass_scale: Range = (0.7, 1.3)
    friction: Range = (0.6, 1.1)
    drawer_friction_n: Range = (2.0, 6.0)
    stiffness_scale: Range = (0.85, 1.15)
    damping_scale: Range = (0.85, 1.15)
    joint_friction_scale: Range = (0.5, 1.3)
    action_delay_s: Range = (0.0, 0.015)
    observation_delay_s: Range = (0.0, 0.010)
    hand_speed_m_s: Range = (0.08, 0.12)
    hand_latency_s: Range = (0.05, 0.15)
    chunk_latency_s: Range = (0.08, 0.20)

    def __post_init__(self) -> None:
        """Refuse ranges whose ends are swapped."""
        for item in fields(self):
            low, high = getattr(self, item.name)
            if not low <= high:
                raise ConfigError(f'randomization.{item.name} is ({low}, {high}); low <= high')


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One world, completely; ``config/domains/<name>.yaml`` fills it."""

    name: str = 'sim'
    looks: LooksConfig = field(default_factory=LooksConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    objects: ObjectConfig = field(default_factory=ObjectConfig)
    arm: ArmConfig = field(default_factory=ArmConfig)
    hand: HandConfig = field(default_factory=HandConfig)
    randomization: RandomizationConfig | None = field(
        default=None, metadata={'description': 'training ranges; only the training world has any'})

    def __post_init__(self) -> None:
        """Refuse a training world with an effect that only held-out worlds may have."""
        active = {'.'.join(path): value for path, value, neutral in held_out_settings(self)
                  if not neutral}
        if self.randomization is not None and active:
            raise ConfigError(
                f'domain {self.name!r} has training ranges and {active}; allowed in a training '
                'world: none of these effects, so that held-out worlds can test them')

    def sha256(self) -> str:
        """
        Return the hash of every setting, for result files.

        Held-out effects count where they are at work, see :mod:`ocrrl_ros.sim.held_out`.
        """
        text = json.dumps(without_neutral(self, to_mapping(self)), sort_keys=True)
        return hashlib.sha256(text.encode('utf-8')).hexdigest()

    def sample_dynamics(self, rng: np.random.Generator) -> Domain:
        """
        Return a world whose dynamics are drawn from the training ranges.

        :raises ConfigError: the domain has no training ranges.
        """
        ranges = self.randomization
        if ranges is None:
            raise ConfigError(f'domain {self.name!r} has no randomization ranges to train from')

        def draw(name: str) -> float:
            return float(rng.uniform(*getattr(ranges, name)))

        objects = replace(
            self.objects, size_scale=self.objects.size_scale * draw('size_scale'),
            mass_scale=self.objects.mass_scale * draw('mass_scale'), friction=draw('friction'),
            # From a generator of its own: worlds of earlier runs stay what they were.
            drawer_friction_n=float(rng.spawn(1)[0].uniform(*ranges.drawer_friction_n)))
        arm = replace(
            self.arm, stiffness_scale=self.arm.stiffness_scale * draw('stiffness_scale'),
            damping_scale=self.arm.damping_scale * draw('damping_scale'),
            joint_friction_scale=self.arm.joint_friction_scale * draw('joint_friction_scale'),
            action_delay_s=draw('action_delay_s'),
            observation_delay_s=draw('observation_delay_s'))
        hand = replace(
            self.hand, speed_m_s=draw('hand_speed_m_s'), latency_s=draw('hand_latency_s'))
        return replace(self, objects=objects, arm=arm, hand=hand)


def known_domains() -> tuple[str, ...]:
    """Return the names of the domains that ship."""
    names = {path.stem for path in config_path('domains').glob('*.yaml')}
    return tuple(sorted(names - {DISTRIBUTION}))


def load_domain(name_or_path: str | Path) -> Domain:
    """
    Return a domain by name (``sim``, ``proxy``) or from a YAML file.

    A file without a ``name`` is named after itself.

    :raises UnknownNameError: neither a known name nor an existing file.
    :raises ConfigError: the file does not describe a domain.
    """
    text = str(name_or_path)
    if text in known_domains():
        return load_yaml(Domain, config_path('domains', f'{text}.yaml'))
    path = Path(name_or_path)
    if path.suffix in ('.yaml', '.yml') and path.exists():
        return from_mapping(Domain, {'name': path.stem} | read_yaml(path), str(path))
    raise UnknownNameError('domain', text, [*known_domains(), 'FILE.yaml'], '--domain')
