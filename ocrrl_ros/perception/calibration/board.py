# SPDX-License-Identifier: Apache-2.0
"""Printed calibration boards: ChArUco, and grids of AprilTags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from ocrrl_ros.core.errors import ConfigError, MissingDependencyError, UnknownNameError
from ocrrl_ros.perception.frame import check_picture

# The AprilTag refinement of OpenCV counts from the corner of the first pixel, all else from its
# centre: without this, the camera would be turned by a twentieth of a degree.
_TAG_OFFSET_PX = 0.5
#: Pixels per metre of the picture that a board is printed from (about 510 dpi).
PRINT_PX_PER_M = 20_000
_DEFAULT_DICTIONARY = {'charuco': 'DICT_5X5_100', 'apriltag': 'DICT_APRILTAG_36h11'}
_PATTERN = 'DICT_'


@dataclass(frozen=True, kw_only=True)
class BoardConfig:
    """A printed board; measure its squares with a caliper, printers scale."""

    kind: Literal['charuco', 'apriltag'] = field(default='charuco', metadata={
        'description': 'chessboard with markers, or a grid of AprilTags (1 x 1: a single tag)'})
    columns: int = field(
        default=7, metadata={'description': 'squares (charuco) or tags (apriltag) along x'})
    rows: int = field(default=5, metadata={'description': 'squares or tags along y'})
    square_m: float = field(default=0.035, metadata={
        'description': 'side of a chessboard square, or from one tag to the next, m'})
    marker_m: float = field(default=0.026, metadata={
        'description': 'side of the black square of a marker or tag, m'})
    dictionary: str = field(default='', metadata={
        'description': 'markers by their OpenCV name; empty: DICT_5X5_100 for charuco, '
                       'DICT_APRILTAG_36h11 for apriltag'})
    legacy_pattern: bool = field(default=False, metadata={
        'description': 'charuco boards with an even number of rows from OpenCV before 4.6'})

    def __post_init__(self) -> None:
        """Refuse boards that cannot exist."""
        least = 3 if self.kind == 'charuco' else 1
        for name in ('columns', 'rows'):
            if not least <= getattr(self, name) <= 50:
                raise ConfigError(
                    f'{name} is {getattr(self, name)}; allowed for {self.kind}: {least} .. 50')
        if not 0.0 < self.marker_m < self.square_m <= 1.0:
            raise ConfigError(
                f'marker_m is {self.marker_m} m and square_m {self.square_m} m; allowed: '
                '0 < marker_m < square_m <= 1')
        known = [name for name in dir(_aruco()) if name.startswith(_PATTERN)]
        if self.dictionary_name not in known:
            raise UnknownNameError('dictionary', self.dictionary_name, known, 'board')
        held = len(_dictionary(self.dictionary_name).bytesList)
        if held < self.marker_count:
            raise ConfigError(
                f'{self.dictionary_name} has {held} markers; a board of {self.columns} x '
                f'{self.rows} needs {self.marker_count}')

    @property
    def dictionary_name(self) -> str:
        """Return the name of the dictionary in use."""
        return self.dictionary or _DEFAULT_DICTIONARY[self.kind]

    @property
    def marker_count(self) -> int:
        """Return how many markers are on the board."""
        squares = self.columns * self.rows
        return squares // 2 if self.kind == 'charuco' else squares

    @property
    def size_m(self) -> tuple[float, float]:
        """Return width and height of the pattern, m."""
        missing = self.square_m - self.marker_m if self.kind == 'apriltag' else 0.0
        return self.columns * self.square_m - missing, self.rows * self.square_m - missing


@dataclass(frozen=True, kw_only=True)
class BoardView:
    """
    Points of a board that were found in one picture.

    :param points: (N, 3) in the board's frame, m: x to the right and y down as printed, z into
        the paper, origin in the upper left corner.
    :param pixels: (N, 2), pixel centres at whole numbers.
    """

    points: np.ndarray
    pixels: np.ndarray


class CalibrationBoard:
    """
    Finds a board in pictures, and draws it for the printer.

    Tags are located by the AprilTag corner refinement: sub-pixel refinement of the corners of
    small tags is off by up to 6 mm at 0.7 m, this one by less than 1 mm (facts on perception,
    section 3.3).
    """

    def __init__(self, config: BoardConfig):
        """Prepare the detector."""
        self.config = config
        aruco = _aruco()
        size, dictionary = (config.columns, config.rows), _dictionary(config.dictionary_name)
        if config.kind == 'charuco':
            self._board = aruco.CharucoBoard(
                size, config.square_m, config.marker_m, dictionary)
            self._board.setLegacyPattern(config.legacy_pattern)
            self._detector = aruco.CharucoDetector(self._board)
        else:
            self._board = aruco.GridBoard(
                size, config.marker_m, config.square_m - config.marker_m, dictionary)
            parameters = aruco.DetectorParameters()
            parameters.cornerRefinementMethod = aruco.CORNER_REFINE_APRILTAG
            self._detector = aruco.ArucoDetector(dictionary, parameters)

    @property
    def points(self) -> np.ndarray:
        """Points (N, 3) that a picture of the whole board gives, in the board's frame, m."""
        found = (self._board.getChessboardCorners() if self.config.kind == 'charuco'
                 else np.concatenate(self._board.getObjPoints()))
        return np.asarray(found, float).reshape(-1, 3)

    def detect(self, rgb: np.ndarray) -> BoardView | None:
        """
        Return the points found in a picture (H, W, 3) uint8, None where the board is not seen.

        :raises InputError: the picture has another shape or type.
        """
        check_picture(rgb)
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if self.config.kind == 'charuco':
            corners, ids, _, _ = self._detector.detectBoard(grey)
        else:
            corners, ids = self._tags(*self._detector.detectMarkers(grey)[:2])
        if ids is None or len(ids) == 0:
            return None
        points, pixels = self._board.matchImagePoints(corners, ids)
        if points is None or len(points) < 4:
            return None
        return BoardView(
            points=points.reshape(-1, 3).astype(float), pixels=pixels.reshape(-1, 2).astype(float))

    def _tags(self, corners: tuple, ids: np.ndarray | None) -> tuple[list, np.ndarray]:
        """Return the tags that are on this board; others of the family may lie about."""
        known = set(np.ravel(self._board.getIds()).tolist())
        kept = [index for index, number in enumerate(np.ravel(ids if ids is not None else []))
                if int(number) in known]
        return [corners[index] - np.float32(_TAG_OFFSET_PX) for index in kept], np.array(
            [int(np.ravel(ids)[index]) for index in kept], np.int32)

    def draw(self, px_per_m: float = PRINT_PX_PER_M) -> np.ndarray:
        """Return the pattern (H, W) uint8 without a margin, ``px_per_m`` pixels per metre."""
        width, height = (round(side * px_per_m) for side in self.config.size_m)
        return self._board.generateImage((width, height), marginSize=0, borderBits=1)


def _aruco():
    """
    Return OpenCV's marker module.

    :raises MissingDependencyError: this OpenCV is older than 4.8.
    """
    if not hasattr(getattr(cv2, 'aruco', None), 'CharucoDetector'):
        raise MissingDependencyError(
            f'OpenCV 4.8 or newer, for calibration boards (here it is {cv2.__version__}),',
            "pip install 'opencv-python-headless>=4.8'")
    return cv2.aruco


def _dictionary(name: str):
    """Return a dictionary of markers by its OpenCV name."""
    return _aruco().getPredefinedDictionary(getattr(_aruco(), name))
