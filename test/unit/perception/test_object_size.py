# SPDX-License-Identifier: Apache-2.0
"""Sizes that differ from those of the files are learned from frames, and believed no further."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.object_size import EVERY, FIRST, ObjectSize, SizeConfig
from ocrrl_ros.perception.pose_estimator import load_tracker_config, PoseEstimator
from ocrrl_ros.perception.surfaces import scaled
import pytest


def costs(size, sigma, factor, step):
    """Return twice the negative log likelihoods at three sizes about a factor."""
    return tuple(((factor * (1.0 + turn) - size) / sigma) ** 2 + 7.0 for turn in (-step, 0, step))


def learned(config, size, frames=50, sigma=0.01):
    """Return the factor after so many frames that show a size."""
    found = ObjectSize(config)
    for _ in range(frames):
        found.update(*costs(size, sigma, found.factor, config.compared))
    return found.factor


@pytest.mark.parametrize('size', [0.955, 0.98, 1.03])
def test_size_comes_out_of_costs(size):
    assert learned(SizeConfig(ignored=0.0), size) == pytest.approx(size, abs=2e-3)


def test_what_masks_make_wrong_is_not_believed():
    config = SizeConfig()
    assert learned(config, 1.0 + config.ignored) == 1.0
    assert learned(config, 1.0 - 0.9 * config.ignored) == 1.0
    assert learned(config, 0.97) == pytest.approx(0.97 + config.ignored, abs=2e-3)


def test_far_other_sizes_are_not_followed():
    config = SizeConfig()
    assert learned(config, 1.3, frames=400) == pytest.approx(1.0 + config.limit)
    assert learned(config, 0.7, frames=400) == pytest.approx(1.0 - config.limit)


def test_one_frame_says_little_and_later_ones_outweigh_it():
    found = ObjectSize(SizeConfig(sigma=0.01, ignored=0.0))
    found.update(*costs(1.04, 0.02, 1.0, 0.02))
    assert 1.0 < found.factor < 1.01
    for _ in range(2000):
        found.update(*costs(0.98, 0.02, found.factor, 0.02))
    assert found.factor == pytest.approx(0.98, abs=2e-3)


def test_costs_without_a_least_say_nothing():
    found = ObjectSize(SizeConfig())
    found.update(1.0, 2.0, 1.0)
    found.update(np.nan, 2.0, 1.0)
    found.update(1.0, np.inf, np.inf)
    assert found.factor == 1.0


def test_costs_that_fall_to_one_side_draw_the_size_there():
    for costs_, sign in (((90.0, 80.0, 50.0), 1.0), ((50.0, 80.0, 90.0), -1.0)):
        found = ObjectSize(SizeConfig())
        for _ in range(20):
            found.update(*costs_)
        assert 0.01 < sign * (found.factor - 1.0) <= SizeConfig().limit + 1e-12


def test_sizes_of_the_files_are_kept_where_that_is_asked_for():
    assert not ObjectSize(SizeConfig(sigma=0.0)).wants_frame()
    assert not ObjectSize(SizeConfig(limit=0.0)).wants_frame()


def test_all_first_frames_are_taken_and_then_one_in_five():
    found = ObjectSize(SizeConfig())
    taken = [found.wants_frame() for _ in range(130)]
    assert all(taken[:FIRST]) and sum(taken[FIRST:]) == (130 - FIRST) // EVERY


@pytest.mark.parametrize('change', [
    {'sigma': -0.1}, {'limit': 0.5}, {'compared': 0.0}, {'frame_sigma': 0.0}, {'ignored': -0.1},
    {'frames': 0}, {'sigma': np.nan}])
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        SizeConfig(**change)


@pytest.fixture
def follow(box_scene, make_solid):
    """Return a function that tracks an object at rest whose size is not that of its file."""
    def last_estimate(object_id, factor, **size):
        scene, model = box_scene(), load_object(object_id)
        solid = make_solid(model, (0.5, 0.0, 0.03), (0.0, 0.0, 0.4))
        solid = dataclasses.replace(solid, shape=scaled(solid.shape, factor))
        config = dataclasses.replace(load_tracker_config(), size=SizeConfig(**size))
        estimator = PoseEstimator([model], scene.base_T_camera, config)
        for number in range(45):
            estimate = estimator.process(scene.frame(number / 30.0, [solid]))[object_id]
        return estimate, 1e3 * np.linalg.norm(estimate.base_T_object[:3] - solid.pose[:3])
    return last_estimate


@pytest.mark.parametrize('object_id', ['bowl', 'block'])
@pytest.mark.parametrize('factor', [0.96, 1.035])
def test_tracker_goes_by_the_size_that_it_sees(follow, object_id, factor):
    estimate, distance = follow(object_id, factor)
    fixed, off = follow(object_id, factor, sigma=0.0)
    assert estimate.parts['size'] == pytest.approx(factor, abs=0.012)
    assert fixed.parts['size'] == 1.0
    assert estimate.confidence > fixed.confidence
    assert estimate.valid and distance < min(off, 1.5)


@pytest.mark.parametrize('object_id', ['bowl', 'cube', 'cup', 'drawer'])
def test_size_of_the_file_is_kept_where_it_is_right(follow, object_id):
    estimate, distance = follow(object_id, 1.0)
    assert estimate.parts['size'] == pytest.approx(1.0, abs=0.004)
    assert estimate.valid and distance < 1.5
