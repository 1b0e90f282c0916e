# SPDX-License-Identifier: Apache-2.0
"""The pose sensor model: error sizes, latency, losses, exact continuation."""

import numpy as np
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.core.se3 import pose_identity
from ocrrl_ros.sim.pose_model import PoseModel, Visibility, visibility
from ocrrl_ros.sim.pose_model_config import PoseModelConfig, VisibilityConfig
import pytest

EXACT = VisibilityConfig(white_m=0.0, white_rad=0.0, drift_m=0.0, drift_rad=0.0, invalid_share=0.0)
QUIET = PoseModelConfig(
    bias_m=0.0, bias_rad=0.0, free=EXACT, near=EXACT, held=EXACT, hold_rate_hz=0.0,
    latency_jitter_s=0.0, lost_from_start=0.0, lost_for_good=0.0)


def make(n: int, config: PoseModelConfig, seed: int = 0) -> PoseModel:
    """Return a model whose n episodes started at time 0."""
    model = PoseModel(n, 1, config, np.random.default_rng(seed))
    model.reset(np.arange(n), 0.0, 15.0)
    return model


def truth(n: int, x: float = 0.0) -> np.ndarray:
    """Return n identical poses (n, 1, 7) at x."""
    poses = np.tile(pose_identity(), (n, 1, 1))
    poses[..., 0] = x
    return poses


def free(n: int) -> np.ndarray:
    """Return the phase of n objects that nothing hides."""
    return np.zeros((n, 1), int)


def invalid_share(config: PoseModelConfig, n: int = 200, ticks: int = 400) -> np.ndarray:
    """Return which tick of which episode had its gate closed, (ticks, n)."""
    model = make(n, config)
    closed = np.ones(n, bool)
    log = np.zeros((ticks, n), bool)
    for tick in range(ticks):
        reports = model.observe(0.05 * tick, truth(n), free(n))
        closed[reports.rows] = False
        closed[reports.lost_rows] = True
        log[tick] = closed
    return log


def test_report_without_noise_is_the_truth_at_the_image_stamp():
    model = make(8, QUIET)
    for tick in range(40):
        now = 0.05 * tick
        reports = model.observe(now, truth(8, x=0.1 * now), free(8))
        if tick > 6:
            np.testing.assert_allclose(reports.poses[:, 0], 0.1 * reports.stamp_s, atol=1e-9)


def test_poses_arrive_with_the_latency_of_camera_and_tracker():
    model = make(50, QUIET)
    ages = []
    for tick in range(300):
        reports = model.observe(0.02 * tick, truth(50), free(50))
        ages.extend(0.02 * tick - reports.stamp_s)
    assert min(ages) >= 0.05 - 1e-6
    assert max(ages) <= 0.09 + 0.02 + 1e-6
    assert len(ages) == pytest.approx(50 * 300 * 0.02 * 30, rel=0.03)


@pytest.mark.parametrize('tick_s', [0.02, 0.05])
def test_error_size_does_not_depend_on_the_tick(tick_s):
    noisy = VisibilityConfig(white_m=0.002, white_rad=0.0, drift_m=0.003, drift_rad=0.0,
                             invalid_share=0.0)
    config = PoseModelConfig(bias_m=0.004, free=noisy, lost_from_start=0.0, lost_for_good=0.0)
    model = make(400, config)
    errors = []
    for tick in range(60):
        errors.append(model.observe(tick_s * tick, truth(400), free(400)).poses[:, 1])
    expected = np.sqrt(0.002 ** 2 + 0.003 ** 2 + 0.004 ** 2)
    assert np.concatenate(errors).std() == pytest.approx(expected, rel=0.1)


def test_bias_stays_for_the_episode_and_changes_with_the_next():
    config = PoseModelConfig(
        bias_m=0.01, free=EXACT, lost_from_start=0.0, lost_for_good=0.0, hold_rate_hz=0.0)
    model = make(1, config)
    first = [model.observe(0.05 * t, truth(1), free(1)).poses[:, 0] for t in range(20)]
    model.reset(np.array([0]), 1.0, 15.0)
    second = [model.observe(1 + 0.05 * t, truth(1), free(1)).poses[:, 0] for t in range(20)]
    assert np.ptp(np.concatenate(first)) < 1e-12
    assert abs(np.concatenate(first)[0] - np.concatenate(second)[0]) > 1e-4


def test_invalid_share_is_as_configured_and_half_of_it_in_bursts():
    share = VisibilityConfig(invalid_share=0.1)
    config = PoseModelConfig(free=share, lost_from_start=0.0, lost_for_good=0.0)
    assert invalid_share(config)[20:].mean() == pytest.approx(0.11, abs=0.02)
    bursts = PoseModelConfig(
        free=share, lost_from_start=0.0, lost_for_good=0.0, burst_share=1.0)
    log = invalid_share(bursts)[20:]
    starts = (log[1:] & ~log[:-1]).sum()
    assert log.sum() / starts == pytest.approx(4.3, abs=1.0)


def test_a_tenth_of_the_episodes_never_report_and_a_tenth_lose_the_object_for_good():
    log = invalid_share(PoseModelConfig(), n=1000, ticks=300)
    never = log.all(0).mean()
    gone = log[-15:].all(0).mean() - never
    assert never == pytest.approx(0.1, abs=0.03)
    assert gone == pytest.approx(0.1, abs=0.03)


def test_sensor_that_is_always_lost_reports_nothing_but_losses():
    model = make(10, PoseModelConfig().always_lost())
    for tick in range(20):
        reports = model.observe(0.05 * tick, truth(10), free(10))
        assert reports.rows.size == 0
    assert reports.lost_rows.size > 0


def test_saved_model_continues_exactly():
    config = PoseModelConfig()
    model = make(20, config, seed=3)
    for tick in range(30):
        model.observe(0.05 * tick, truth(20), free(20))
    state, generator = model.state_dict(), model._rng.bit_generator.state
    other = PoseModel(20, 1, config, np.random.default_rng(99))
    other.load_state_dict(state)
    other._rng.bit_generator.state = generator
    for tick in range(30, 60):
        left = model.observe(0.05 * tick, truth(20), free(20))
        right = other.observe(0.05 * tick, truth(20), free(20))
        np.testing.assert_array_equal(left.poses, right.poses)
        np.testing.assert_array_equal(left.lost_rows, right.lost_rows)


def test_visibility_names_free_near_and_held():
    tcp = np.tile(pose_identity(), (3, 1))
    objects = truth(3)
    objects[0, 0, 0] = 0.5
    contact = np.zeros((3, 1, 2), bool)
    contact[2] = True
    phase = visibility(tcp, objects, contact, 0.1)
    assert phase[:, 0].tolist() == [Visibility.FREE, Visibility.NEAR, Visibility.HELD]


def test_shipped_settings_load_and_bad_ones_are_refused_by_name():
    assert load_yaml(PoseModelConfig, config_path('pose_model.yaml')).lost_from_start == 0.1
    with pytest.raises(ConfigError, match='latency_s'):
        PoseModelConfig(latency_s=(0.2, 0.1))
    with pytest.raises(ConfigError, match='invalid_share'):
        VisibilityConfig(invalid_share=1.0)


def test_noise_of_the_published_recipe_is_uniform_independent_and_of_1_7_mm():
    config = load_yaml(PoseModelConfig, config_path('pose_model_paper.yaml'))
    model = make(500, config)
    errors, lost = [], np.zeros((100, 500), bool)
    for tick in range(100):
        reports = model.observe(0.05 * tick, truth(500), free(500))
        if tick < 1:
            continue
        # A report in every tick, of this tick.
        assert len(reports.rows) + len(reports.lost_rows) == 500
        assert (reports.stamp_s >= 0.05 * tick - 1.1e-3).all()
        errors.append(reports.poses[:, 0])
        lost[tick, reports.lost_rows] = True
    errors = np.concatenate(errors)
    assert np.abs(errors).max() < 0.005
    assert errors.std() == pytest.approx(0.005 / 3.0, rel=0.02)
    lost = lost[1:]
    assert lost.mean() == pytest.approx(0.1, abs=0.005)
    # A loss says nothing about the next tick.
    assert lost[1:][lost[:-1]].mean() == pytest.approx(0.1, abs=0.02)


def test_dropout_takes_all_objects_of_a_robot_together_and_uniform_noise_keeps_rotations():
    config = load_yaml(PoseModelConfig, config_path('pose_model_paper.yaml'))
    model = PoseModel(300, 2, config, np.random.default_rng(0))
    model.reset(np.arange(300), 0.0, 15.0)
    reports = model.observe(0.05, np.tile(pose_identity(), (300, 2, 1)), np.zeros((300, 2), int))
    assert set(reports.rows).isdisjoint(reports.lost_rows) and len(reports.lost_rows) > 0
    np.testing.assert_allclose(np.linalg.norm(reports.poses[:, 3:], axis=1), 1.0)
    assert np.abs(reports.poses[:, 3]).max() > 0.002
