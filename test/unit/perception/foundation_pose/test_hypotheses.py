# SPDX-License-Identifier: Apache-2.0
"""Tests of the rotations and the place that a registration starts from."""
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.symmetry import symmetry_group
from ocrrl_ros.perception.adapters.foundation_pose.hypotheses import (
    icosphere, place, rotation_grid)
from ocrrl_ros.perception.frame import Intrinsics
import pytest

CAMERA = Intrinsics(fx=600.0, fy=610.0, cx=32.0, cy=24.0, width=64, height=48)


@pytest.mark.parametrize(('wanted', 'count'), [(12, 12), (40, 42), (43, 162)])
def test_views_are_spread_evenly(wanted, count):
    points = icosphere(wanted)
    assert len(points) == count
    assert np.allclose(np.linalg.norm(points, axis=1), 1.0)
    assert np.allclose(points.mean(axis=0), 0.0, atol=1e-9)
    gaps = np.degrees(np.arccos(np.clip(points @ points.T, -1, 1)) + 7 * np.eye(count))
    nearest = gaps.min(axis=1)
    assert nearest.max() < 1.35 * nearest.min()


def test_without_symmetry_there_are_252_hypotheses():
    assert len(rotation_grid(40, 60.0, 30.0, symmetry_group('none'))) == 252


@pytest.mark.parametrize('group', ['none', 'box', 'square_prism', 'cube', 'revolution'])
def test_no_rotation_is_far_from_all_hypotheses(group):
    symmetries = symmetry_group(group)
    grid = rotation_grid(40, 60.0, 30.0, symmetries)
    rotations = se3.quat_normalize(np.random.default_rng(0).normal(size=(200, 4)))
    alike = se3.quat_multiply(rotations[:, None], symmetries[None])
    nearest = np.degrees(se3.quat_angle(
        alike[:, :, None], grid[None, None]).min(axis=(1, 2)))
    # Half a step of views, half a turn step, and what is given away as alike.
    assert nearest.max() < 18.0 + 30.0 + 30.0
    assert np.median(nearest) < 30.0


@pytest.mark.parametrize('group', ['box', 'cube', 'revolution'])
def test_hypotheses_that_look_alike_are_one(group):
    symmetries = symmetry_group(group)
    grid = rotation_grid(40, 60.0, 30.0, symmetries)
    assert len(grid) < 100
    alike = se3.quat_multiply(grid[:, None], symmetries[None])
    apart = se3.quat_angle(alike[:, :, None], grid[None, None]).min(axis=1)
    assert np.degrees(apart[~np.eye(len(grid), dtype=bool)]).min() >= 30.0 - 1e-6


def test_the_place_is_on_the_ray_through_the_mask_at_its_median_depth():
    depth = np.full((48, 64), 0.5, np.float32)
    depth[20:24, 40:44] = 0.8
    depth[20, 40] = 0.0
    mask = np.zeros((48, 64), bool)
    mask[20:24, 40:44] = True
    assert np.allclose(
        place(depth, mask, CAMERA), 0.8 * np.array([(41.5 - 32) / 600, (21.5 - 24) / 610, 1.0]))


def test_too_little_depth_gives_no_place():
    depth = np.zeros((48, 64), np.float32)
    depth[0, :3] = 0.5
    assert place(depth, np.ones((48, 64), bool), CAMERA) is None
    assert place(depth, np.zeros((48, 64), bool), CAMERA) is None
