# SPDX-License-Identifier: Apache-2.0
"""Tests of SAM 2 as an image predictor, with networks that compute what it has learned."""
import dataclasses

from analytic_sam2 import analytic_decoder, analytic_encoder
import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError, InputError
from ocrrl_ros.perception.adapters.sam2_onnx import (
    Sam2OnnxConfig, Sam2OnnxPredictor, Sam2TensorNames)
from ocrrl_ros.perception.adapters.sam2_predictor import Prompt
import pytest

GREY, RED = (120, 120, 120), (200, 30, 30)
BOX = (slice(100, 160), slice(300, 380))


@pytest.fixture
def rgb():
    """Return a picture with two red boxes."""
    found = np.full((480, 640, 3), GREY, np.uint8)
    found[BOX] = RED
    found[300:340, 100:160] = RED
    return found


def iou(logits, region):
    """Return the overlap of a mask with a region."""
    mask, true = logits > 0.0, np.zeros(logits.shape, bool)
    true[region] = True
    return (mask & true).sum() / (mask | true).sum()


def test_a_box_gives_the_mask_of_what_is_in_it(sam2, rgb):
    found = Sam2OnnxPredictor(sam2).predict(rgb, Prompt(
        box=np.array([296.0, 96.0, 384.0, 164.0])))
    assert found.logits.shape == (480, 640)
    assert found.quality == pytest.approx(0.9)
    assert iou(found.logits, BOX) > 0.95


def test_a_point_gives_everything_like_it(sam2, rgb):
    found = Sam2OnnxPredictor(sam2).predict(rgb, Prompt(
        points=np.array([[340.0, 130.0]]), on_object=np.array([True])))
    mask = found.logits > 0.0
    assert mask[130, 340]
    assert mask[320, 130]
    assert not mask[10, 10]


def test_a_picture_is_encoded_once_for_all_prompts(sam2, rgb, monkeypatch):
    predictor = Sam2OnnxPredictor(sam2)
    looked, encode = [], predictor._encode
    monkeypatch.setattr(predictor, '_encode', lambda rgb: (looked.append(1), encode(rgb)))
    prompt = Prompt(box=np.array([296.0, 96.0, 384.0, 164.0]))
    first = predictor.predict(rgb, prompt)
    again = predictor.predict(rgb, prompt)
    assert looked == [1]
    assert np.array_equal(first.logits, again.logits)
    other = predictor.predict(rgb[:, ::-1].copy(), prompt)
    assert looked == [1, 1]
    assert not np.array_equal(other.logits, first.logits)


def test_memory_does_not_grow_with_pictures(sam2, rgb):
    predictor = Sam2OnnxPredictor(sam2)
    sizes = []
    for number in range(4):
        predictor.predict(rgb + np.uint8(number), Prompt(box=np.array([0.0, 0.0, 50.0, 50.0])))
        sizes.append(sum(part.nbytes for part in predictor._encoded.values()))
    assert len(set(sizes)) == 1


def test_a_mask_that_it_does_not_believe_in_is_none(sam2, tmp_path, rgb):
    (tmp_path / 'unsure.onnx').write_bytes(analytic_decoder(quality=0.4))
    unsure = dataclasses.replace(sam2, decoder_model=str(tmp_path / 'unsure.onnx'))
    prompt = Prompt(box=np.array([296.0, 96.0, 384.0, 164.0]))
    assert Sam2OnnxPredictor(unsure).predict(rgb, prompt) is None
    bold = dataclasses.replace(unsure, min_quality=0.3)
    assert Sam2OnnxPredictor(bold).predict(rgb, prompt).quality == pytest.approx(0.4)


def test_exports_of_one_mask_and_of_other_names_work(sam2, tmp_path, rgb):
    (tmp_path / 'one.onnx').write_bytes(analytic_decoder(masks=1))
    (tmp_path / 'named.onnx').write_bytes(analytic_encoder(image='pixels'))
    other = dataclasses.replace(
        sam2, encoder_model=str(tmp_path / 'named.onnx'),
        decoder_model=str(tmp_path / 'one.onnx'), names=Sam2TensorNames(image='pixels'))
    found = Sam2OnnxPredictor(other).predict(
        rgb, Prompt(box=np.array([296.0, 96.0, 384.0, 164.0])))
    assert iou(found.logits, BOX) > 0.95


def test_what_cannot_be_opened_is_named(sam2, tmp_path):
    with pytest.raises(ConfigError, match='encoder_model is not given'):
        Sam2OnnxPredictor(Sam2OnnxConfig())
    swapped = dataclasses.replace(sam2, encoder_model=sam2.decoder_model)
    with pytest.raises(BundleError, match='decoder.onnx has no inputs image; it has .*names'):
        Sam2OnnxPredictor(swapped)
    with pytest.raises(BundleError, match='none.onnx'):
        Sam2OnnxPredictor(dataclasses.replace(sam2, decoder_model='none.onnx'))


def test_what_cannot_be_asked_is_refused(sam2, rgb):
    predictor = Sam2OnnxPredictor(sam2)
    with pytest.raises(InputError, match='a prompt needs a box or points'):
        Prompt()
    with pytest.raises(InputError, match='every point of a prompt needs a word'):
        Prompt(points=np.zeros((2, 2)), on_object=np.array([True]))
    with pytest.raises(InputError, match=r'allowed: \(H, W, 3\) uint8'):
        predictor.predict(rgb[..., 0], Prompt(box=np.zeros(4)))


@pytest.mark.parametrize(('change', 'message'), [
    ({'threads': 0}, 'threads is 0'),
    ({'min_quality': 1.5}, r'min_quality is 1.5; allowed: 0 \.\. 1')])
def test_settings_without_meaning_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Sam2OnnxConfig(**change)
