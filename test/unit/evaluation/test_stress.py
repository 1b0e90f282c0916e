# SPDX-License-Identifier: Apache-2.0
"""Stresses change poses and answers as they say, and are refused where they cannot act."""
from types import SimpleNamespace

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation import stress
from ocrrl_ros.evaluation.command_roughness import CommandRoughness
from ocrrl_ros.evaluation.evaluate import EvaluateConfig
from ocrrl_ros.evaluation.pose_noise import named_noise
from ocrrl_ros.evaluation.pose_sources import CERTAIN, lost_reading, PoseReading, PoseSource
from ocrrl_ros.policy.blend import pose_sigmas
from ocrrl_ros.policy.command import Command
from ocrrl_ros.policy.composition import ResidualBounds
import pytest

POSE = np.array([0.5, 0.1, 0.02, 0.0, 0.0, 0.0, 1.0])
PLAIN = PoseReading('cube', POSE, CERTAIN, 1.0)


class Still(PoseSource):
    """Reports one pose and a loss for ever."""

    period_s = 0.02

    def poll(self, world):
        """Return the pose and a loss."""
        return [PLAIN, lost_reading('bowl', 1.0)]


def seen(name, noise=None):
    """Return what a stress makes of the pose; the loss must stay."""
    source = stress.StressedPoses(Still(), name, noise)
    assert source.period_s == Still.period_s
    changed, lost = source.poll(None)
    assert lost.covariance[0] == -1.0 and (lost.base_T_object == [0, 0, 0, 0, 0, 0, 1]).all()
    return changed


def test_told_noise_leaves_the_pose_and_tells_its_size():
    reading = seen('told_noise', named_noise('test'))
    assert (reading.base_T_object == POSE).all()
    position, angle = pose_sigmas(POSE, reading.covariance, False)
    assert position == pytest.approx(np.sqrt(3.0 * (0.010 ** 2 + 0.003 ** 2)))
    assert angle == pytest.approx(np.deg2rad(np.sqrt(3.0 * (5.0 ** 2 + 1.5 ** 2))))


def test_wrong_place_and_tilt_are_silent():
    moved, turned = seen('wrong_place'), seen('tilted')
    assert np.allclose(moved.base_T_object - POSE, [0, 0.3, 0, 0, 0, 0, 0])
    assert se3.quat_angle(turned.base_T_object[3:], POSE[3:]) == pytest.approx(0.6)
    assert (turned.base_T_object[:3] == POSE[:3]).all()
    assert not moved.covariance.any() and not turned.covariance.any()
    assert (PLAIN.base_T_object == POSE).all()


def test_a_told_place_is_the_wrong_one_and_says_so():
    reading = seen('told_place')
    assert (reading.base_T_object == seen('wrong_place').base_T_object).all()
    assert pose_sigmas(POSE, reading.covariance, False) == (pytest.approx(0.1 * 3 ** 0.5), 0.0)


def test_an_oscillating_residual_swings_about_the_answers_of_its_own():
    answer = np.array([[0.1, 0.0, -0.9, 0.0, 0.0, 0.2, 0.5]])
    residual = stress.OscillatingResidual(SimpleNamespace(
        act=lambda observation: answer.copy(), bounds=ResidualBounds(), layout=None,
        acts_per='tick', spread=None))
    answers = np.concatenate([residual.act(None) for _ in range(60)])
    assert answers[:, 0].max() - answers[:, 0].min() > 1.0
    assert answers[:, 0].mean() == pytest.approx(0.1)
    assert (answers[:, 6] == 0.5).all() and answers.min() == -1.0


@pytest.mark.parametrize(('changes', 'words'), [
    ({'stress': 'storm'}, 'storm.*oscillating'),
    ({'stress': 'oscillating', 'policy': 'base'}, "'base'.*'residual'"),
    ({'stress': 'told_noise'}, 'without a pose_noise')])
def test_stresses_that_cannot_act_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        EvaluateConfig(**changes)


def test_roughness_is_that_of_a_known_motion():
    meter, dt_s = CommandRoughness(), 0.005
    assert meter.jerk_rad_s3 is None
    for tick in range(4001):
        # Joint 1 swings with 2 rad/s at 1 rad/s amplitude, the other six rest.
        dq = np.zeros(7)
        dq[0] = np.sin(2.0 * tick * dt_s)
        meter.update(Command(np.zeros(7), dq, 1.0), dt_s)
    assert meter.acceleration_rad_s2 == pytest.approx(2.0 / np.sqrt(14.0), rel=0.02)
    assert meter.jerk_rad_s3 == pytest.approx(4.0 / np.sqrt(14.0), rel=0.02)


def test_a_restart_is_no_jerk():
    meter = CommandRoughness()
    for velocity, is_restart in ((0.0, True), (0.0, False), (0.0, False), (9.0, True),
                                 (9.0, False), (9.0, False)):
        meter.update(Command(np.zeros(7), np.full(7, velocity), 1.0, is_restart), 0.005)
    assert meter.jerk_rad_s3 == 0.0
