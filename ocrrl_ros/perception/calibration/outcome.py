# SPDX-License-Identifier: Apache-2.0
"""A calibration as numbers for machines, files for nodes and a picture for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.perception.calibration.hand_eye import Mount, rms, Sighting
from ocrrl_ros.perception.calibration.quality import Calibration
from ocrrl_ros.perception.calibration.samples import CalibrationSample

CAMERA_FILE = 'camera.yaml'
PARAMETER_FILE = 'pose_estimator.yaml'
PICTURE_FILE = 'corners.png'
PARENT_FRAMES: dict[Mount, str] = {'fixed': 'base', 'wrist': 'fr3_hand_tcp'}
_PARAMETERS: dict[Mount, str] = {'fixed': 'base_T_camera', 'wrist': 'tcp_T_camera'}
_COLUMNS, _TILE_PX = 4, (320, 240)
# Errors of a fraction of a pixel would not be seen at their own size.
_MAGNIFIED = 20.0
_SEEN_RGB, _ERROR_RGB, _DROPPED_RGB, _TEXT_RGB = (
    (0, 220, 0), (255, 40, 200), (255, 60, 60), (255, 255, 255))


def describe(
        found: Calibration, mount: Mount, names: list[str], unseen: list[str]) -> dict[str, Any]:
    """
    Return the result for `--json`.

    :param names: of all pictures that were used or left out, in the order of the sightings.
    :param unseen: of pictures that do not show the board.
    """
    solution = found.solution
    errors_px = dict(zip(found.kept, solution.residuals_px))
    left_out = dict(zip(found.kept, solution.left_out_px))
    return {
        'mount': mount, 'parent_frame': PARENT_FRAMES[mount],
        'parent_T_camera': solution.parent_T_camera.tolist(),
        'other_T_board': solution.other_T_board.tolist(),
        'pictures': len(found.kept), 'rms_px': solution.rms_px,
        'left_out_rms_px': found.left_out_px, 'position_std_mm': found.position_std_mm,
        'position_std_m_by_axis': solution.position_std_m.tolist(),
        'rotation_std_deg': found.rotation_std_deg, 'tilt_deg': found.tilt_deg.tolist(),
        'samples': [{
            'name': name, 'rms_px': rms(errors_px[index]),
            'left_out_rms_px': float(left_out[index])} for index, name in enumerate(names)
            if index in errors_px],
        'dropped': [names[index] for index in found.dropped], 'unseen': unseen,
        'problems': list(found.problems), 'passed': found.accepted}


def write_files(folder: Path, found: Calibration, mount: Mount) -> list[Path]:
    """
    Write what the graph needs of an accepted calibration, and return the files.

    ``camera.yaml`` says where the camera is; ``pose_estimator.yaml`` is a ROS parameter file for
    ``params_file:=``.

    :raises OcrrlError: the calibration was refused.
    """
    if not found.accepted:
        raise OcrrlError(f'a refused calibration is not written: {"; ".join(found.problems)}')
    solution = found.solution
    numbers = '[' + ', '.join(f'{value:.6f}' for value in solution.parent_T_camera) + ']'
    about = (
        f'# Written by `ocrrl calibrate camera` from {len(found.kept)} pictures '
        f'({len(found.dropped)} left out).\n'
        f'# Corners are off by {solution.rms_px:.2f} px, in pictures that the fit was not told of '
        f'by {found.left_out_px:.2f} px.\n'
        f'# Standard deviation: position {found.position_std_mm:.2f} mm, rotation '
        f'{found.rotation_std_deg:.3f} deg.\n'
        '# x y z in m, qx qy qz qw, of the colour optical frame.\n')
    written = {
        folder / CAMERA_FILE: (
            f'{about}mount: {mount}\nparent_frame: {PARENT_FRAMES[mount]}\n'
            f'parent_T_camera: {numbers}\n'),
        folder / PARAMETER_FILE: (
            f'{about}/**/pose_estimator:\n  ros__parameters:\n'
            f'    {_PARAMETERS[mount]}: {numbers}\n')}
    for path, text in written.items():
        unfinished = path.with_name(path.name + '.part')
        unfinished.write_text(text, encoding='utf-8')
        unfinished.replace(path)
    return list(written)


def write_picture(
        path: Path, found: Calibration, sightings: list[Sighting],
        samples: list[CalibrationSample], names: list[str]) -> None:
    """
    Write a sheet of all pictures: corners seen (green), their errors 20 times as long (pink).

    :raises OcrrlError: the file cannot be written.
    """
    errors_px = dict(zip(found.kept, found.solution.residuals_px))
    tiles = [
        _tile(sample.rgb, sighting.view.pixels, errors_px.get(index), name)
        for index, (sample, sighting, name) in enumerate(zip(samples, sightings, names))]
    while len(tiles) % _COLUMNS:
        tiles.append(np.zeros_like(tiles[0]))
    sheet = np.vstack([
        np.hstack(tiles[at:at + _COLUMNS]) for at in range(0, len(tiles), _COLUMNS)])
    if not cv2.imwrite(str(path), np.ascontiguousarray(sheet[..., ::-1])):
        raise OcrrlError(f'cannot write {path}')


def _tile(
        rgb: np.ndarray, pixels: np.ndarray, errors_px: np.ndarray | None,
        name: str) -> np.ndarray:
    """Draw one picture; without errors it was left out of the fit."""
    drawn = np.ascontiguousarray(rgb)
    for point in pixels:
        cv2.circle(drawn, _whole(point), 4, _SEEN_RGB, 1, cv2.LINE_AA)
    for point, error in zip(pixels, () if errors_px is None else errors_px):
        cv2.line(drawn, _whole(point), _whole(point - _MAGNIFIED * error), _ERROR_RGB, 2,
                 cv2.LINE_AA)
    tile = cv2.resize(drawn, _TILE_PX, interpolation=cv2.INTER_AREA)
    text = 'left out' if errors_px is None else f'{rms(errors_px):.2f} px'
    cv2.putText(tile, f'{name} {text}', (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45,
                _DROPPED_RGB if errors_px is None else _TEXT_RGB, 1, cv2.LINE_AA)
    return tile


def _whole(point: np.ndarray) -> tuple[int, int]:
    """Return a point in whole pixels."""
    return int(round(point[0])), int(round(point[1]))
