# SPDX-License-Identifier: Apache-2.0
"""Tests of the noise test: sizes, pairing, what it may be used with."""
from types import SimpleNamespace

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.evaluate import EvaluateConfig
from ocrrl_ros.evaluation.pose_noise import named_noise, NoisyPoses, without_errors
from ocrrl_ros.evaluation.pose_sources import CERTAIN, lost_reading, ModelledPoses, PoseReading
from ocrrl_ros.evaluation.pose_sources import PoseSource
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
import pytest

POSE = np.array([0.5, 0.1, 0.02, 0.0, 0.0, 0.0, 1.0])


class Still(PoseSource):
    """Reports one pose for ever."""

    period_s = 0.02

    def __init__(self):
        """Start without episodes."""
        self.drawn = []

    def reset(self, world, rng):
        """Note what the stream gives."""
        self.drawn.append(rng.uniform())

    def poll(self, world):
        """Return the pose and a loss."""
        return [PoseReading('cube', POSE, CERTAIN, 1.0), lost_reading('bowl', 1.0)]


def errors(name, *, episodes, ticks):
    """Draw position errors, (episodes, ticks, 3) in m, and angles, (episodes, ticks) in rad."""
    source = NoisyPoses(Still(), named_noise(name), ('cube', 'bowl'))
    position, angle = [], []
    for episode in range(episodes):
        source.reset(None, np.random.default_rng(episode))
        poses = np.stack([source.poll(None)[0].base_T_object for _ in range(ticks)])
        position.append(poses[:, :3] - POSE[:3])
        angle.append(se3.quat_angle(poses[:, 3:], np.broadcast_to(POSE[3:], (ticks, 4))))
    return np.stack(position), np.stack(angle)


def test_the_noise_test_has_the_protocols_sizes():
    position, angle = errors('test', episodes=300, ticks=40)
    assert position.std(axis=1).mean() == pytest.approx(0.010, rel=0.05)
    assert position.mean(axis=1).std() == pytest.approx(np.hypot(0.003, 0.010 / 40**0.5), rel=0.1)
    # Three axes of 5.2 degrees each: the mean angle of a Maxwell distribution.
    expected = np.hypot(5.0, 1.5) * np.sqrt(8.0 / np.pi)
    assert np.rad2deg(angle.mean()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize('size_mm', [0, 3, 5, 10])
def test_a_bias_alone_stays_the_same_all_episode(size_mm):
    position, angle = errors(f'bias_{size_mm}', episodes=400, ticks=3)
    assert np.ptp(position, axis=1).max() < 1e-12
    assert position[:, 0].std() == pytest.approx(1e-3 * size_mm, rel=0.1, abs=1e-12)
    assert (angle.max() > 0.0) == (size_mm > 0)


def test_the_papers_noise_is_uniform_with_its_rms():
    position, _ = errors('paper', episodes=1, ticks=20_000)
    assert np.sqrt((position**2).mean()) == pytest.approx(0.005 / 3.0, rel=0.03)
    assert np.abs(position).max() <= 0.005


def test_losses_pass_and_the_source_draws_what_it_would_draw_alone():
    still = Still()
    source = NoisyPoses(still, named_noise('test'), ('cube', 'bowl'))
    source.reset(None, np.random.default_rng(3))
    assert still.drawn == [np.random.default_rng(3).uniform()]
    assert source.poll(None)[1].covariance[0] < 0.0


def test_the_sensor_keeps_its_times_and_losses_without_its_errors():
    def stamps(config):
        source = ModelledPoses(('cube',), config, period_s=0.02, horizon_s=5.0)
        world = SimpleNamespace(time_s=0.0, task_state=lambda: SimpleNamespace(
            base_T_tcp=POSE[None], object_poses=POSE[None, None],
            finger_contact=np.zeros((1, 1, 2), dtype=bool)))
        source.reset(world, np.random.default_rng(0))
        found = []
        for tick in range(200):
            world.time_s = 0.02 * tick
            found += [(r.stamp_s, r.covariance[0], np.abs(r.base_T_object[:3] - POSE[:3]).max())
                      for r in source.poll(world)]
        return found
    sensor = PoseModelConfig()
    ordinary, exact = stamps(sensor), stamps(without_errors(sensor))
    assert [row[:2] for row in ordinary] == [row[:2] for row in exact]
    assert max(row[2] for row in exact if row[1] >= 0.0) < 1e-12
    assert max(row[2] for row in ordinary if row[1] >= 0.0) > 1e-4


@pytest.mark.parametrize('changes', [
    {'pose_noise': 'much'}, {'pose_noise': 'test', 'poses': 'perceived'},
    {'pose_noise': 'paper', 'poses': 'lost'}])
def test_noise_is_refused_where_it_means_nothing(changes):
    with pytest.raises(ConfigError, match='pose_noise'):
        EvaluateConfig(**{'poses': 'modelled', **changes})
