# SPDX-License-Identifier: Apache-2.0
"""Calibration figures, by hand-made frames."""

import numpy as np
from ocrrl_ros.evaluation.confidence.figures import (
    auroc, calibration, calibration_error, figures)
from ocrrl_ros.evaluation.confidence.frames import JudgedFrames
from ocrrl_ros.perception.confidence import FEATURES
import pytest


def frames(good, valid, *, sequence=None, bad=None, confidence=None, seen=None):
    """Return frames of one object."""
    good = np.asarray(good, bool)
    n = len(good)
    return JudgedFrames(
        sequence=np.zeros(n, int) if sequence is None else np.asarray(sequence),
        object_id=np.full(n, 'cube'), row=np.full(n, 'free'),
        seen=np.ones(n, bool) if seen is None else np.asarray(seen, bool), good=good,
        bad=~good if bad is None else np.asarray(bad, bool), valid=np.asarray(valid, bool),
        confidence=np.where(good, 0.9, 0.1) if confidence is None else np.asarray(confidence),
        error_m=np.zeros(n), error_rad=np.zeros(n), features=np.zeros((n, len(FEATURES))))


def test_bad_frames_that_pass_are_counted_against_bad_frames():
    found = figures(frames([1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]))
    assert (found['good'], found['bad']) == (2, 4)
    assert found['bad_passed']['share'] == pytest.approx(0.25)


def test_predictions_without_an_image_are_no_estimates():
    found = figures(frames([1, 0], [1, 0], seen=[1, 0]))
    assert found['bad'] == 0 and found['bad_passed'] is None


def test_good_frames_before_the_gate_first_opens_wait_and_are_not_rejected():
    found = figures(frames([1, 1, 1, 1, 1], [0, 0, 1, 1, 0]))
    assert found['good_waiting'] == 2
    assert found['good_rejected']['share'] == pytest.approx(1 / 3)


def test_the_interval_widens_when_frames_come_from_few_sequences():
    rng = np.random.default_rng(1)
    passed = np.repeat(rng.random(20) < 0.3, 50)
    few = figures(frames(np.zeros(1000), passed, sequence=np.repeat(np.arange(20), 50)))
    many = figures(frames(np.zeros(1000), passed, sequence=np.arange(1000)))
    width = [np.ptp(found['bad_passed']['interval95']) for found in (few, many)]
    assert width[0] > 3 * width[1]


def test_honest_probabilities_have_no_calibration_error():
    rng = np.random.default_rng(2)
    probability = rng.random(60_000)
    good = rng.random(60_000) < probability
    assert calibration_error(probability, good, np.ones(60_000)) < 0.01
    assert calibration(probability, good)['ece'] < 0.01


def test_claiming_too_much_is_a_calibration_error():
    good = np.arange(1000) % 2 == 0
    assert calibration_error(np.full(1000, 0.9), good, np.ones(1000)) == pytest.approx(0.4)


def test_balanced_error_weighs_rare_bad_frames_like_good_ones():
    good = np.arange(1000) >= 10
    found = calibration(np.full(1000, 0.99), good)
    assert found['ece'] == pytest.approx(0.0, abs=0.02)
    assert found['ece_balanced'] == pytest.approx(0.5, abs=0.01)


def test_auroc_counts_pairs_and_ties_half():
    assert auroc(np.array([0.9, 0.8, 0.1]), np.array([True, True, False])) == 1.0
    assert auroc(np.array([0.5, 0.5]), np.array([True, False])) == pytest.approx(0.5)
    assert auroc(np.array([0.1, 0.9]), np.array([True, False])) == 0.0


def test_frames_of_one_kind_alone_have_no_calibration():
    assert figures(frames([1, 1], [1, 1]))['auroc'] is None
