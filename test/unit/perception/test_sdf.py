# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/sdf.py."""

import numpy as np
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.sdf import (
    box_distance, box_gradient, entry, nearest_on_rays, surface_distance)
from ocrrl_ros.perception.surfaces import boxes
import pytest

HALF = np.array([0.02, 0.03, 0.01])
BOX = boxes(np.array([[0.0, 0.0, 0.0, *HALF]]))
BOWL = load_object('bowl').shape.surfaces
DRAWER = load_object('drawer').shape.surfaces
SHAPES = pytest.mark.parametrize('shape', [BOX, BOWL, DRAWER], ids=['box', 'bowl', 'drawer'])
DOWN = np.array([[0.0, 0.0, -1.0]])


def random_rays(shape, count, seed=1):
    """Return a start outside of a shape and rays towards places near it."""
    rng = np.random.default_rng(seed)
    origin = np.array([-0.2, -0.4, 0.35])
    aims = rng.uniform(-0.8, 0.8, (count, 3)) * shape.reach - origin
    return origin, aims / np.linalg.norm(aims, axis=1, keepdims=True)


def test_distances_by_hand():
    points = np.array([[0.05, 0.0, 0.0], [0.0, 0.0, 0.0], [0.05, 0.07, 0.01], [0.02, 0.0, 0.0]])
    np.testing.assert_allclose(box_distance(points, HALF), [0.03, -0.01, 0.05, 0.0], atol=1e-12)


def test_gradient_agrees_with_differences():
    points = np.random.default_rng(0).uniform(-0.06, 0.06, (400, 3))
    q = np.sort(np.abs(points) - HALF, axis=1)
    # Away from the medial axis, where the distance has a kink.
    points = points[(q[:, 2] > 1e-4) | (q[:, 2] - q[:, 1] > 1e-4)]
    numeric = np.stack([
        (box_distance(points + 1e-7 * axis, HALF) - box_distance(points - 1e-7 * axis, HALF))
        / 2e-7 for axis in np.eye(3)], axis=-1)
    np.testing.assert_allclose(box_gradient(points, HALF), numeric, atol=1e-5)


@SHAPES
def test_gradient_of_the_squared_surface_distance_agrees_with_differences(shape):
    origin, rays = random_rays(shape, 600)
    far = entry(origin, rays, shape)
    rays, far = rays[np.isfinite(far)], far[np.isfinite(far)]
    rng = np.random.default_rng(0)
    points = origin + far[:, None] * rays + rng.normal(0, 1e-3, rays.shape)
    distance, normal = surface_distance(points, rays, shape)
    # At a corner the sign is free; what the solver sees is distance times gradient.
    numeric = np.stack([
        (surface_distance(points + 1e-7 * axis, rays, shape)[0] ** 2
         - surface_distance(points - 1e-7 * axis, rays, shape)[0] ** 2) / 4e-7
        for axis in np.eye(3)], axis=-1)
    off = np.abs(distance[:, None] * normal - numeric).max(axis=1)
    assert len(points) > 100
    # Some points lie where two faces are equally near.
    assert np.mean(off < 1e-5) > 0.97


@SHAPES
def test_entered_surface_has_distance_zero_and_faces_the_ray(shape):
    origin, rays = random_rays(shape, 300)
    far = entry(origin, rays, shape)
    hit = np.isfinite(far)
    points = origin + far[hit, None] * rays[hit]
    distance, normal = surface_distance(points, rays[hit], shape)
    assert hit.sum() > 50
    np.testing.assert_allclose(distance, 0.0, atol=1e-9)
    assert ((normal * rays[hit]).sum(axis=1) < 1e-9).all()


@SHAPES
def test_nearest_point_of_a_ray_beats_every_other_point_of_it(shape):
    origin, rays = random_rays(shape, 20)
    found, _, places = nearest_on_rays(origin, rays, shape)
    along = np.linspace(0.2, 1.2, 500)
    for ray, least in zip(rays, found):
        samples = origin + along[:, None] * ray
        other = hull_distance(samples, shape)
        assert least < other.min() + 1e-3
    np.testing.assert_allclose(np.cross(places - origin, rays), 0.0, atol=1e-12)


def hull_distance(points, shape):
    """Return signed distances of points to the hull by another way than the tracker's."""
    if shape.kind == BOX.kind:
        return np.min([box_distance(points - row[:3], row[3:]) for row in shape.hull], axis=0)
    flat = np.stack([np.hypot(points[:, 0], points[:, 1]), points[:, 2]], axis=1)
    inside = ((flat[:, None] - shape.hull[:, :2]) * shape.hull[:, 4:]).sum(axis=2).max(axis=1)
    share = np.linspace(0.0, 1.0, 200)[:, None]
    outline = np.concatenate([
        edge[:2] + share * (edge[2:4] - edge[:2]) for edge in shape.hull])
    gap = np.linalg.norm(flat[:, None] - outline, axis=2).min(axis=1)
    return np.where(inside <= 0.0, inside, gap)


@SHAPES
def test_rays_miss_the_surface_where_they_stay_outside_of_the_hull(shape):
    origin, rays = random_rays(shape, 400)
    least = nearest_on_rays(origin, rays, shape)[0]
    clear = np.abs(least) > 1e-4
    np.testing.assert_array_equal(
        np.isfinite(entry(origin, rays, shape))[clear], least[clear] < 0.0)


@pytest.mark.parametrize('x, expected', [(0.0, 0.48), (0.03, np.inf)])
def test_entry_hits_the_front_face_or_misses(x, expected):
    far = entry(np.array([x, 0.0, -0.49]), np.array([[0.0, 0.0, 1.0]]), BOX)
    np.testing.assert_allclose(far, [expected])


@pytest.mark.parametrize('x, height', [(0.0, -0.021), (0.1, None), (0.0895, 0.025)])
def test_a_look_into_the_bowl_meets_floor_or_rim(x, height):
    far = entry(np.array([x, 0.0, 1.0]), DOWN, BOWL)[0]
    if height is None:
        assert np.isinf(far)
    else:
        assert 1.0 - far == pytest.approx(height, abs=1e-3)


def test_a_thin_wall_seen_from_inside_is_measured_to_its_inner_face():
    middle_of_wall = np.array([[0.0755, 0.0, 0.0]])
    outwards, inwards = np.array([[1.0, 0.0, -0.5]]), np.array([[-1.0, 0.0, 0.0]])
    inner = surface_distance(middle_of_wall, outwards, BOWL)
    outer = surface_distance(middle_of_wall, inwards, BOWL)
    assert inner[0] < 0.0 and inner[1][0, 0] < 0.0
    assert outer[0] < 0.0 and outer[1][0, 0] > 0.0
    assert inner[0][0] + outer[0][0] == pytest.approx(-0.004)


def test_a_point_deep_in_a_plate_is_drawn_to_the_side_that_is_seen():
    plate = boxes(np.array([[0.0, 0.0, 0.0, 0.1, 0.1, 0.006]]))
    distance, normal = surface_distance(np.array([[0.0, 0.0, -0.004]]), DOWN, plate)
    np.testing.assert_allclose(distance, [-0.010])
    np.testing.assert_allclose(normal, [[0.0, 0.0, 1.0]])
