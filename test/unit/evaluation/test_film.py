# SPDX-License-Identifier: Apache-2.0
"""Tests of films and what reports make of them."""
import io

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.evaluation.film import Film
from ocrrl_ros.evaluation.media import decode_jpeg, PinholeView
import pytest

VIEW = PinholeView(
    se3.pose(np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 0.0])), (60.0, 60.0, 31.5, 23.5))


@pytest.fixture
def film():
    """Film one second with a correction that is strongest at 0.6 s."""
    found = Film()
    for tick in range(11):
        time_s = 0.1 * tick
        found.add_picture(np.full((48, 64, 3), 20 * tick, dtype=np.uint8), time_s)
        offset = 0.02 if tick == 6 else 0.001
        found.add_targets(np.zeros(3), np.array([offset, 0.0, 0.0]), time_s)
    return found


def test_the_strongest_correction_is_found(film):
    assert film.strongest_time_s() == pytest.approx(0.6)
    assert abs(int(film.picture_at(0.6)[0, 0, 0]) - 120) <= 3


def test_of_strong_corrections_the_lowest_is_shown(film):
    film.base_targets[3] = np.array([0.0, 0.0, -0.1])
    film.corrected_targets[3] = film.base_targets[3] + [0.0, 0.015, 0.0]
    assert film.strongest_time_s() == pytest.approx(0.3)


def test_without_corrections_the_middle_is_shown(film):
    film.corrected_targets = film.base_targets
    assert film.strongest_time_s() == pytest.approx(0.5)


def test_the_trace_is_cut_to_the_time_asked_for(film):
    assert len(film.trace(0.25, 0.55)) == 3
    assert len(Film().trace()) == 0


def test_the_correction_picture_is_a_jpeg_of_the_same_size(film):
    assert decode_jpeg(film.correction_picture(VIEW)).shape == (48, 64, 3)


def test_the_video_has_one_frame_per_picture(film):
    import av
    with av.open(io.BytesIO(film.video(VIEW, 'base alone'))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 11
