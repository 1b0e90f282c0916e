# SPDX-License-Identifier: Apache-2.0
"""
Fit an object's pose to measured surface points and to the edge of its mask.

Surface points alone leave a face seen head-on free to slide and turn; the mask's edge holds it.
Both are signed distances of the same shape (see `sdf.py`), solved together by Gauss-Newton with
Levenberg-Marquardt damping and a Geman-McClure kernel. Every residual is divided by its standard
deviation, so the normal matrix is the information about the pose, and a prior of the motion
model adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.symmetry import symmetry_group
from ocrrl_ros.perception.object_model import ObjectModel
from ocrrl_ros.perception.rotation import (
    frame_with_z, rotation_exp, rotation_log, start_rotations, yaw_rotations)
from ocrrl_ros.perception.segmentation import Segment
from ocrrl_ros.perception.surfaces import scaled, Surfaces

STEP_M, STEP_RAD = 5e-5, 1e-3
"""Steps below these sizes end the descent."""
SEARCH_ROUNDS = ((1, 2), (3, 3))
"""Steps from every start rotation, and one of how many goes on to the next round."""
SEARCH_POINTS, SEARCH_RAYS = 64, 40
OTHER_SIZES = (0.75, 1.3)
"""Sizes that its picture is compared with; objects of one kind differ by far less."""
SIZE_STEPS = 2
WELL_EXPLAINED = 1.2
"""Cost per observation below which other sizes are not tried; good frames stay below 1.3."""


@dataclass(frozen=True, kw_only=True)
class SolverConfig:
    """Noise of the measurements and effort of the solver."""

    depth_sigma_m: float = field(
        default=0.0025, metadata={'description': 'depth noise at 1 m, m; grows as z squared'})
    depth_floor_m: float = field(
        default=0.0005, metadata={'description': 'depth noise floor (quantisation), m'})
    depth_correlation_px: float = field(
        default=3.0, metadata={'description': 'distance over which depth noise is alike, px'})
    edge_sigma_px: float = field(
        default=0.6, metadata={'description': 'noise of the mask edge, px'})
    edge_correlation: float = field(
        default=2.0, metadata={'description': 'edge pixels per independent observation'})
    edge_stride: int = field(
        default=2, metadata={'description': 'every how many-th edge pixel is used'})
    kernel_sigmas: float = field(
        default=4.0, metadata={'description': 'Geman-McClure width, standard deviations'})
    coarse_sigmas: float = field(
        default=12.0, metadata={'description': 'Geman-McClure width of the first steps'})
    coarse_iterations: int = field(default=3, metadata={'description': 'steps at coarse width'})
    iterations: int = field(default=6, metadata={'description': 'steps at final width'})
    max_points: int = field(default=260, metadata={'description': 'surface points used at most'})
    max_rays: int = field(default=160, metadata={'description': 'edge pixels used at most'})
    behind_m: float = field(
        default=0.008, metadata={'description': 'background is at least this far behind, m'})
    on_plane_m: float = field(
        default=0.006, metadata={'description': 'distance that counts as on the table, m'})
    hypothesis_spacing_deg: float = field(
        default=24.0, metadata={'description': 'angle between start rotations, deg'})
    hypotheses_refined: int = field(
        default=4, metadata={'description': 'start rotations refined to the end'})

    def __post_init__(self) -> None:
        """Refuse noise and effort that are not positive."""
        for name in ('depth_sigma_m', 'depth_floor_m', 'edge_sigma_px', 'kernel_sigmas',
                     'coarse_sigmas', 'behind_m', 'on_plane_m'):
            value = getattr(self, name)
            if not value > 0.0:
                raise ConfigError(f'{name} is {value}; allowed: > 0')
        if self.depth_correlation_px < 1.0 or self.edge_correlation < 1.0:
            raise ConfigError(
                f'depth_correlation_px is {self.depth_correlation_px} px and edge_correlation '
                f'{self.edge_correlation}; allowed: >= 1')
        if not 10.0 <= self.hypothesis_spacing_deg <= 60.0:
            raise ConfigError(
                f'hypothesis_spacing_deg is {self.hypothesis_spacing_deg} deg; allowed: 10 .. 60')
        for name in ('edge_stride', 'coarse_iterations', 'iterations', 'hypotheses_refined'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 1')
        for name in ('max_points', 'max_rays'):
            if getattr(self, name) < 50:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 50')


@dataclass(frozen=True, kw_only=True)
class Observation:
    """
    What one frame says: ``points`` (P, 3), ``rays`` (C, 3), ``silhouette`` (C,) bool.

    ``up`` (3,) is the supporting plane's normal, all in the optical frame.
    """

    points: np.ndarray
    rays: np.ndarray
    silhouette: np.ndarray
    up: np.ndarray
    stride: int
    focal_px: float


@dataclass(frozen=True, kw_only=True)
class Fit:
    """
    A pose in the optical frame with its information.

    ``rotation`` (3, 3), ``translation`` (3,) m, ``information`` (6, 6) of translation and rotation
    vector without the prior, ``cost`` of the data, ``size_doubt`` of `SdfTracker.size_doubt`.
    ``size`` over that of the object's file, and the ``shape`` of that size; None: the file's.
    ``refiner_update`` is the last step of a network that refines, in its assumed errors.
    """

    rotation: np.ndarray
    translation: np.ndarray
    information: np.ndarray
    cost: float
    size_doubt: float = 0.0
    size: float = 1.0
    shape: Surfaces | None = None
    refiner_update: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Gaussian prior of a pose in the optical frame; ``information`` (6, 6)."""

    rotation: np.ndarray
    translation: np.ndarray
    information: np.ndarray


class SdfTracker:
    """Pose fits for one object."""

    def __init__(self, model: ObjectModel, config: SolverConfig, kernels: ModuleType,
                 compared: float = 0.0) -> None:
        """
        Prepare the start rotations of the global search.

        :param compared: share by which the sizes of `size_costs` are smaller and larger.
        """
        self._model, self._config, self._kernels = model, config, kernels
        self._compared = compared
        self.resize(1.0)
        spacing = np.radians(config.hypothesis_spacing_deg)
        self._starts = yaw_rotations(spacing) if model.upright else start_rotations(
            symmetry_group(model.symmetry), spacing)

    def resize(self, size: float) -> None:
        """Go by another size, over that of the object's file, from now on."""
        own = self._model.shape.surfaces
        self.size = size
        self.shape = own if size == 1.0 else scaled(own, size)
        self._near = tuple(
            scaled(self.shape, 1.0 + step) for step in (-self._compared, self._compared))
        self._others: list[Surfaces] = []

    def observe(self, segment: Segment, plane: np.ndarray) -> Observation:
        """
        Collect surface points and edge rays of a segment.

        :param plane: (4,) supporting plane in the optical frame, unit normal and offset.
        """
        config = self._config
        stride = max(1, int(np.ceil(np.sqrt(segment.area_px / config.max_points))))
        depth = segment.median_depth_m
        reach = 2.0 * self._model.shape.radius_m + 0.02
        points = self._kernels.surface_points(
            segment.depth, segment.mask, segment.camera, stride,
            np.array([max(depth - reach, 0.05), depth + reach]))
        near_plane = 0.0 if segment.ends_above_plane else config.on_plane_m
        rays, silhouette = self._kernels.contour_rays(
            segment.score, segment.filled, segment.depth, segment.camera, plane,
            np.array([config.behind_m, near_plane]))
        every = max(config.edge_stride, -(-len(rays) // config.max_rays))
        return Observation(
            points=points, rays=np.ascontiguousarray(rays[::every]),
            silhouette=np.ascontiguousarray(silhouette[::every]), up=plane[:3],
            stride=stride, focal_px=float(segment.camera[0]))

    def track(
            self, observation: Observation, rotation: np.ndarray, translation: np.ndarray,
            prior: Prior | None = None) -> Fit:
        """Refine a predicted pose: wide kernel first, then the final one."""
        config = self._config
        fit = self._descend(
            observation, rotation, translation, config.coarse_sigmas, config.coarse_iterations,
            prior)
        return self._descend(
            observation, fit.rotation, fit.translation, config.kernel_sigmas, config.iterations,
            prior)

    def initialise(self, segment: Segment, observation: Observation) -> Fit:
        """
        Find the pose without any prediction, from start rotations around the mask.

        Most of them show after one step that they lead nowhere, and few points are enough to see
        it: the better ones go on, the best are refined with all points.
        """
        depth = segment.median_depth_m
        centre = segment.centre_ray() * (depth + 0.3 * float(self._model.shape.edges_m.min()))
        sparse = _thinned(observation, SEARCH_POINTS, SEARCH_RAYS)
        starts = self._starts
        if self._model.upright:
            starts = np.ascontiguousarray(frame_with_z(observation.up) @ starts)
        found = [(rotation, centre) for rotation in starts]
        for iterations, share in SEARCH_ROUNDS:
            coarse = [
                self._descend(
                    sparse, rotation, place, self._config.coarse_sigmas, iterations, None)
                for rotation, place in found]
            coarse.sort(key=lambda fit: fit.cost)
            kept = max(self._config.hypotheses_refined, len(coarse) // share)
            found = [(fit.rotation, fit.translation) for fit in coarse[:kept]]
        fits = [
            self.track(observation, rotation, place)
            for rotation, place in found[:self._config.hypotheses_refined]]
        return min(fits, key=lambda fit: fit.cost)

    def size_doubt(self, observation: Observation, fit: Fit) -> float:
        """
        Return how much better an object of another size explains the picture, 0 if none does.

        It is the logarithm of the ratio of costs. Depth alone cannot tell: of three faces that are
        seen, each fits a larger box as well.
        """
        sparse = _thinned(observation, SEARCH_POINTS, SEARCH_RAYS)
        width = self._config.coarse_sigmas
        noise = self._noise(sparse, width)
        own = self._descend(sparse, fit.rotation, fit.translation, width, 1, None).cost
        if own < WELL_EXPLAINED * (noise[2] * len(sparse.points) + noise[4] * len(sparse.rays)):
            return 0.0
        # Seldom needed, and a mesh takes milliseconds to be scaled.
        self._others = self._others or [scaled(self.shape, factor) for factor in OTHER_SIZES]
        other = min(
            self._descend(
                sparse, fit.rotation, fit.translation, width, SIZE_STEPS, None, shape).cost
            for shape in self._others)
        return max(0.0, float(np.log((own + 1.0) / (other + 1.0))))

    def size_costs(self, observation: Observation, fit: Fit) -> tuple[float, float, float]:
        """Return the costs of a smaller size, the present one and a larger one."""
        sparse = _thinned(observation, SEARCH_POINTS, SEARCH_RAYS)
        width = self._config.kernel_sigmas
        smaller, own, larger = (
            self._descend(
                sparse, fit.rotation, fit.translation, width, SIZE_STEPS, None, shape).cost
            for shape in (self._near[0], self.shape, self._near[1]))
        return smaller, own, larger

    def _descend(
            self, observation: Observation, rotation: np.ndarray, translation: np.ndarray,
            width: float, iterations: int, prior: Prior | None,
            shape: Surfaces | None = None) -> Fit:
        """Take Levenberg-Marquardt steps at one kernel width, with another shape if need be."""
        surfaces = self.shape if shape is None else shape
        noise = self._noise(observation, width)

        def evaluate(
                turn: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
            return self._kernels.accumulate(
                observation.points, observation.rays, observation.silhouette, turn, shift,
                surfaces, noise)

        rotation, translation = np.ascontiguousarray(rotation), np.array(translation, dtype=float)
        system, right, cost = evaluate(rotation, translation)
        extra, pull, penalty = _prior_terms(prior, rotation, translation)
        damping = 1e-3
        for _ in range(iterations):
            matrix = system + extra
            diagonal = matrix.ravel()[::7]
            diagonal += damping * diagonal + 1e-3
            step = np.linalg.solve(matrix, right + pull)
            turn, shift = rotation_exp(step[3:]) @ rotation, translation + step[:3]
            trial = evaluate(turn, shift)
            trial_prior = _prior_terms(prior, turn, shift)
            if trial[2] + trial_prior[2] <= cost + penalty:
                rotation, translation = turn, shift
                system, right, cost = trial
                extra, pull, penalty = trial_prior
                damping = max(damping * 0.2, 1e-6)
                if _is_small(step):
                    break
            else:
                damping = min(damping * 10.0, 1e3)
        return Fit(
            rotation=rotation, translation=translation, information=system, cost=float(cost))

    def _noise(self, observation: Observation, width: float) -> np.ndarray:
        """Return the noise vector of the accumulate kernel."""
        config = self._config
        point_weight = min(1.0, (observation.stride / config.depth_correlation_px) ** 2)
        ray_weight = min(1.0, config.edge_stride / config.edge_correlation)
        return np.array([
            config.depth_sigma_m, config.depth_floor_m, point_weight,
            config.edge_sigma_px / observation.focal_px, ray_weight, width])


def _is_small(step: np.ndarray) -> bool:
    """Say whether a step (6,) is too small to go on after it."""
    lengths = [abs(length) for length in step.tolist()]
    return max(lengths[:3]) < STEP_M and max(lengths[3:]) < STEP_RAD


def _prior_terms(
        prior: Prior | None, rotation: np.ndarray,
        translation: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return information, gradient and cost that a prior adds at a pose."""
    if prior is None:
        return np.zeros((6, 6)), np.zeros(6), 0.0
    error = np.concatenate(
        [translation - prior.translation, rotation_log(rotation @ prior.rotation.T)])
    pull = prior.information @ error
    return prior.information, -pull, float(error @ pull)


def _thinned(observation: Observation, points: int, rays: int) -> Observation:
    """Return an observation with fewer points and rays, evenly chosen."""
    every = max(1, len(observation.points) // points)
    skip = max(1, len(observation.rays) // rays)
    return replace(
        observation, points=np.ascontiguousarray(observation.points[::every]),
        rays=np.ascontiguousarray(observation.rays[::skip]),
        silhouette=np.ascontiguousarray(observation.silhouette[::skip]))
