# SPDX-License-Identifier: Apache-2.0
"""Draw held-out worlds; every draw is remembered in order, none is repeated or discarded."""

from __future__ import annotations

from collections.abc import Sequence
import colorsys
from dataclasses import dataclass, field, replace
import hashlib
import math
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.sim.camera_config import CameraConfig, Triple
from ocrrl_ros.sim.domain import (
    ArmConfig, Domain, HandConfig, LightConfig, LooksConfig, ObjectConfig, RandomizationConfig,
    SurfaceLook)
from ocrrl_ros.sim.world_distribution import (
    CameraRanges, LooksRanges, Range, SensorRanges, WorldDistribution)

CAMERA_TARGET_M = (0.5, 0.0, 0.04)
LIGHT_DISTANCE_M = 1.8


class DrawLog:
    """A generator that remembers what it was asked and what it gave."""

    def __init__(self, rng: np.random.Generator):
        """Start with an empty log."""
        self._rng = rng
        self.entries: list[dict[str, Any]] = []

    def uniform(self, name: str, bounds: Range) -> float:
        """Draw from low .. high."""
        return self._keep(name, {'range': list(bounds)}, float(self._rng.uniform(*bounds)))

    def outside(self, name: str, parts: Sequence[Range]) -> float:
        """Draw from one of several ranges, each as likely as it is long."""
        lengths = np.array([high - low for low, high in parts])
        at = float(self._rng.uniform(0.0, lengths.sum()))
        for (low, high), length in zip(parts, lengths):
            if at <= length:
                break
            at -= length
        value = float(min(low + at, high))
        return self._keep(name, {'outside_training': [list(part) for part in parts]}, value)

    def integer(self, name: str, bounds: tuple[int, int]) -> int:
        """Draw a whole number from low .. high, both included."""
        low, high = bounds
        return self._keep(
            name, {'range': list(bounds)}, int(self._rng.integers(low, high + 1)))

    def choice(self, name: str, options: Sequence[str], count: int | None = None) -> Any:
        """Draw one of the options, or ``count`` different ones."""
        index = self._rng.permutation(len(options))[:count or 1]
        chosen = [options[i] for i in index]
        return self._keep(name, {'options': list(options)}, chosen if count else chosen[0])

    def direction(self, name: str) -> np.ndarray:
        """Draw a unit vector (3,), all directions alike."""
        vector = self._rng.normal(size=3)
        return np.array(self._keep(
            name, {'range': 'unit sphere'}, (vector / np.linalg.norm(vector)).tolist()))

    def _keep(self, name: str, source: dict[str, Any], value: Any) -> Any:
        """Remember and return a value."""
        self.entries.append({'name': name, **source, 'value': value})
        return value


@dataclass(frozen=True, kw_only=True)
class DrawnWorld:
    """A held-out world and how it came about."""

    domain: Domain
    is_new: bool = field(metadata={'description': 'looks, lights and camera are new too'})
    outside: tuple[str, ...] = field(metadata={
        'description': 'drawn parameters that lie outside the training range'})
    draws: list[dict[str, Any]]


def sample_worlds(
        distribution: WorldDistribution, looks_of: Domain, training: Domain, seed: int, *,
        worlds: int, new_looks: int) -> list[DrawnWorld]:
    """
    Draw held-out worlds; each depends on the seed and its number alone.

    :param looks_of: the world whose looks, lights, camera placement and optics the first ones
        keep, ``proxy``.
    :param training: the training world, whose ranges are left and whose object colours the new
        looks start from.
    :param seed: any whole number >= 0.
    :param worlds: how many keep the looks; ``new_looks`` more are new throughout.
    :raises ConfigError: a negative seed or count, or a training world without ranges.
    """
    if seed < 0 or worlds < 0 or new_looks < 0 or worlds + new_looks < 1:
        raise ConfigError(
            f'seed {seed}, worlds {worlds}, new_looks {new_looks}; allowed: >= 0, and at least '
            'one world')
    if training.randomization is None:
        raise ConfigError(f'domain {training.name!r} has no training ranges to lie outside of')
    tag = hashlib.sha256(str(seed).encode()).hexdigest()[:6]
    found = []
    for index in range(worlds + new_looks):
        log = DrawLog(np.random.default_rng(np.random.SeedSequence([seed, index])))
        is_new = index >= worlds
        domain = _dynamics(log, looks_of, distribution, training.randomization)
        domain = replace(domain, camera=_told_camera(log, domain.camera, distribution.sensors))
        if is_new:
            looks = drawn_looks(log, distribution.looks, training.looks.objects)
            domain = replace(
                domain, looks=looks,
                camera=placed_camera(log, domain.camera, distribution.camera))
        name = f'world_{tag}_{index}' + ('_new' if is_new else '')
        found.append(DrawnWorld(
            domain=replace(domain, name=name, randomization=None), is_new=is_new,
            outside=_outside_of(log, distribution, training.randomization), draws=log.entries))
    return found


def _dynamics(
        log: DrawLog, domain: Domain, distribution: WorldDistribution,
        training: RandomizationConfig) -> Domain:
    """Return the domain with drawn objects, arm and hand."""
    parts = distribution.outside(training)
    chosen = log.choice('outside_training', tuple(parts), distribution.least_outside)

    def draw(name: str) -> float:
        if name in chosen:
            return log.outside(name, parts[name])
        return log.uniform(name, getattr(distribution.dynamics, name))

    return replace(
        domain,
        objects=ObjectConfig(
            size_scale=draw('size_scale'), mass_scale=draw('mass_scale'),
            friction=draw('friction'), drawer_friction_n=draw('drawer_friction_n'),
            contact_softness=draw('contact_softness')),
        arm=ArmConfig(
            stiffness_scale=draw('stiffness_scale'), damping_scale=draw('damping_scale'),
            joint_friction_scale=draw('joint_friction_scale'),
            action_delay_s=draw('action_delay_s'),
            observation_delay_s=draw('observation_delay_s')),
        hand=HandConfig(
            speed_m_s=draw('hand_speed_m_s'), latency_s=draw('hand_latency_s'),
            finger_force_n=draw('finger_force_n'), backlash_m=draw('backlash_m')))


def _outside_of(
        log: DrawLog, distribution: WorldDistribution, training: RandomizationConfig,
        ) -> tuple[str, ...]:
    """Return which of the parameters that training randomises were drawn outside its ranges."""
    values = {entry['name']: entry['value'] for entry in log.entries}
    found = []
    for name in distribution.trained(training):
        low, high = getattr(training, name)
        if not low <= values[name] <= high:
            found.append(name)
    return tuple(found)


def _told_camera(log: DrawLog, camera: CameraConfig, ranges: SensorRanges) -> CameraConfig:
    """Return the camera with a drawn error of its calibration, delay and depth error."""
    def draw(name: str) -> float:
        return log.uniform(name, getattr(ranges, name))

    def vector(name: str) -> Triple:
        return tuple((draw(name) * log.direction(f'{name}.direction')).tolist())

    return replace(
        camera, told_translation_error_m=vector('told_translation_m'),
        told_rotation_error_deg=vector('told_rotation_deg'),
        told_focal_error=draw('told_focal_error'),
        told_centre_error_px=(draw('told_centre_error_px'), draw('told_centre_error_px')),
        delay_s=draw('camera_delay_s'),
        depth_noise=replace(
            camera.depth_noise, sigma_m_at_1m=draw('depth_sigma_m_at_1m'),
            correlation_px=draw('depth_correlation_px'),
            bias_fraction=draw('depth_bias_fraction'),
            edge_hole_probability=draw('edge_hole_probability'),
            grazing_sigma_m=draw('grazing_sigma_m'), grazing_bias_m=draw('grazing_bias_m')))


def _from_above(azimuth_deg: float, elevation_deg: float, distance_m: float) -> np.ndarray:
    """Return the vector (3,) from a point on the table to what looks at it, m."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return distance_m * np.array([
        math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation)])


def placed_camera(log: DrawLog, camera: CameraConfig, ranges: CameraRanges) -> CameraConfig:
    """Return the camera at a drawn place with drawn optics."""
    def draw(name: str) -> float:
        return log.uniform(name, getattr(ranges, name))

    target = np.array(CAMERA_TARGET_M) + [draw('target_offset_m') for _ in range(3)]
    eye = target + _from_above(
        draw('azimuth_deg'), draw('elevation_deg'), draw('distance_m'))
    focal = draw('focal_px')
    return replace(
        camera, eye_m=tuple(eye.tolist()), target_m=tuple(target.tolist()),
        roll_deg=draw('roll_deg'), fx_px=focal, fy_px=focal * draw('focal_ratio'),
        cx_px=0.5 * (camera.width - 1) + draw('centre_offset_px'),
        cy_px=0.5 * (camera.height - 1) + draw('centre_offset_px'))


def drawn_looks(
        log: DrawLog, ranges: LooksRanges, objects: dict[str, Triple]) -> LooksConfig:
    """Return drawn surfaces, lights and object colours."""
    def draw(name: str, what: str) -> float:
        return log.uniform(f'{what}.{name}', getattr(ranges, name))

    def surface(what: str) -> SurfaceLook:
        hue, saturation = draw('surface_hue_deg', what), draw('surface_saturation', what)
        value = draw('surface_value', what)
        second = value * draw('second_colour_factor', what)
        return SurfaceLook(
            rgb=colorsys.hsv_to_rgb(hue / 360.0, saturation, value),
            rgb2=colorsys.hsv_to_rgb(hue / 360.0, saturation, second),
            pattern=log.choice(f'{what}.pattern', ranges.patterns),
            repeat_per_m=draw('repeat_per_m', what), specular=draw('specular', what))

    def colour(what: str, rgb: Triple) -> Triple:
        hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
        hue = (hue + draw('object_hue_shift_deg', what) / 360.0) % 1.0
        saturation = min(1.0, saturation * draw('object_saturation_scale', what))
        return colorsys.hsv_to_rgb(
            hue, saturation, min(1.0, value * draw('object_value_scale', what)))

    return LooksConfig(
        table=surface('table'), floor=surface('floor'),
        horizon_rgb=(draw('sky_value', 'horizon'),) * 3,
        zenith_rgb=(draw('sky_value', 'zenith'),) * 3,
        headlight_ambient=draw('ambient', 'light'),
        headlight_diffuse=draw('headlight', 'light'), lights=_lights(log, ranges),
        objects={name: colour(name, rgb) for name, rgb in sorted(objects.items())},
        robot_tint=(draw('robot_value_scale', 'robot'),) * 3)


def _lights(log: DrawLog, ranges: LooksRanges) -> tuple[LightConfig, ...]:
    """Return drawn lights whose intensities have a drawn sum."""
    count = log.integer('lights', ranges.lights)
    raw = [log.uniform(f'light_{i}.light_diffuse', ranges.light_diffuse) for i in range(count)]
    scale = log.uniform('light_sum', ranges.light_sum) / sum(raw)
    found = []
    for index, intensity in enumerate(raw):
        place = _from_above(
            log.uniform(f'light_{index}.light_azimuth_deg', ranges.light_azimuth_deg),
            log.uniform(f'light_{index}.light_elevation_deg', ranges.light_elevation_deg),
            LIGHT_DISTANCE_M)
        warmth = log.uniform(f'light_{index}.light_warmth', ranges.light_warmth)
        diffuse = intensity * scale * np.array([1.0 + warmth, 1.0, 1.0 - warmth])
        found.append(LightConfig(
            position_m=tuple((place + CAMERA_TARGET_M).tolist()), target_m=CAMERA_TARGET_M,
            diffuse=tuple(diffuse.tolist())))
    return tuple(found)
