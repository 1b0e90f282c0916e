# SPDX-License-Identifier: Apache-2.0
from analytic_sam2 import analytic_decoder, analytic_encoder
from ocrrl_ros.perception.adapters.sam2_onnx import Sam2OnnxConfig
import pytest


@pytest.fixture(scope='session')
def sam2(tmp_path_factory):
    """Return settings with a pair of models that compute."""
    folder = tmp_path_factory.mktemp('sam2')
    (folder / 'encoder.onnx').write_bytes(analytic_encoder())
    (folder / 'decoder.onnx').write_bytes(analytic_decoder())
    return Sam2OnnxConfig(encoder_model=str(folder / 'encoder.onnx'),
                          decoder_model=str(folder / 'decoder.onnx'))
