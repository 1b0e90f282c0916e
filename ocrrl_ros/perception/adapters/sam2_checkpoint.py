# SPDX-License-Identifier: Apache-2.0
"""Open a SAM 2 video model from a folder that transformers wrote; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

from ocrrl_ros.core.errors import BundleError, ConfigError, MissingDependencyError

MODEL_TYPE = 'sam2_video'


def load_video_model(folder: str, device: str, dtype: str):
    """
    Return a Sam2VideoModel that is ready to answer.

    :param folder: with config.json and weights as safetensors, such as a copy of
        facebook/sam2.1-hiera-tiny.
    :param device: cpu or cuda.
    :param dtype: float32 or bfloat16.
    :raises BundleError: the folder is missing, holds another model or lacks weights.
    :raises MissingDependencyError: torch or transformers is not installed.
    :raises ConfigError: torch sees no GPU that cuda asks for.
    """
    _check_folder(folder)
    try:
        import torch
        from transformers import Sam2VideoModel
    except ImportError as error:
        raise MissingDependencyError(
            f'torch or transformers with Sam2VideoModel (run SAM 2 on video; {error})',
            'pip install torch transformers') from error
    if device == 'cuda' and not torch.cuda.is_available():
        raise ConfigError(
            f'device is cuda, but torch {torch.__version__} sees no GPU; allowed here: cpu')
    try:
        model, found = Sam2VideoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True,
            dtype=getattr(torch, dtype))
    except Exception as error:  # transformers, safetensors and torch raise types of their own
        raise BundleError(f'{folder} cannot be opened as {MODEL_TYPE}: {error}') from error
    # transformers would go on with random numbers in their place.
    absent = sorted({str(name) for kind in ('missing_keys', 'mismatched_keys')
                     for name in found[kind]})
    if absent:
        raise BundleError(f'{folder} lacks {len(absent)} weights of {MODEL_TYPE}, or has them in '
                          f'other shapes: {", ".join(absent[:3])} ...')
    return model.to(device).eval()


def _check_folder(folder: str) -> None:
    """Refuse what is no folder of a SAM 2 video model."""
    path = Path(folder) / 'config.json'
    if not Path(folder).is_dir():
        raise BundleError(
            f'{folder} is no folder; needed: a local copy of a SAM 2 checkpoint of transformers '
            '(it is not downloaded)')
    try:
        described = json.loads(path.read_text(encoding='utf-8'))
        found = described.get('model_type')
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(f'{path} cannot be read: {error}') from error
    if found != MODEL_TYPE:
        raise BundleError(f'{path}: model_type is {found!r}; allowed: {MODEL_TYPE!r}')
