# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/sdf.py."""

import numpy as np
from ocrrl_ros.perception.sdf import box_distance, box_entry, box_gradient, nearest_on_rays
import pytest

HALF = np.array([0.02, 0.03, 0.01])


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


def test_nearest_point_of_a_ray_beats_every_other_point_of_it():
    rng = np.random.default_rng(1)
    origin = np.array([0.1, -0.4, 0.5])
    aims = rng.uniform(-0.05, 0.05, (50, 3)) - origin
    directions = aims / np.linalg.norm(aims, axis=1, keepdims=True)
    found = box_distance(nearest_on_rays(origin, directions, HALF), HALF)
    along = np.linspace(0.3, 1.0, 4000)
    samples = origin + along[None, :, None] * directions[:, None]
    best = box_distance(samples.reshape(-1, 3), HALF).reshape(50, -1).min(axis=1)
    np.testing.assert_array_less(found, best + 1e-4)


@pytest.mark.parametrize('x, expected', [(0.0, 0.48), (0.03, np.inf)])
def test_entry_hits_the_front_face_or_misses(x, expected):
    entry = box_entry(np.array([x, 0.0, -0.49]), np.array([[0.0, 0.0, 1.0]]), HALF)
    np.testing.assert_allclose(entry, [expected])
