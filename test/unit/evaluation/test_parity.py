# SPDX-License-Identifier: Apache-2.0
"""Training and evaluation move the arm alike; the comparison can tell when they do not."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.parity import bench_parity, compare_ways, ParityConfig
import pytest


def test_training_and_evaluation_go_the_same_way_and_the_cartesian_law_nearly():
    result = bench_parity(ParityConfig(chunks=3, episodes=0))
    joint, cartesian = result['joint_impedance'], result['cartesian_impedance']
    assert result['passed']
    assert joint['tcp_rms_mm'] < 2.0 and joint['tcp_rms_deg'] < 1.0
    assert 0.1 < cartesian['tcp_rms_mm'] < 30.0


def test_ways_that_differ_do_not_pass():
    way = np.zeros((2, 5, 7))
    way[..., 6] = 1.0
    other = way.copy()
    other[..., 0] += 0.003
    found = compare_ways(way, other)
    assert found['tcp_rms_mm'] == pytest.approx(3.0)
    assert not found['passed']
    assert compare_ways(way, way)['passed']


def test_empty_comparisons_are_refused():
    with pytest.raises(ConfigError, match='chunks is 0'):
        ParityConfig(chunks=0)
