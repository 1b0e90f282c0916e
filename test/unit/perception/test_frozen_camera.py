# SPDX-License-Identifier: Apache-2.0
"""A camera that repeats its picture is noticed; a quiet scene and a dark camera are not."""
import numpy as np
from ocrrl_ros.perception.frozen_camera import FrozenCamera, MOST_EQUAL

PICTURE = np.full((4, 6), 0.7, np.float32)


def test_equal_pictures_in_a_row_are_noticed_and_the_first_other_one_ends_it():
    camera = FrozenCamera()
    told = [camera.shows_again(PICTURE.copy()) for _ in range(MOST_EQUAL + 2)]
    assert told == [False] * MOST_EQUAL + [True, True]
    other = PICTURE.copy()
    other[1, 1] += 0.001
    assert not camera.shows_again(other)
    assert not camera.shows_again(other.copy())


def test_a_camera_without_any_depth_has_not_frozen():
    camera = FrozenCamera()
    assert not any(camera.shows_again(np.zeros((4, 6), np.float32)) for _ in range(20))
