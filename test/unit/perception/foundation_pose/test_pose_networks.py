# SPDX-License-Identifier: Apache-2.0
"""Tests of the contract with the two networks: names, shapes, batches, answers."""
from analytic_pose_networks import analytic_refiner, analytic_scorer
import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError, MissingDependencyError
from ocrrl_ros.core.onnx_session import check_provider, create_session
from ocrrl_ros.perception.adapters.foundation_pose.config import FoundationPoseConfig
from ocrrl_ros.perception.adapters.foundation_pose.estimator import load_networks
from ocrrl_ros.perception.adapters.foundation_pose.networks import (
    PairNetwork, Refiner, REFINER_OUTPUTS, Scorer, SCORER_OUTPUTS)
import onnx
import pytest


def crops(count, seed=0):
    """Return crops of noise."""
    return np.random.default_rng(seed).normal(size=(count, 160, 160, 6)).astype(np.float32)


def test_batches_do_not_change_the_answer():
    rendered, observed = crops(5), crops(5, 1)
    whole, parts = (Refiner(PairNetwork(analytic_refiner(), REFINER_OUTPUTS, batch=batch))(
        rendered, observed) for batch in (5, 2))
    for one, other in zip(whole, parts):
        assert one.shape == (5, 3)
        assert np.allclose(one, other, atol=1e-6)


def test_a_scorer_gives_one_score_for_each():
    scorer = Scorer(PairNetwork(analytic_scorer(), SCORER_OUTPUTS, batch=100))
    assert scorer(crops(4), crops(4, 1)).shape == (4,)


def test_a_scorer_that_is_asked_in_parts_is_noticed():
    scorer = Scorer(PairNetwork(analytic_scorer(), SCORER_OUTPUTS, batch=2))
    with pytest.raises(BundleError, match=r'output1 has shape \(2, 2\); needed: \(1, 4\)'):
        scorer(crops(4), crops(4, 1))


@pytest.mark.parametrize(('model', 'message'), [
    (analytic_refiner(names=('a', 'b')), 'has inputs a, b; needed: input1, input2'),
    (analytic_scorer(), 'has outputs output1; needed: output1, output2'),
    (analytic_refiner(side=128), r'input1 has shape \[.N., 128, 128, 6\]; needed: \(N, 160'),
    (b'no model', 'a model in memory is no model that onnx can read')])
def test_other_models_are_refused_by_what_differs(model, message):
    with pytest.raises(BundleError, match=message):
        PairNetwork(model, REFINER_OUTPUTS, batch=1)


def test_answers_that_are_no_numbers_are_refused():
    refiner = Refiner(PairNetwork(analytic_refiner(), REFINER_OUTPUTS, batch=1))
    with pytest.raises(BundleError, match='holds values that are not finite'):
        refiner(np.full((1, 160, 160, 6), np.nan, np.float32), crops(1))


def test_both_files_are_opened_and_one_that_is_missing_is_named(tmp_path):
    paths = {}
    for name, model in (('refine_model', analytic_refiner()), ('score_model', analytic_scorer())):
        paths[name] = str(tmp_path / f'{name}.onnx')
        (tmp_path / f'{name}.onnx').write_bytes(model)
    load_networks(FoundationPoseConfig(**paths))
    with pytest.raises(ConfigError, match='score_model is not given; .*own licence'):
        load_networks(FoundationPoseConfig(refine_model=paths['refine_model']))
    with pytest.raises(BundleError, match='none.onnx'):
        load_networks(FoundationPoseConfig(**{**paths, 'score_model': 'none.onnx'}))
    swapped = FoundationPoseConfig(
        refine_model=paths['score_model'], score_model=paths['refine_model'])
    with pytest.raises(BundleError, match='score_model.onnx has outputs output1; needed'):
        load_networks(swapped)


def test_a_model_for_a_fixed_number_of_pairs_is_refused():
    model = onnx.load_model_from_string(analytic_refiner())
    for entry in model.graph.input:
        entry.type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(BundleError, match=r'has shape \[1, 160, 160, 6\]; needed: .* any N'):
        PairNetwork(model.SerializeToString(), REFINER_OUTPUTS, batch=1)


def test_a_network_that_fails_says_which():
    network = PairNetwork(analytic_refiner(), REFINER_OUTPUTS, batch=2)
    with pytest.raises(BundleError, match='a model in memory has failed: .*input2'):
        network(crops(2), crops(2)[..., :3])


def test_a_session_that_fell_back_to_the_processor_is_refused():
    session = create_session(analytic_refiner())
    check_provider(session, 'cpu')
    with pytest.raises(MissingDependencyError, match='CUDAExecutionProvider.*took CPUExec'):
        check_provider(session, 'cuda')


def test_a_provider_that_is_not_installed_is_named_with_the_remedy():
    with pytest.raises(MissingDependencyError, match='CUDA.* onnxruntime-gpu'):
        PairNetwork(analytic_refiner(), REFINER_OUTPUTS, batch=1, provider='cuda')


@pytest.mark.parametrize(('settings', 'message'), [
    ({'batch': 0}, 'batch is 0; allowed: >= 1'),
    ({'apart_deg': 0.0}, 'apart_deg is 0.0; allowed: > 0')])
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FoundationPoseConfig(**settings)
