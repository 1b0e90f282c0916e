# SPDX-License-Identifier: Apache-2.0
"""Weights of the confidence from judged frames, and what is kept of them."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError, DatasetError, UnknownNameError
from ocrrl_ros.evaluation.confidence.collect import (
    CollectSettings, drawn_domain, Part, parts_of, SensorRanges)
from ocrrl_ros.evaluation.confidence.fit import (
    fit_confidence, fit_gate, fit_weights, gated, probabilities)
from ocrrl_ros.evaluation.confidence.frames import joined, JudgedFrames, load_frames
from ocrrl_ros.evaluation.confidence.run import ConfidenceRunConfig
from ocrrl_ros.perception.confidence import ConfidenceConfig, FEATURES
from ocrrl_ros.perception.gate import GateConfig
from ocrrl_ros.perception.pose_estimator import TrackerConfig
from ocrrl_ros.sim.domain import load_domain
import pytest


def frames(good, features=None, sequence=None):
    """Return seen frames, good or bad."""
    good = np.asarray(good, bool)
    n = len(good)
    values = np.zeros((n, len(FEATURES)))
    if features is not None:
        values[:, 0] = features
    return JudgedFrames(
        sequence=np.zeros(n, int) if sequence is None else np.asarray(sequence),
        object_id=np.full(n, 'cube'), row=np.full(n, 'free'), seen=np.ones(n, bool), good=good,
        bad=~good, valid=np.zeros(n, bool), confidence=np.zeros(n), error_m=np.zeros(n),
        error_rad=np.zeros(n), features=values)


def test_fit_recovers_the_direction_of_the_evidence():
    rng = np.random.default_rng(2)
    features = rng.uniform(0.0, 1.0, (4000, 2))
    odds = 4.0 - 8.0 * features[:, 0]
    good = (rng.random(4000) < 1.0 / (1.0 + np.exp(-odds))).astype(float)
    weights = fit_weights(features, good)
    assert weights[0] == pytest.approx(4.0, rel=0.15)
    assert weights[1] == pytest.approx(-8.0, rel=0.15)
    assert -0.5 < weights[2] <= 0.0


def test_fit_needs_good_and_bad_frames():
    with pytest.raises(DatasetError, match='100 good and 0 bad'):
        fit_confidence(frames(np.ones(100)), ConfidenceConfig())


def test_fitted_probability_is_what_the_tracker_would_say():
    good = np.arange(400) % 2 == 0
    data = frames(good, np.where(good, 0.0, 0.5) + 0.001 * np.arange(400))
    config = fit_confidence(data, ConfidenceConfig())
    said = probabilities(data, config)
    parts = dict(zip(FEATURES, data.features[17]))
    assert said[17] == pytest.approx(config.probability(parts))
    assert said[good].min() > said[~good].max()


def test_gate_starts_closed_in_every_sequence():
    data = frames(np.ones(6), sequence=[0, 0, 0, 1, 1, 1])
    open_ = gated(data, np.full(6, 0.99), GateConfig(enter=0.9, leave=0.5, enter_frames=2))
    assert open_.tolist() == [False, True, True, False, True, True]


def test_fitted_gate_keeps_bad_frames_out_and_good_ones_in():
    good = np.tile([True] * 8 + [False] * 2, 20)
    data = frames(good, sequence=np.repeat(np.arange(20), 10))
    confidence = np.where(good, 0.92, 0.75)
    gate = fit_gate(data, confidence, GateConfig(enter_frames=1))
    assert 0.75 < gate.leave < gate.enter <= 0.92
    valid = gated(data, confidence, gate)
    assert valid[good].all() and not valid[~good].any()


def test_frames_survive_a_file_and_sequences_are_numbered_anew(tmp_path):
    first = frames([1, 0], sequence=[7, 9])
    first.save(tmp_path / 'part.npz')
    both = joined([load_frames(tmp_path / 'part.npz'), frames([1, 1], sequence=[7, 7])])
    assert both.sequence.tolist() == [0, 1, 2, 2] and both.good.tolist() == [1, 0, 1, 1]
    assert both.object_id.tolist() == ['cube'] * 4


def test_files_with_other_features_are_refused(tmp_path):
    path = tmp_path / 'old.npz'
    columns = dataclasses.asdict(frames([1]))
    np.savez(path, names=np.array(['something']), **columns)
    with pytest.raises(DatasetError, match='something.*old.npz|old.npz.*something'):
        load_frames(path)


def test_worlds_of_sim_differ_and_other_worlds_are_taken_as_they_are():
    first, second = (drawn_domain(
        load_domain('sim'), SensorRanges(),
        Part(object_id='cube', world=world, seed=0, hard_sequences=1)) for world in (0, 1))
    assert first.objects.size_scale != second.objects.size_scale
    assert first.camera.depth_noise != second.camera.depth_noise
    proxy = load_domain('proxy')
    part = Part(object_id='cube', world=1, seed=0, hard_sequences=1)
    assert drawn_domain(proxy, SensorRanges(), part) is proxy


def test_what_was_tracked_with_other_settings_is_not_taken_for_the_same(tmp_path):
    domain = load_domain('sim')
    folders = {CollectSettings(domain=domain, tracker=tracker, folder=tmp_path, rows=rows
                               ).part_folder
               for tracker in (TrackerConfig(), TrackerConfig(gate=GateConfig(enter=0.8)))
               for rows in (('rest',), ('rest', 'free'))}
    assert len(folders) == 4


def test_unknown_objects_and_rows_are_named(tmp_path):
    with pytest.raises(ConfigError, match="'spoon'.*cube"):
        parts_of(['spoon'], worlds=1, seed=0, hard_sequences=1)
    with pytest.raises(ConfigError, match='left_out'):
        ConfidenceRunConfig(left_out=('spoon',))
    with pytest.raises(ConfigError, match='left_out'):
        ConfidenceRunConfig(left_out=())
    with pytest.raises(UnknownNameError, match='sideways'):
        CollectSettings(domain=load_domain('sim'), tracker=TrackerConfig(), folder=tmp_path,
                        rows=('sideways',))
