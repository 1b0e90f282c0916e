# SPDX-License-Identifier: Apache-2.0
"""Whole-or-nothing checkpoints of nested state: JSON and arrays, never pickle."""

from __future__ import annotations

import json
from pathlib import Path
import shutil
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import OcrrlError
import torch

_PREFIX = 'checkpoint-'
_KEPT = 'policy-'


class CheckpointError(OcrrlError):
    """A checkpoint is missing, damaged or belongs to other settings."""


def write_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """
    Write a nested state below `folder` and drop older checkpoints.

    An interruption at any moment leaves the previous checkpoint intact.

    :param state: dicts and lists of arrays, tensors and JSON values.
    """
    target = folder / f'{_PREFIX}{step:010d}'
    _write_whole(target, state)
    for old in _checkpoints(folder):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def keep_policy(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Keep the policy of a step below `folder`, for good; a step kept before is replaced."""
    _write_whole(folder / f'{_KEPT}{step:010d}', state)


def kept_policies(folder: Path) -> list[tuple[int, Path]]:
    """Return (step, path) of the policies kept below `folder`, oldest first."""
    return [(int(path.name.removeprefix(_KEPT)), path)
            for path in sorted(folder.glob(f'{_KEPT}*'))]


def _write_whole(target: Path, state: dict[str, Any]) -> None:
    """Write a nested state as a folder that is there as a whole or not at all."""
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(state, arrays)
    partial = target.with_name(f'.{target.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    np.savez(partial / 'arrays.npz', **arrays)
    (partial / 'state.json').write_text(json.dumps(tree), encoding='utf-8')
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint below `folder`, if any."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """
    Return the state that `write_checkpoint` or `keep_policy` stored.

    :raises CheckpointError: a file is missing or damaged.
    """
    try:
        tree = json.loads((path / 'state.json').read_text(encoding='utf-8'))
        with np.load(path / 'arrays.npz', allow_pickle=False) as arrays:
            return _decode(tree, arrays)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f'cannot read checkpoint {path}: {error}') from error


def _checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints below `folder`, oldest first."""
    return sorted(folder.glob(f'{_PREFIX}*'))


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a JSON tree; arrays move to `arrays` and leave their name behind."""
    if isinstance(value, dict):
        return {'dict': [[key, _encode(item, arrays)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {'list': [_encode(item, arrays) for item in value]}
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        kind = 'torch' if isinstance(value, torch.Tensor) else 'numpy'
        name = f'a{len(arrays)}'
        arrays[name] = value.detach().numpy() if kind == 'torch' else np.asarray(value)
        return {kind: name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {'value': value}
    raise CheckpointError(f'cannot store a {type(value).__name__} in a checkpoint')


def _decode(node: dict[str, Any], arrays: Any) -> Any:
    """Return the value that a JSON node stands for."""
    (kind, content), = node.items()
    if kind == 'dict':
        return {key: _decode(item, arrays) for key, item in content}
    if kind == 'list':
        return [_decode(item, arrays) for item in content]
    if kind == 'torch':
        return torch.from_numpy(np.array(arrays[content]))
    return np.array(arrays[content]) if kind == 'numpy' else content
