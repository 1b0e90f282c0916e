# SPDX-License-Identifier: Apache-2.0
"""
Pictures of a board with the arm's pose, one pair of files each, in a folder.

``sample_000.png`` is the picture and ``sample_000.json``, written after it, the rest; a sample
without its JSON was interrupted and does not count. ``session.json`` says what all of them share.
Nothing else is needed to solve again, elsewhere or with other limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.configuration import from_mapping, to_mapping
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.core.json_files import read_json, write_json
from ocrrl_ros.perception.calibration.board import BoardConfig, CalibrationBoard
from ocrrl_ros.perception.calibration.hand_eye import Mount, Sighting
from ocrrl_ros.perception.frame import Intrinsics

SESSION_NAME = 'session.json'


@dataclass(frozen=True, kw_only=True)
class CalibrationSample:
    """
    One picture.

    :param rgb: (H, W, 3) uint8.
    :param base_T_tcp: (7,) pose of the TCP when it was taken.
    :param q: (7,) joint positions in rad, for whoever wants to calibrate the arm.
    """

    stamp_s: float
    rgb: np.ndarray
    base_T_tcp: np.ndarray
    q: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SessionHead:
    """What all samples of a folder share."""

    mount: Mount = field(metadata={'description': 'fixed, or wrist'})
    board: BoardConfig = field(metadata={'description': 'the printed board'})
    camera: Intrinsics = field(metadata={'description': 'intrinsics of the pictures'})


def sight(sample: CalibrationSample, board: CalibrationBoard) -> Sighting | None:
    """Return what a sample shows of the board, None where it is not seen."""
    view = board.detect(sample.rgb)
    return None if view is None else Sighting(view=view, base_T_tcp=sample.base_T_tcp)


class SampleFolder:
    """The samples in a folder; adding one is safe against being interrupted."""

    def __init__(self, folder: Path):
        """Look at a folder that may not exist yet."""
        self._folder = folder

    def begin(self, head: SessionHead) -> None:
        """
        Write what all samples share, or check that earlier ones share it.

        :raises InputError: the folder holds samples of another camera, board or mount.
        """
        path = self._folder / SESSION_NAME
        wanted = to_mapping(head)
        if self.is_begun:
            held = to_mapping(self.head())
            other = [key for key, value in wanted.items() if held[key] != value]
            if other:
                raise InputError(
                    f'{path} is of another {", ".join(other)}: '
                    + ', '.join(f'{held[key]} instead of {wanted[key]}' for key in other)
                    + '; choose another folder with --out')
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(path, wanted)

    @property
    def is_begun(self) -> bool:
        """Return whether a session was begun here."""
        return (self._folder / SESSION_NAME).exists()

    def head(self) -> SessionHead:
        """
        Return what all samples share.

        :raises InputError: no session was begun in the folder, or its file is damaged.
        :raises ConfigError: the file does not fit.
        """
        path = self._folder / SESSION_NAME
        if not self.is_begun:
            raise InputError(
                f'{self._folder} holds no pictures of a calibration: {path} is missing')
        return from_mapping(SessionHead, read_json(path), str(path))

    def add(self, sample: CalibrationSample) -> Path:
        """
        Write a sample behind those that are there, and return the path of its picture.

        :raises InputError: the picture cannot be written.
        """
        number = max((_number(path) for path in self._folder.glob('sample_*.*')), default=-1) + 1
        picture = self._folder / f'sample_{number:03d}.png'
        if not cv2.imwrite(str(picture), np.ascontiguousarray(sample.rgb[..., ::-1])):
            raise InputError(f'cannot write {picture}')
        write_json(picture.with_suffix('.json'), {
            'stamp_s': sample.stamp_s, 'base_T_tcp': list(map(float, sample.base_T_tcp)),
            'q': list(map(float, sample.q))})
        return picture

    def read(self) -> list[CalibrationSample]:
        """
        Return all samples in order.

        :raises InputError: a file is damaged or its picture is missing; the message names it.
        """
        return [_read_sample(path) for path in self.paths()]

    def paths(self) -> list[Path]:
        """Return the JSON file of each sample."""
        return sorted(self._folder.glob('sample_*.json'), key=_number)


def _number(path: Path) -> int:
    """Return the number in a sample's name, -1 where there is none."""
    text = path.stem.removeprefix('sample_')
    return int(text) if text.isdigit() else -1


def _read_sample(path: Path) -> CalibrationSample:
    """Return the sample of a JSON file."""
    content = read_json(path)
    missing = [key for key in ('stamp_s', 'base_T_tcp') if key not in content]
    if missing:
        raise InputError(f'{path} lacks {", ".join(missing)}')
    picture = cv2.imread(str(path.with_suffix('.png')), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f'{path.with_suffix(".png")} is missing or no picture')
    return CalibrationSample(
        stamp_s=float(content['stamp_s']), rgb=np.ascontiguousarray(picture[..., ::-1]),
        base_T_tcp=se3.check_pose(content['base_T_tcp'], f'{path}: base_T_tcp'),
        q=tuple(content.get('q', ())))
