# SPDX-License-Identifier: Apache-2.0
"""Schema of config/domains/world_distribution.yaml: what held-out worlds are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.sim.domain import DISTRIBUTION, RandomizationConfig

Range = tuple[float, float]


def _about(description: str) -> Any:
    """Return a required field with its unit and meaning."""
    return field(metadata={'description': description})


@dataclass(frozen=True, kw_only=True)
class _Ranges:
    """Ranges (low, high), each drawn from uniformly."""

    def __post_init__(self) -> None:
        """Refuse ranges whose ends are swapped."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != 'patterns' and not value[0] <= value[1]:
                raise ConfigError(f'{item.name} is {value}; allowed: low <= high')


@dataclass(frozen=True, kw_only=True)
class DynamicsRanges(_Ranges):
    """Objects, arm and hand; the names are those of the training ranges where there is one."""

    size_scale: Range = _about('factor on every length')
    mass_scale: Range = _about('factor on the mass')
    friction: Range = _about('sliding friction')
    drawer_friction_n: Range = _about('dry friction of a drawer, N')
    stiffness_scale: Range = _about('factor on K')
    damping_scale: Range = _about('factor on D')
    joint_friction_scale: Range = _about('factor on dry joint friction')
    action_delay_s: Range = _about('command sent to command acting, s')
    observation_delay_s: Range = _about('joint state measured to known, s')
    hand_speed_m_s: Range = _about('width speed, m/s')
    hand_latency_s: Range = _about('command to first motion, s')
    finger_force_n: Range = _about('largest force of each finger, N')
    backlash_m: Range = _about('play of the width, m')
    contact_softness: Range = _about('factor on the time constant of contacts')


@dataclass(frozen=True, kw_only=True)
class SensorRanges(_Ranges):
    """What software is told wrongly of the camera, its delay and its depth error."""

    told_translation_m: Range = _about('size of the told position error, any direction, m')
    told_rotation_deg: Range = _about('size of the told rotation error, any axis, deg')
    told_focal_error: Range = _about('told focal length / true - 1')
    told_centre_error_px: Range = _about('told minus true principal point, per axis, px')
    camera_delay_s: Range = _about('exposure to image in software, s')
    depth_sigma_m_at_1m: Range = _about('standard deviation at 1 m, m')
    depth_correlation_px: Range = _about('correlation length, px')
    depth_bias_fraction: Range = _about('bias as a share of range')
    edge_hole_probability: Range = _about('share of edge pixels without a reading')
    grazing_sigma_m: Range = _about('additional deviation at 45 deg of incidence, m')
    grazing_bias_m: Range = _about('additional bias at 45 deg of incidence, m')


@dataclass(frozen=True, kw_only=True)
class CameraRanges(_Ranges):
    """Where a new world's camera stands and what it is."""

    azimuth_deg: Range = _about('of the eye seen from the target, from x towards y, deg')
    elevation_deg: Range = _about('of the eye above the table, deg')
    distance_m: Range = _about('eye to target, m')
    target_offset_m: Range = _about('of the target from (0.5, 0, 0.04) m, per axis, m')
    roll_deg: Range = _about('turn about the optical axis, deg')
    focal_px: Range = _about('focal length, px')
    focal_ratio: Range = _about('vertical over horizontal focal length')
    centre_offset_px: Range = _about('principal point from the middle, per axis, px')


@dataclass(frozen=True, kw_only=True)
class LooksRanges(_Ranges):
    """Colours, patterns and lights of a new world."""

    patterns: tuple[str, ...] = _about('patterns of table and floor')
    surface_hue_deg: Range = _about('hue of table and floor, deg')
    surface_saturation: Range = _about('their saturation, 0..1')
    surface_value: Range = _about('their brightness, 0..1')
    second_colour_factor: Range = _about('brightness of the second colour over the first')
    repeat_per_m: Range = _about('pattern repetitions per metre')
    specular: Range = _about('of table and floor')
    sky_value: Range = _about('brightness of horizon and zenith')
    ambient: Range = _about('ambient light')
    headlight: Range = _about('light from the camera')
    lights: tuple[int, int] = _about('number of lights')
    light_azimuth_deg: Range = _about('where a light comes from, deg')
    light_elevation_deg: Range = _about('height of a light above the table, deg')
    light_diffuse: Range = _about('intensity of a light before scaling')
    light_sum: Range = _about('sum of the intensities of all lights')
    light_warmth: Range = _about('red times 1 + w, blue times 1 - w')
    object_hue_shift_deg: Range = _about('per object, from the colour in sim, deg')
    object_saturation_scale: Range = _about('per object, factor')
    object_value_scale: Range = _about('per object, factor')
    robot_value_scale: Range = _about('factor on the robot colours')


@dataclass(frozen=True, kw_only=True)
class WorldDistribution:
    """Everything that a held-out world is drawn from."""

    least_outside: int = _about(
        'how many of the parameters that training randomises lie outside its range')
    dynamics: DynamicsRanges = _about('objects, arm and hand; every world')
    sensors: SensorRanges = _about('told calibration, delay and depth error; every world')
    camera: CameraRanges = _about('placement and optics; new worlds alone')
    looks: LooksRanges = _about('colours and lights; new worlds alone')

    def outside(self, training: RandomizationConfig) -> dict[str, tuple[Range, ...]]:
        """
        Return the parts of the dynamics ranges that lie outside the training ranges.

        :return: by name, one or two ranges; parameters without such a part are left out.
        :raises ConfigError: fewer of them than ``least_outside``.
        """
        found = {}
        for name in self.trained(training):
            low, high = getattr(self.dynamics, name)
            lowest, highest = getattr(training, name)
            parts = tuple(
                part for part in ((low, min(high, lowest)), (max(low, highest), high))
                if part[0] < part[1])
            if parts:
                found[name] = parts
        if not 0 <= self.least_outside <= len(found):
            raise ConfigError(
                f'least_outside is {self.least_outside}; allowed: 0 .. {len(found)}, the '
                f'parameters whose range leaves that of training: {", ".join(found)}')
        return found

    def trained(self, training: RandomizationConfig) -> tuple[str, ...]:
        """Return the names of the dynamics parameters that training randomises."""
        known = {item.name for item in fields(training)}
        return tuple(
            item.name for item in fields(self.dynamics) if item.name in known)


def distribution_path() -> Path:
    """Return where the distribution ships."""
    return config_path('domains', f'{DISTRIBUTION}.yaml')


def load_distribution(path: Path | None = None) -> WorldDistribution:
    """
    Return the shipped distribution, or that of a file.

    :raises ConfigError: the file does not describe one.
    """
    return load_yaml(WorldDistribution, path or distribution_path())
