# SPDX-License-Identifier: Apache-2.0
"""Depth noise has the size, correlation, bias and holes that the protocol states."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.sim.depth_noise import DepthNoise, DepthNoiseConfig
import pytest

QUIET = {'sigma_m_at_1m': 0.0, 'edge_hole_probability': 0.0}


def _noise(**settings: float) -> DepthNoise:
    return DepthNoise(DepthNoiseConfig(**settings), np.random.default_rng(0))


def _flat(z: float) -> np.ndarray:
    return np.full((240, 320), z, dtype=np.float32)


@pytest.mark.parametrize('z', [0.5, 0.8, 1.0])
def test_deviation_grows_with_the_square_of_range(z):
    readings = np.concatenate([_noise().apply(_flat(z)).ravel()])
    expected = np.hypot(2.5 * z * z, np.sqrt(1 / 12))
    np.testing.assert_allclose(readings.std(), expected, rtol=0.05)


def test_readings_are_whole_millimetres_without_other_error():
    readings = _noise(**QUIET).apply(_flat(0.8004))
    assert readings.dtype == np.uint16
    assert (readings == 800).all()


def test_neighbours_are_correlated_and_distant_pixels_are_not():
    error = _noise().apply(_flat(1.0)).astype(float) - 1000.0
    assert np.corrcoef(error[:, :-1].ravel(), error[:, 1:].ravel())[0, 1] > 0.5
    assert abs(np.corrcoef(error[:, :-9].ravel(), error[:, 9:].ravel())[0, 1]) < 0.05


def test_bias_is_a_share_of_range():
    readings = _noise(bias_fraction=0.01, **QUIET).apply(_flat(0.8))
    assert (readings == 808).all()


def test_holes_lie_at_edges_only():
    depth = _flat(0.8)
    depth[:, 160:] = 1.0
    readings = _noise(sigma_m_at_1m=0.0, edge_hole_probability=0.5).apply(depth)
    columns = np.nonzero((readings == 0).any(axis=0))[0]
    assert set(columns) == {159, 160}
    assert 0.4 < (readings[:, 159:161] == 0).mean() < 0.6


def test_out_of_range_is_invalid():
    depth = _flat(0.8)
    depth[0, 0], depth[0, 1] = 0.05, 9.0
    readings = _noise(**QUIET).apply(depth)
    assert readings[0, 0] == 0
    assert readings[0, 1] == 0


def test_same_stream_gives_same_picture():
    np.testing.assert_array_equal(_noise().apply(_flat(0.7)), _noise().apply(_flat(0.7)))


def test_wrong_shape_and_wrong_setting_are_refused():
    with pytest.raises(InputError, match='shape'):
        _noise().apply(np.zeros((2, 3, 4), dtype=np.float32))
    with pytest.raises(ConfigError, match='bias_fraction is 0.5'):
        DepthNoiseConfig(bias_fraction=0.5)
