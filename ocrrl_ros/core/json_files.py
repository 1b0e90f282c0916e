# SPDX-License-Identifier: Apache-2.0
"""JSON objects in files, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ocrrl_ros.core.errors import InputError, OcrrlError


def write_json(path: Path, content: dict[str, Any]) -> None:
    """
    Write an object; a partly written file never takes the place of a whole one.

    :raises OcrrlError: the file cannot be written.
    :raises ValueError: a number is not finite.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + '.part')
        partial.write_text(json.dumps(content, indent=1, allow_nan=False) + '\n', encoding='utf-8')
        partial.replace(path)
    except OSError as error:
        raise OcrrlError(f'cannot write {path}: {error}') from error


def read_json(path: Path) -> dict[str, Any]:
    """
    Return the object in a file.

    :raises InputError: it cannot be read or is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise InputError(f'{path} is no JSON that can be read: {error}') from error
    if not isinstance(content, dict):
        raise InputError(f'{path} holds {type(content).__name__}; a JSON object is expected')
    return content
