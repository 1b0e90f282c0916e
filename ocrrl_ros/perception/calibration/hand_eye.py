# SPDX-License-Identifier: Apache-2.0
"""
Hand-eye calibration: the camera's pose from a board seen at several poses of the arm.

Two unknown poses are solved for together: ``parent_T_camera``, the camera's in the frame that
carries it, and ``other_T_board``, the board's in the frame that carries that. For a camera on the
wrist the parent is the TCP and the other frame the robot's base; for a fixed camera, with the
board in the hand, it is the other way round. What each picture says is then

    camera_T_board = inverse(parent_T_camera) * parent_T_other * other_T_board.

A closed-form solution of AX = XB (Park and Martin, "Robot sensor calibration: solving AX = XB on
the Euclidean group", IEEE T-RA 1994) starts a least-squares fit of the pixels themselves. It is
written here because OpenCV 5 no longer offers ``calibrateHandEye`` to Python.

Corners are found to a tenth of a pixel, an arm stands where it says to half a millimetre: most of
what does not fit is the arm's. So the pixels of a picture are weighed by the inverse of what the
camera's and the arm's errors together make of their covariance (generalised least squares).
"""

from __future__ import annotations

from dataclasses import dataclass, field
import itertools
from typing import Literal

import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.calibration.board import BoardView
from ocrrl_ros.perception.frame import Intrinsics
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

# Rotation below which a pair of samples says nothing about the axis, rad.
_LEAST_TURN_RAD = np.radians(3.0)
# Weighed residuals beyond this count less in the robust fit, standard deviations.
_HUBER = 3.0
_LEAST_SAMPLES = 3
_UNKNOWNS = 12
# Step of the derivative by the arm's pose: small against 1 m and 1 rad.
_ARM_STEP = 1e-6

Mount = Literal['fixed', 'wrist']
"""Where the camera is: ``fixed`` beside the arm, the board in the hand; or on the ``wrist``."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A board seen while the TCP was at ``base_T_tcp`` (7,)."""

    view: BoardView
    base_T_tcp: np.ndarray


@dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """What pictures and arm are expected to err by; only their ratio changes the solution."""

    pixel_std: float = field(
        default=0.2, metadata={'description': 'error of a corner in the picture, px'})
    arm_position_std_mm: float = field(
        default=0.5, metadata={'description': "error of the TCP's reported position, mm"})
    arm_rotation_std_deg: float = field(
        default=0.05, metadata={'description': "error of the TCP's reported rotation, deg"})

    def __post_init__(self) -> None:
        """Refuse errors without meaning."""
        if not self.pixel_std > 0.0:
            raise ConfigError(f'pixel_std is {self.pixel_std} px; allowed: > 0')
        for name in ('arm_position_std_mm', 'arm_rotation_std_deg'):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: >= 0')


@dataclass(frozen=True, kw_only=True)
class HandEye:
    """
    A solution.

    :param parent_T_camera: (7,).
    :param other_T_board: (7,).
    :param residuals_px: per sighting (N, 2), seen minus predicted.
    :param left_out_px: (S,) rms of each sighting's residuals under the fit to all others.
    :param position_std_m: (3,) standard deviation of the camera's position along the parent's
        axes, by the jackknife over sightings.
    :param rotation_std_rad: (3,) likewise, of its rotation about its own axes.
    """

    parent_T_camera: np.ndarray
    other_T_board: np.ndarray
    residuals_px: tuple[np.ndarray, ...]
    left_out_px: np.ndarray
    position_std_m: np.ndarray
    rotation_std_rad: np.ndarray

    @property
    def rms_px(self) -> float:
        """Return the root mean square of all residual lengths."""
        return rms(np.concatenate(self.residuals_px))


def rms(residuals: np.ndarray) -> float:
    """Return the root mean square length of residuals (N, 2)."""
    return float(np.sqrt((residuals ** 2).sum(axis=-1).mean()))


def locate_board(view: BoardView, camera: Intrinsics) -> np.ndarray:
    """
    Return camera_T_board (7,) from one picture.

    A plane has two poses that look almost alike from far away; the better one is returned.

    :raises InputError: the points give no pose.
    """
    found, turns, shifts, errors = cv2.solvePnPGeneric(
        view.points, view.pixels, camera_matrix(camera), None, flags=cv2.SOLVEPNP_IPPE)
    if not found:
        raise InputError(f'{len(view.points)} points of the board give no pose')
    best = int(np.argmin(np.ravel(errors)))
    return se3.pose(shifts[best].ravel(), se3.quat_from_rotvec(turns[best].ravel()))


def camera_matrix(camera: Intrinsics) -> np.ndarray:
    """Return the (3, 3) matrix of a pinhole camera."""
    return np.array([[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]])


def closed_form(parent_T_other: np.ndarray, camera_T_board: np.ndarray) -> np.ndarray:
    """
    Return parent_T_camera (7,) by Park and Martin's solution of AX = XB.

    :param parent_T_other: (S, 7) poses of the arm.
    :param camera_T_board: (S, 7) poses of the board in the picture.
    :raises InputError: the turns between samples have fewer than two axes.
    """
    pairs = [_motion(parent_T_other, camera_T_board, *pair)
             for pair in itertools.combinations(range(len(parent_T_other)), 2)]
    pairs = [pair for pair in pairs if min(
        np.linalg.norm(se3.quat_to_rotvec(motion[3:])) for motion in pair) > _LEAST_TURN_RAD]
    arm = np.array([se3.quat_to_rotvec(pair[0][3:]) for pair in pairs]).reshape(-1, 3)
    eye = np.array([se3.quat_to_rotvec(pair[1][3:]) for pair in pairs]).reshape(-1, 3)
    if len(pairs) < 2 or np.linalg.svd(
            arm / np.linalg.norm(arm, axis=1, keepdims=True), compute_uv=False)[1] < 0.1:
        raise InputError(
            'the hand turned about fewer than two axes; tilt it about different ones')
    turn = Rotation.align_vectors(arm, eye)[0]
    # (R_A - 1) t = R t_B - t_A for every pair.
    left = np.concatenate([se3.quat_to_matrix(pair[0][3:]) - np.eye(3) for pair in pairs])
    right = np.concatenate([turn.apply(pair[1][:3]) - pair[0][:3] for pair in pairs])
    shift = np.linalg.lstsq(left, right, rcond=None)[0]
    return se3.pose(shift, turn.as_quat())


def _motion(
        parent_T_other: np.ndarray, camera_T_board: np.ndarray, first: int, second: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how the board moved from one sample to another, for the parent and the camera."""
    return tuple(se3.pose_multiply(poses[second], se3.pose_inverse(poses[first]))
                 for poses in (parent_T_other, camera_T_board))


def parent_T_other(mount: Mount, base_T_tcp: np.ndarray) -> np.ndarray:
    """Return the pose (..., 7) of the frame that carries the board in the camera's parent."""
    return base_T_tcp if mount == 'fixed' else se3.pose_inverse(base_T_tcp)


def solve(
        sightings: list[Sighting], camera: Intrinsics, mount: Mount,
        errors: ErrorModel = ErrorModel()) -> HandEye:
    """
    Return the poses that explain the pixels best.

    :raises InputError: there are fewer than three sightings, or their turns have one axis only.
    """
    if len(sightings) < _LEAST_SAMPLES:
        raise InputError(f'there are {len(sightings)} samples; allowed: >= {_LEAST_SAMPLES}')
    fit = _Fit(sightings, camera, mount, errors)
    poses = fit.start()
    for loss in ('huber', 'linear'):
        fit.weigh(*poses)
        found = least_squares(
            fit.weighed, np.zeros(_UNKNOWNS), loss=loss, f_scale=_HUBER, x_scale='jac',
            args=poses)
        poses = fit.moved(found.x, *poses)
    # The derivatives at the solution itself, for steps away from it.
    plain, weighed = (least_squares(function, np.zeros(_UNKNOWNS), max_nfev=1, args=poses)
                      for function in (fit.residuals, fit.weighed))
    residuals = fit.split(plain.fun)
    left_out, deviations = _jackknife(
        residuals, fit.split(plain.jac), fit.split(weighed.fun), fit.split(weighed.jac))
    parent_R_camera = se3.quat_to_matrix(poses[0][3:])
    shift = parent_R_camera @ deviations[:3, :3] @ parent_R_camera.T
    return HandEye(
        parent_T_camera=poses[0], other_T_board=poses[1], left_out_px=left_out,
        residuals_px=tuple(part.reshape(-1, 2) for part in residuals),
        position_std_m=np.sqrt(np.diag(shift)),
        rotation_std_rad=np.sqrt(np.diag(deviations[3:6, 3:6])))


class _Fit:
    """The pixels of all sightings as a function of small motions of both poses."""

    def __init__(
            self, sightings: list[Sighting], camera: Intrinsics, mount: Mount,
            errors: ErrorModel):
        self._camera, self._mount, self._errors = camera, mount, errors
        self._views = [sighting.view for sighting in sightings]
        self._arm = np.array([sighting.base_T_tcp for sighting in sightings])
        counts = [len(view.points) for view in self._views]
        self._owner = np.repeat(np.arange(len(counts)), counts)
        self._ends = 2 * np.cumsum(counts)[:-1]
        self._points = np.concatenate([view.points for view in self._views])
        self._pixels = np.concatenate([view.pixels for view in self._views])
        self._weights: list[np.ndarray] = []

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both poses as the closed form and the mean over the samples give them."""
        seen = np.array([locate_board(view, self._camera) for view in self._views])
        arm = parent_T_other(self._mount, self._arm)
        parent_T_camera = closed_form(arm, seen)
        boards = se3.pose_multiply(
            se3.pose_inverse(arm), se3.pose_multiply(parent_T_camera, seen))
        middle = Rotation.from_quat(boards[:, 3:]).mean().as_quat()
        return parent_T_camera, se3.pose(np.median(boards[:, :3], axis=0), middle)

    @staticmethod
    def moved(
            step: np.ndarray, parent_T_camera: np.ndarray, other_T_board: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return both poses after a step (12,): shift and turn of each in its own frame."""
        return _shifted(parent_T_camera, step[:6]), _shifted(other_T_board, step[6:])

    def residuals(
            self, step: np.ndarray, parent_T_camera: np.ndarray, other_T_board: np.ndarray,
            arm_step: np.ndarray | None = None) -> np.ndarray:
        """Return seen minus predicted pixels, flat; with the arm's poses off by a step (6,)."""
        parent_T_camera, other_T_board = self.moved(step, parent_T_camera, other_T_board)
        arm = self._arm if arm_step is None else _shifted(self._arm, arm_step)
        camera_T_board = se3.pose_multiply(
            se3.pose_inverse(parent_T_camera), se3.pose_multiply(
                parent_T_other(self._mount, arm), other_T_board))
        points = se3.pose_transform(camera_T_board[self._owner], self._points)
        return (self._pixels - self._camera.project(points)).ravel()

    def weigh(self, parent_T_camera: np.ndarray, other_T_board: np.ndarray) -> None:
        """Weigh the pixels of each picture by what camera and arm together err there."""
        still = np.zeros(_UNKNOWNS)
        here = self.residuals(still, parent_T_camera, other_T_board)
        by_arm = np.stack([
            self.residuals(still, parent_T_camera, other_T_board, step) - here
            for step in _ARM_STEP * np.eye(6)], axis=-1) / _ARM_STEP
        errors = self._errors
        sigma = np.repeat([
            errors.arm_position_std_mm * 1e-3, np.radians(errors.arm_rotation_std_deg)], 3)
        self._weights = []
        for part in self.split(by_arm * sigma):
            covariance = part @ part.T + errors.pixel_std ** 2 * np.eye(len(part))
            self._weights.append(np.linalg.inv(np.linalg.cholesky(covariance)))

    def weighed(
            self, step: np.ndarray, parent_T_camera: np.ndarray, other_T_board: np.ndarray,
    ) -> np.ndarray:
        """Return the residuals in standard deviations, independent of each other."""
        parts = self.split(self.residuals(step, parent_T_camera, other_T_board))
        return np.concatenate([weight @ part for weight, part in zip(self._weights, parts)])

    def split(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return the rows of each sighting, two a point."""
        return np.split(rows, self._ends)


def _shifted(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return poses (..., 7) after a shift and a turn (6,) in their own frames."""
    return se3.pose_multiply(pose, se3.pose(step[:3], se3.quat_from_rotvec(step[3:])))


def _jackknife(
        residuals: list[np.ndarray], jacobians: list[np.ndarray],
        weighed: list[np.ndarray], weighed_jacobians: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what leaving out one sighting at a time does, to first order.

    It trusts no assumption about the size of the errors, only that pictures are independent.

    :param residuals: (2 N,) per sighting, px, and by the step (2 N, 12); the same weighed.
    :return: rms (S,) of each sighting's residuals under the fit to the others, px; covariance
        (12, 12) of the step.
    """
    whole = sum(part.T @ part for part in weighed_jacobians)
    steps, left_out = [], []
    for own, by_step, weight, part in zip(residuals, jacobians, weighed, weighed_jacobians):
        step = np.linalg.lstsq(whole - part.T @ part, part.T @ weight, rcond=None)[0]
        steps.append(step)
        left_out.append(rms((own + by_step @ step).reshape(-1, 2)))
    spread = np.array(steps) - np.mean(steps, axis=0)
    count = len(steps)
    return np.array(left_out), (count - 1) / count * spread.T @ spread
