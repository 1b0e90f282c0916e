# SPDX-License-Identifier: Apache-2.0
"""Confidence falls with every kind of disagreement."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.confidence import ConfidenceConfig, FEATURES, image_parts
import pytest

PERFECT = dict.fromkeys(FEATURES, 0.0)


@pytest.mark.parametrize('feature', FEATURES)
def test_no_feature_raises_the_confidence(feature):
    config = ConfidenceConfig()
    assert config.probability(PERFECT | {feature: 0.5}) <= config.probability(PERFECT)


def test_a_part_that_is_no_number_means_no_confidence():
    assert ConfidenceConfig().probability(PERFECT | {'depth_rms': float('nan')}) == 0.0


def test_hidden_pixels_are_occlusion_and_no_silhouette_error():
    parts = image_parts(np.array([100.0, 40, 0, 60, 0, 40, 40, 2, 0, 0]))
    assert parts['silhouette_error'] == 0.0
    assert parts['occluded'] == pytest.approx(0.6)
    assert parts['scarcity'] == pytest.approx(np.log(2.5))


def test_an_object_that_is_gone_fails_every_part():
    parts = image_parts(np.array([100.0, 0, 0, 0, 100, 0, 0, 0, 100, 0]))
    assert parts['silhouette_error'] == 1.0 and parts['free_space'] == 1.0
    assert parts['depth_outliers'] == 1.0
    assert ConfidenceConfig().probability(PERFECT | parts) < 0.01


def test_pixels_without_colour_and_depth_are_no_silhouette_error_but_counted():
    parts = image_parts(np.array([100.0, 80, 0, 0, 0, 80, 80, 2, 0, 20]))
    assert parts['silhouette_error'] == 0.0 and parts['unmeasured'] == pytest.approx(0.2)


def test_colour_outside_the_rendered_object_is_excess():
    parts = image_parts(np.array([100.0, 90, 30, 0, 10, 90, 90, 2, 0, 0]))
    assert parts['excess'] == pytest.approx(0.25)


def test_weights_that_reward_errors_are_refused():
    with pytest.raises(ConfigError, match='depth_rms'):
        ConfidenceConfig(depth_rms=1.0)
