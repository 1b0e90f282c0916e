# SPDX-License-Identifier: Apache-2.0
"""
SAM 2 as an image predictor: an encoder and a decoder under onnxruntime, prompts in, a mask out.

The usual export has two files (facts on perception, section 2.3); tensors are named as
samexporter and the onnxruntime tools name them, and can be named otherwise in the settings.
Weights do not ship.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.core.onnx_session import create_session, Provider, run_session
from ocrrl_ros.perception.adapters.sam2_predictor import (
    logits_in_picture, MaskPrediction, normalised_square, points_in_square, Prompt)
from ocrrl_ros.perception.frame import check_picture

SIDE_PX = 1024
_MASK_PX = 256


@dataclass(frozen=True, kw_only=True)
class Sam2TensorNames:
    """What an export calls its tensors."""

    image: str = field(default='image', metadata={'description': 'input of the encoder'})
    embedding: str = field(
        default='image_embed', metadata={'description': 'coarse features, encoder to decoder'})
    fine: str = field(
        default='high_res_feats_0', metadata={'description': 'finest features, likewise'})
    middle: str = field(
        default='high_res_feats_1', metadata={'description': 'features between, likewise'})
    points: str = field(
        default='point_coords', metadata={'description': 'prompts, px of 1024'})
    labels: str = field(default='point_labels', metadata={'description': 'kinds of prompts'})
    mask: str = field(default='mask_input', metadata={'description': 'mask as a prompt'})
    has_mask: str = field(
        default='has_mask_input', metadata={'description': 'whether there is such a mask'})
    masks: str = field(
        default='low_res_masks', metadata={'description': 'answers of the decoder, logits'})
    quality: str = field(
        default='iou_predictions', metadata={'description': 'what it thinks of each'})


@dataclass(frozen=True, kw_only=True)
class Sam2OnnxConfig:
    """Settings of SAM 2 as an image predictor."""

    encoder_model: str = field(
        default='', metadata={'description': "path of the image encoder's ONNX file"})
    decoder_model: str = field(
        default='', metadata={'description': "path of the mask decoder's ONNX file"})
    provider: Provider = field(
        default='cpu', metadata={'description': 'cpu (seconds a picture), or cuda'})
    threads: int = field(default=1, metadata={'description': 'threads of the inference library'})
    min_quality: float = field(default=0.5, metadata={
        'description': 'predicted IoU below which a mask is no mask, 0 .. 1'})
    names: Sam2TensorNames = Sam2TensorNames()

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if self.threads < 1:
            raise ConfigError(f'threads is {self.threads}; allowed: >= 1')
        if not 0.0 <= self.min_quality <= 1.0:
            raise ConfigError(f'min_quality is {self.min_quality}; allowed: 0 .. 1')


class Sam2OnnxPredictor:
    """Answers prompts; a picture is encoded once, for however many prompts."""

    def __init__(self, config: Sam2OnnxConfig):
        """
        Open both models.

        :raises ConfigError: a path is not given.
        :raises BundleError: a file is missing, no model, or names its tensors otherwise.
        :raises MissingDependencyError: the provider is not installed.
        """
        for name in ('encoder_model', 'decoder_model'):
            if not getattr(config, name):
                raise ConfigError(
                    f'{name} is not given; it is one of the two files of an ONNX export of SAM 2')
        names = config.names
        self.config = config
        self._features = (names.embedding, names.fine, names.middle)
        self._encoder = create_session(config.encoder_model, config.threads, config.provider)
        self._decoder = create_session(config.decoder_model, config.threads, config.provider)
        _check(config.encoder_model, self._encoder, (names.image,), self._features)
        _check(config.decoder_model, self._decoder, (
            *self._features, names.points, names.labels, names.mask, names.has_mask),
            (names.masks, names.quality))
        self._seen: np.ndarray | None = None
        self._encoded: dict[str, np.ndarray] = {}

    def predict(self, rgb: np.ndarray, prompt: Prompt) -> MaskPrediction | None:
        """
        Return the best mask in a picture (H, W, 3) uint8; None where none is good enough.

        :raises InputError: the picture has another shape or type.
        :raises BundleError: a network fails, or the decoder answers with other shapes.
        """
        check_picture(rgb)
        if rgb is not self._seen:
            self._encode(rgb)
        names = self.config.names
        points, labels = points_in_square(prompt, rgb.shape, SIDE_PX)
        masks, quality = run_session(self._decoder, (names.masks, names.quality), {
            **self._encoded, names.points: points[None], names.labels: labels[None],
            names.mask: np.zeros((1, 1, _MASK_PX, _MASK_PX), np.float32),
            names.has_mask: np.zeros(1, np.float32)}, self.config.decoder_model)
        if masks.ndim != 4 or masks.shape[:2] != quality.shape or len(masks) != 1:
            raise BundleError(
                f'{self.config.decoder_model}: {names.masks} has shape {masks.shape} and '
                f'{names.quality} {quality.shape}; needed: (1, M, h, w) and (1, M)')
        best = int(np.argmax(quality[0]))
        if not quality[0, best] >= self.config.min_quality:
            return None
        return MaskPrediction(
            logits=logits_in_picture(masks[0, best], rgb.shape),
            quality=float(np.clip(quality[0, best], 0.0, 1.0)))

    def _encode(self, rgb: np.ndarray) -> None:
        """Look at a picture."""
        found = run_session(
            self._encoder, self._features,
            {self.config.names.image: normalised_square(rgb, SIDE_PX)}, self.config.encoder_model)
        self._encoded = dict(zip(self._features, found))
        self._seen = rgb


def _check(
        path: str, session, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Refuse a model whose tensors have other names."""
    for what, needed, found in (
            ('inputs', inputs, [entry.name for entry in session.get_inputs()]),
            ('outputs', outputs, [entry.name for entry in session.get_outputs()])):
        missing = [name for name in needed if name not in found]
        if missing:
            raise BundleError(
                f'{path} has no {what} {", ".join(missing)}; it has {", ".join(found)}; other '
                'names can be given in the settings (names)')
