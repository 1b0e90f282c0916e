# SPDX-License-Identifier: Apache-2.0
"""A base that sees a little amiss: pictures change by episode, and nothing else does."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.sim.vec_base_view import VecBaseView
from ocrrl_ros.sim.vec_config import BaseViewConfig, VecEnvConfig
from ocrrl_ros.sim.vec_recipe import load_environment
import pytest

ROWS = np.arange(3)


def picture(rows: np.ndarray) -> np.ndarray:
    """Return pictures (M, 24, 32, 3), a bright edge at column 16 on grey."""
    pictures = np.full((len(rows), 24, 32, 3), 100, np.uint8)
    pictures[:, :, 16:] = 200
    return pictures


def view(**settings: float) -> VecBaseView:
    """Return a view of three environments whose episodes have begun."""
    found = VecBaseView(picture, 3, BaseViewConfig(**settings), np.random.default_rng(0))
    found.start(ROWS)
    return found


def edges(pictures: np.ndarray) -> np.ndarray:
    """Return the column (N,) at which the pictures' middle row turns bright, to a fraction."""
    return (200.0 - pictures[:, 12, :, 0].astype(float)).sum(axis=1) / 100.0


def test_pictures_shift_by_episode_and_stay_so():
    found = view(shift_px=2.0)
    first = edges(found(ROWS))
    assert len(set(first)) == 3
    assert np.abs(first - 16.0).max() <= 2.0 + 0.02
    np.testing.assert_array_equal(edges(found(ROWS)), first)
    found.start(np.array([1]))
    second = edges(found(ROWS))
    assert (second != first).tolist() == [False, True, False]


def test_channels_are_tinted_within_the_bound():
    shown = view(gain=0.1)(ROWS)
    grey = shown[:, 0, 0].astype(float) / 100.0
    assert np.abs(grey - 1.0).max() <= 0.1 + 0.005
    assert grey.std() > 0.01
    # As it was where it began: no shift.
    np.testing.assert_array_equal(np.diff(shown[0, 0, :, 0].astype(int)).nonzero()[0], [15])


def test_rows_are_those_asked_for():
    found = view(shift_px=2.0, gain=0.1)
    np.testing.assert_array_equal(found(np.array([2])), found(ROWS)[2:])


def test_saved_view_goes_on_exactly():
    whole, other = view(shift_px=2.0, gain=0.1), view(shift_px=2.0, gain=0.1)
    whole.start(np.array([0]))
    other.load_state_dict(whole.state_dict())
    for found in (whole, other):
        found.start(np.array([2]))
    np.testing.assert_array_equal(whole(ROWS), other(ROWS))


def test_bright_pictures_do_not_wrap_round():
    found = VecBaseView(
        lambda rows: np.full((len(rows), 4, 4, 3), 255, np.uint8), 3, BaseViewConfig(gain=0.2),
        np.random.default_rng(0))
    found.start(ROWS)
    assert found(ROWS).min() > 200


@pytest.mark.parametrize('settings', [{'shift_px': -1.0}, {'shift_px': 99.0}, {'gain': 1.0}])
def test_what_is_no_picture_of_the_scene_is_refused(settings: dict):
    with pytest.raises(ConfigError, match='shift_px'):
        BaseViewConfig(**settings)


def test_training_meets_other_bases_and_measuring_does_not():
    shipped = load_environment(8)
    assert shipped.num_envs == 8
    assert shipped.expert_share > 0.0
    assert not shipped.base_view.is_off
    assert shipped.plain() == VecEnvConfig(num_envs=8).plain()
