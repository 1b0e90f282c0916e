# SPDX-License-Identifier: Apache-2.0
"""Masks hold the object's pixels and nothing else."""

from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception import kernels_numpy
from ocrrl_ros.perception.frame import Intrinsics
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.segmentation import Segment, SegmentationConfig, Segmenter
import pytest


@pytest.fixture
def segmenter():
    """Return a segmenter of the cube."""
    return Segmenter(load_object('cube'), SegmentationConfig(), kernels_numpy)


def in_camera(scene, box):
    """Return a box's rotation and centre in the optical frame."""
    pose = se3.pose_multiply(se3.pose_inverse(scene.base_T_camera), box.pose)
    return se3.quat_to_matrix(pose[3:]), pose[:3]


def pixels(segment):
    """Return rows and columns of the mask in the image."""
    rows, columns = np.nonzero(segment.mask)
    return rows + int(segment.camera[5]), columns + int(segment.camera[4])


def test_search_finds_a_cube_anywhere_in_the_image(segmenter, box_scene, make_box):
    scene = box_scene()
    for position in ((0.4, -0.15, 0.02), (0.6, 0.15, 0.02), (0.5, 0.0, 0.25)):
        box = make_box(position)
        finds = segmenter.search(scene.frame(0.0, [box]), 1.0)
        u, v = scene.camera.project(in_camera(scene, box)[1])
        rows, columns = pixels(finds[0])
        assert abs(rows.mean() - v) < 8 and abs(columns.mean() - u) < 8


def test_search_refuses_red_things_of_another_size(segmenter, box_scene, make_box):
    scene = box_scene()
    wall = make_box((0.5, 0.0, 0.1), half=(0.1, 0.1, 0.1))
    assert segmenter.search(scene.frame(0.0, [wall]), 1.0) == []


def test_fingers_in_front_do_not_join_the_mask(segmenter, box_scene, make_box, fingers):
    scene = box_scene()
    box = make_box((0.5, 0.0, 0.15), (0.0, 0.0, 0.6))
    frame = scene.frame(0.0, [box, *fingers(box)])
    segment = segmenter.near(frame, *in_camera(scene, box), 1.0)
    colours = frame.rgb[pixels(segment)].astype(int)
    assert np.all(colours[:, 0] > 2 * colours[:, 1])


def test_a_look_alike_behind_the_prediction_is_left_out(segmenter, box_scene, make_box):
    scene = box_scene()
    near, far = make_box((0.62, 0.12, 0.30)), make_box((0.42, -0.03, 0.02))
    frame = scene.frame(0.0, [near, far])
    alone = scene.frame(0.0, [near])
    both = segmenter.near(frame, *in_camera(scene, near), 1.0)
    single = segmenter.near(alone, *in_camera(scene, near), 1.0)
    assert abs(both.area_px - single.area_px) < 0.02 * single.area_px


def test_prediction_outside_the_image_finds_nothing(segmenter, box_scene):
    frame = box_scene().frame(0.0, [])
    assert segmenter.near(frame, np.eye(3), np.array([5.0, 0.0, 0.5]), 1.0) is None
    assert segmenter.near(frame, np.eye(3), np.array([0.0, 0.0, -0.5]), 1.0) is None


def test_what_lies_outside_the_picture_is_known(segmenter):
    camera = Intrinsics(fx=600.0, fy=600.0, cx=319.5, cy=239.5, width=640, height=480)
    left_edge_m = -camera.cx / camera.fx * 0.62
    shares = [segmenter.share_outside(camera, np.eye(3), np.array([x, 0.0, 0.62]))
              for x in (0.0, left_edge_m, 2.0 * left_edge_m)]
    assert shares[0] == 0.0 and shares[2] == 1.0
    assert shares[1] == pytest.approx(0.5, abs=0.1)
    assert segmenter.share_outside(camera, np.eye(3), np.array([0.0, 0.0, -0.5])) == 1.0


def segment(depth, mask):
    """Return a segment of a picture's first corner."""
    return Segment(
        camera=np.array([600.0, 600.0, 320.0, 240.0, 0.0, 0.0]), score=mask.astype(np.float32),
        depth=depth, mask=mask, filled=mask)


@given(arrays(np.float32, (5, 4), elements=st.sampled_from(
    [0.0, -1.0, float('nan'), 0.5, 0.51, 0.7, 0.70000005, 1.3])), arrays(bool, (5, 4)))
def test_the_depth_of_a_segment_is_the_median_of_what_was_measured(depth, mask):
    measured = depth[mask & (depth > 0.0)]
    median_m = segment(depth, mask).median_depth_m
    assert median_m == (np.median(measured) if len(measured) else 0.0)


@pytest.mark.parametrize('place', [(0.4, -0.15, 0.02), (0.6, 0.15, 0.02), (0.5, 0.0, 0.25)])
def test_a_window_that_holds_more_than_the_object_changes_nothing(box_scene, make_box, place):
    scene, box = box_scene(), make_box(place)
    frame, pose = scene.frame(0.0, [box]), in_camera(scene, box)
    masks = [
        Segmenter(load_object('cube'), SegmentationConfig(roi_margin_px=margin), kernels_numpy)
        .near(frame, *pose, 1.0).whole_mask(frame.depth_m.shape) for margin in (4, 30, 200)]
    assert masks[0].any()
    assert np.array_equal(masks[0], masks[1]) and np.array_equal(masks[1], masks[2])
