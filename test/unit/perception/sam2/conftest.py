# SPDX-License-Identifier: Apache-2.0
from analytic_sam2 import analytic_decoder, analytic_encoder
from ocrrl_ros.perception.adapters.sam2_onnx import Sam2OnnxConfig
from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoConfig
import pytest
from tiny_sam2_video import save_tiny_model


@pytest.fixture(scope='session')
def sam2(tmp_path_factory):
    """Return settings with a pair of models that compute."""
    folder = tmp_path_factory.mktemp('sam2')
    (folder / 'encoder.onnx').write_bytes(analytic_encoder())
    (folder / 'decoder.onnx').write_bytes(analytic_decoder())
    return Sam2OnnxConfig(encoder_model=str(folder / 'encoder.onnx'),
                          decoder_model=str(folder / 'decoder.onnx'))


@pytest.fixture(scope='session')
def sam2_video(tmp_path_factory):
    """Return settings with a small video model of random weights."""
    for package in ('torch', 'transformers'):
        pytest.importorskip(package, reason='SAM 2 on video needs torch and transformers, which '
                                            'are missing: make setup TRAIN=1')
    return Sam2VideoConfig(model=str(save_tiny_model(tmp_path_factory.mktemp('sam2_video'))))
