# SPDX-License-Identifier: Apache-2.0
"""Tests of the pairs of crops: what is drawn and what is cut out must be alike at the truth."""
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.adapters.foundation_pose.crops import Cropper, observe
from ocrrl_ros.perception.adapters.foundation_pose.mesh import object_mesh
from ocrrl_ros.perception.adapters.foundation_pose.raster_numba import draw
from ocrrl_ros.perception.frame import Intrinsics
from ocrrl_ros.perception.object_model import load_object
import pytest

CAMERA = Intrinsics(fx=610.0, fy=610.0, cx=322.0, cy=238.0, width=640, height=480)
MESH = object_mesh(load_object('block'))
TRUE = se3.pose(np.array([0.06, -0.04, 0.6]), se3.quat_from_rotvec(np.array([0.5, -0.7, 0.3])))


@pytest.fixture(scope='module')
def seen():
    """Return a frame of the mesh at its true pose before nothing."""
    rgb = np.empty((1, 480, 640, 3), np.float32)
    points = np.empty_like(rgb)
    draw(se3.pose_transform(TRUE, MESH.vertices)[None], MESH.faces,
         MESH.colours.astype(float), np.array([[610.0, 610.0, 322.0, 238.0]]), rgb, points)
    return observe(rgb[0], points[0, ..., 2], CAMERA)


def test_points_follow_from_depth(seen):
    valid = seen.points[..., 2] > 0.0
    pixels = CAMERA.project(seen.points[valid])
    rows, columns = np.nonzero(valid)
    assert np.allclose(pixels, np.stack([columns, rows], axis=1), atol=1e-3)


def test_at_the_true_pose_both_crops_are_alike(seen):
    rendered, observed = Cropper(MESH, 1.2, 0.001).pairs(seen, TRUE[None])
    assert rendered.shape == observed.shape == (1, 160, 160, 6)
    assert rendered.dtype == observed.dtype == np.float32
    both = rendered[0, ..., 3:].any(axis=-1) & observed[0, ..., 3:].any(axis=-1)
    either = rendered[0, ..., 3:].any(axis=-1) | observed[0, ..., 3:].any(axis=-1)
    assert both.sum() > 0.97 * either.sum()
    apart = np.abs(rendered - observed)[0][both]
    assert np.median(apart[:, 3:]) < 0.01
    assert np.median(apart[:, :3]) < 0.01
    assert rendered[..., :3].max() <= 1.0
    # In radii of the object, about its centre.
    assert 0.8 < np.linalg.norm(rendered[0, ..., 3:], axis=-1).max() <= 1.01


def test_the_object_fills_the_window_by_the_ratio(seen):
    for ratio in (1.1, 2.0):
        rendered, _ = Cropper(MESH, ratio, 0.001).pairs(seen, TRUE[None])
        rows, columns = np.nonzero(rendered[0, ..., 3:].any(axis=-1))
        longest = max(np.ptp(rows), np.ptp(columns)) / 160
        assert 0.5 / ratio < longest <= 1.05 / ratio


def test_a_hypothesis_that_is_off_is_drawn_in_the_middle_and_the_object_aside(seen):
    off = TRUE.copy()
    off[0] += 0.02
    rendered, observed = Cropper(MESH, 1.2, 0.001).pairs(seen, off[None])
    middle = [np.argwhere(crop[0, ..., 3:].any(axis=-1)).mean(axis=0)
              for crop in (rendered, observed)]
    assert np.abs(middle[0] - 79.5).max() < 12.0
    # 20 mm of a window of 1.2 x 98 mm.
    assert middle[0][1] - middle[1][1] == pytest.approx(0.02 / (1.2 * 0.098) * 160, abs=4.0)


def test_what_is_far_from_the_object_or_too_near_is_none_of_it(seen):
    behind = observe(seen.rgb, np.where(seen.points[..., 2] > 0, seen.points[..., 2], 1.5), CAMERA)
    _, observed = Cropper(MESH, 1.2, 0.001).pairs(behind, TRUE[None])
    _, alone = Cropper(MESH, 1.2, 0.001).pairs(seen, TRUE[None])
    assert np.array_equal(observed[..., 3:], alone[..., 3:])
    rendered, observed = Cropper(MESH, 1.2, 0.7).pairs(seen, TRUE[None])
    assert not rendered[..., 3:].any()
    assert not observed[..., 3:].any()


def test_a_window_that_leaves_the_picture_is_black_there(seen):
    aside = TRUE.copy()
    aside[0] = -0.33
    _, observed = Cropper(MESH, 1.2, 0.001).pairs(seen, aside[None])
    assert not observed[0, :, :60].any()
