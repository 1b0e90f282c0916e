# SPDX-License-Identifier: Apache-2.0
"""
Array kernels of the tracker in plain numpy: reference and fallback of `kernels_numba`.

Both modules hold the same functions with the same arguments and, up to rounding, the same
results. Images are regions of interest; ``camera`` is (6,) ``fx fy cx cy u0 v0`` with the region's
first column and row. Rotations are (3, 3) ``camera_R_object``, translations (3,) in m.
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.perception.sdf import (
    entry, nearest_on_rays, square_to_rays, surface_distance)
from ocrrl_ros.perception.surfaces import Surfaces

STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))
SEARCH_PX = 8


def colour_score(rgb: np.ndarray, cone: np.ndarray) -> np.ndarray:
    """
    Return (H, W) float32: how far inside a cone of hues each pixel lies, 0 and less outside.

    :param rgb: (H, W, 3) uint8.
    :param cone: (4,) cosine and sine of the centre hue, cotangent of the half width, and the
        darkest value 0..255 that is trusted.
    """
    red, green, blue = (rgb[..., i].astype(np.float32) for i in range(3))
    alpha = red - 0.5 * (green + blue)
    beta = 0.8660254 * (green - blue)
    along = alpha * cone[0] + beta * cone[1]
    across = beta * cone[0] - alpha * cone[1]
    value = np.maximum(np.maximum(red, green), blue)
    score = (along - np.abs(across) * cone[2]) / np.maximum(value, 1.0)
    return np.where(value >= cone[3], score, 0.0).astype(np.float32)


def surface_points(
        depth: np.ndarray, mask: np.ndarray, camera: np.ndarray, stride: int,
        range_m: np.ndarray) -> np.ndarray:
    """
    Return the measured points (P, 3) of masked pixels on a grid, optical frame, m.

    :param depth: (H, W) float32 m, 0 invalid.
    :param mask: (H, W) bool.
    :param stride: grid step, px.
    :param range_m: (2,) least and greatest depth to take, m.
    """
    z = depth[::stride, ::stride].astype(float)
    keep = mask[::stride, ::stride] & (z > range_m[0]) & (z < range_m[1])
    rows, columns = np.nonzero(keep)
    z = z[rows, columns]
    x = (columns * stride + camera[4] - camera[2]) / camera[0]
    y = (rows * stride + camera[5] - camera[3]) / camera[1]
    return np.stack([x * z, y * z, z], axis=-1)


def _shifted(image: np.ndarray, dv: int, du: int, fill: float) -> np.ndarray:
    """Return the image whose pixel (v, u) is pixel (v + dv, u + du) of the given one."""
    result = np.full_like(image, fill)
    height, width = image.shape
    v, u = slice(max(dv, 0), height + min(dv, 0)), slice(max(du, 0), width + min(du, 0))
    to_v, to_u = slice(max(-dv, 0), height - max(dv, 0)), slice(max(-du, 0), width - max(du, 0))
    result[to_v, to_u] = image[v, u]
    return result


def _first_depth(
        depth: np.ndarray, mask: np.ndarray, step: tuple[int, int], inside: bool) -> np.ndarray:
    """Return per pixel the first valid depth along a step, on one side of the mask's edge."""
    found = np.zeros_like(depth)
    open_ = np.ones_like(mask)
    for k in range(0 if inside else 1, SEARCH_PX + 1):
        sign = -k if inside else k
        open_ = open_ & (_shifted(mask, sign * step[0], sign * step[1], not inside) == inside)
        z = np.where(open_, _shifted(depth, sign * step[0], sign * step[1], 0.0), 0.0)
        found = np.where((found == 0.0) & (z > 0.0), z, found)
    return found


def contour_rays(
        score: np.ndarray, mask: np.ndarray, depth: np.ndarray, camera: np.ndarray,
        plane: np.ndarray, margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return unit rays (C, 3) through the mask's edge, and which of them are silhouette (C,) bool.

    Every side of a masked pixel that faces an unmasked one gives one ray, placed where the score
    crosses half way. It is a silhouette where the outside is measured behind the object or on the
    supporting plane; elsewhere something may stand in front and the ray says only that the object
    reaches it.

    :param score: (H, W) float32 from `colour_score`.
    :param mask: (H, W) bool, holes filled.
    :param plane: (4,) unit normal and offset: height of a point p is ``normal . p + offset``.
    :param margins: (2,) how far behind counts as behind, and how near the plane as on it, m.
    """
    parts = [_edge_along(step, score, mask, depth, camera, plane, margins) for step in STEPS]
    rays = np.concatenate([part[0] for part in parts])
    return rays, np.concatenate([part[1] for part in parts])


def _edge_along(
        step: tuple[int, int], score: np.ndarray, mask: np.ndarray, depth: np.ndarray,
        camera: np.ndarray, plane: np.ndarray,
        margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rays and silhouette flags of the edges that face one direction."""
    dv, du = step
    height, width = mask.shape
    edge = mask & ~_shifted(mask, dv, du, True)
    v, u = np.nonzero(edge)
    inner = score[np.clip(v - dv, 0, height - 1), np.clip(u - du, 0, width - 1)].astype(float)
    outer = score[np.clip(v + 2 * dv, 0, height - 1), np.clip(u + 2 * du, 0, width - 1)]
    fraction = _crossing(
        inner, score[v, u].astype(float), score[v + dv, u + du].astype(float),
        outer.astype(float))
    x = (u + du * fraction + camera[4] - camera[2]) / camera[0]
    y = (v + dv * fraction + camera[5] - camera[3]) / camera[1]
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    rays /= np.sqrt((rays * rays).sum(axis=-1, keepdims=True))
    z_in = _first_depth(depth, mask, step, True)[v, u].astype(float)
    z_out = _first_depth(depth, mask, step, False)[v, u].astype(float)
    x = (u + du + camera[4] - camera[2]) / camera[0]
    y = (v + dv + camera[5] - camera[3]) / camera[1]
    level = (plane[0] * x + plane[1] * y + plane[2]) * z_out + plane[3]
    behind = (z_out > z_in + margins[0]) | (np.abs(level) < margins[1])
    return rays, (z_in > 0.0) & (z_out > 0.0) & behind


def _crossing(
        inner: np.ndarray, near: np.ndarray, far: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Return where (0 = masked pixel, 1 = its neighbour) the score passes half way."""
    half = 0.5 * (inner + outer)
    before = np.where(inner - near > 1e-6, (half - near) / np.maximum(inner - near, 1e-6), 0.0)
    between = (near - half) / np.maximum(near - far, 1e-6)
    after = np.where(far - outer > 1e-6, (far - half) / np.maximum(far - outer, 1e-6), 0.0)
    fraction = np.where(near < half, -before, np.where(far > half, 1.0 + after, between))
    return np.where(inner > outer, np.clip(fraction, -0.5, 1.5), 0.5)


def accumulate(
        points: np.ndarray, rays: np.ndarray, silhouette: np.ndarray, rotation: np.ndarray,
        translation: np.ndarray, shape: Surfaces,
        noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """
    Return the Gauss-Newton system (6, 6), (6,) and the robust cost of a pose.

    Unknowns are a translation (m) and a rotation vector (rad) about the object's centre, both in
    the optical frame. Residuals in units of their standard deviation pass a Geman-McClure kernel.

    :param points: (P, 3) measured surface points; their residual is the signed distance.
    :param rays: (C, 3) unit rays of the mask's edge; residual is the least distance along the ray.
    :param silhouette: (C,) bool; other rays count only where they miss the object.
    :param noise: (6,) depth sigma at 1 m (grows with depth squared), its floor in m, weight of
        one point, sigma of a ray in rad, weight of one ray, and the kernel's width in sigmas.
    """
    surface = (points - translation) @ rotation
    sigma = noise[0] * points[:, 2] ** 2 + noise[1]
    first = _system(
        surface, *surface_distance(surface, points @ rotation, shape), sigma,
        np.full(len(points), noise[2]), rotation, noise[5])
    directions = rays @ rotation
    origin = -(translation @ rotation)
    distance, normal, nearest = nearest_on_rays(origin, directions, shape)
    normal, whole = square_to_rays(nearest, directions, normal, shape)
    counts = (silhouette | (distance > 0.0)) & whole
    sigma = noise[3] * np.sqrt(((nearest - origin) ** 2).sum(axis=-1))
    second = _system(
        nearest, distance, normal, sigma, noise[4] * counts, rotation, noise[5])
    return first[0] + second[0], first[1] + second[1], first[2] + second[2]


def _system(
        at: np.ndarray, distance: np.ndarray, normal: np.ndarray, sigma: np.ndarray,
        weight: np.ndarray, rotation: np.ndarray,
        width: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return normal equations and cost of one kind of residual."""
    residual = distance / sigma
    shrink = 1.0 / (1.0 + (residual / width) ** 2)
    jacobian = -np.concatenate(
        [normal @ rotation.T, np.cross(at, normal) @ rotation.T], axis=-1) / sigma[:, None]
    scaled = jacobian * (weight * shrink * shrink)[:, None]
    cost = float((weight * residual * residual * shrink).sum())
    return scaled.T @ jacobian, -(scaled.T @ residual), cost


def compare(
        depth: np.ndarray, mask: np.ndarray, camera: np.ndarray, rotation: np.ndarray,
        translation: np.ndarray, shape: Surfaces, tolerance: np.ndarray) -> np.ndarray:
    """
    Return how a region of the image agrees with the rendered object, as (10,) sums.

    0 model pixels; 1 model and mask; 2 mask alone; 3 model pixels hidden by something nearer;
    4 model pixels without mask that are neither hidden nor unmeasured; 5 visible model pixels
    with valid depth; 6 of these within tolerance; 7 sum of their squared errors, in units of the
    tolerance squared and cut at 9; 8 model pixels whose measured depth lies behind; 9 model pixels
    with neither mask nor depth.

    :param tolerance: (3,) inlier tolerance at 1 m (grows with depth squared), its floor, and how
        much nearer an occluder is at least, m.
    """
    rows, columns = np.indices(mask.shape)
    rays = np.stack(
        [(columns + camera[4] - camera[2]) / camera[0],
         (rows + camera[5] - camera[3]) / camera[1], np.ones(mask.shape)], axis=-1).reshape(-1, 3)
    length = np.sqrt((rays * rays).sum(axis=-1))
    expected = entry(
        -(translation @ rotation), (rays / length[:, None]) @ rotation, shape) / length
    measured, object_ = depth.reshape(-1).astype(float), mask.reshape(-1)
    model = np.isfinite(expected)
    expected = np.where(model, expected, 0.0)
    error = measured - expected
    valid = measured > 0.0
    hidden = model & ~object_ & valid & (error < -tolerance[2])
    missing = model & ~object_ & valid & ~hidden
    compared = model & valid & object_
    scaled = (error / (tolerance[0] * expected ** 2 + tolerance[1])) ** 2
    behind = model & valid & (error > tolerance[2])
    return np.array([
        model.sum(), (model & object_).sum(), (object_ & ~model).sum(), hidden.sum(),
        missing.sum(), compared.sum(), (compared & (scaled < 1.0)).sum(),
        np.minimum(scaled, 9.0)[compared].sum(), behind.sum(),
        (model & ~object_ & ~valid).sum()], dtype=float)
