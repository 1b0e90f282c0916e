# SPDX-License-Identifier: Apache-2.0
"""Pictures of a printed board, drawn with a pinhole camera, for tests."""
import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.calibration.board import BoardView, CalibrationBoard
from ocrrl_ros.perception.calibration.hand_eye import parent_T_other, Sighting
from ocrrl_ros.perception.calibration.samples import CalibrationSample
from ocrrl_ros.perception.frame import Intrinsics

CAMERA = Intrinsics(fx=610.0, fy=612.0, cx=322.0, cy=238.5, width=640, height=480)
_SUPERSAMPLING = 4
_PX_PER_M = 4000.0
_PAPER_M = 0.012


def picture(
        board: CalibrationBoard, camera_T_board: np.ndarray, camera: Intrinsics = CAMERA,
        noise: float = 2.0, rng: np.random.Generator | None = None) -> np.ndarray:
    """
    Draw a board before a grey background, (H, W, 3) uint8.

    Drawn four times as fine and averaged, as a sensor's pixels do; then blurred a little.
    """
    pattern = board.draw(_PX_PER_M)
    margin = round(_PAPER_M * _PX_PER_M)
    paper = cv2.copyMakeBorder(
        pattern, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=255)
    # Pixel centres of the paper in metres of the board, which begins inside of the margin.
    to_m = np.diag([1.0 / _PX_PER_M, 1.0 / _PX_PER_M, 1.0])
    to_m[:2, 2] = (0.5 - margin) / _PX_PER_M
    turn = se3.quat_to_matrix(camera_T_board[3:])
    fine = np.diag([_SUPERSAMPLING, _SUPERSAMPLING, 1.0])
    fine[:2, 2] = (_SUPERSAMPLING - 1) / 2
    lens = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
    homography = fine @ lens @ np.column_stack([turn[:, :2], camera_T_board[:3]]) @ to_m
    large = cv2.warpPerspective(
        paper, homography, (camera.width * _SUPERSAMPLING, camera.height * _SUPERSAMPLING),
        flags=cv2.INTER_AREA, borderMode=cv2.BORDER_CONSTANT, borderValue=110)
    small = cv2.resize(large, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.6).astype(float)
    if rng is not None:
        small += rng.normal(scale=noise, size=small.shape)
    return np.repeat(np.clip(small, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def look_from(eye: np.ndarray, at: np.ndarray, roll_rad: float = 0.0) -> np.ndarray:
    """Return the pose (7,) of an optical frame at `eye` that looks at a point, z up is up."""
    forward = (at - eye) / np.linalg.norm(at - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    turn = np.column_stack([right, np.cross(forward, right), forward])
    upright = se3.pose(eye, se3.matrix_to_quat(turn))
    return se3.pose_multiply(upright, se3.pose(
        np.zeros(3), se3.quat_from_rotvec(np.array([0.0, 0.0, roll_rad]))))


class Rig:
    """
    An arm, a camera and a board whose true poses are known.

    :param mount: `fixed`: the board is in the hand; `wrist`: the camera is.
    :param arm_error_m, arm_error_rad: by how much the arm errs about its own pose, sigma.
    """

    def __init__(
            self, board: CalibrationBoard, mount: str, seed: int = 0, arm_error_m: float = 0.0,
            arm_error_rad: float = 0.0):
        """Place both."""
        self.board, self.mount = board, mount
        self._rng = np.random.default_rng(seed)
        self._error = arm_error_m, arm_error_rad
        width, height = board.config.size_m
        middle = se3.pose(np.array([-width / 2, -height / 2, 0.0]), se3.pose_identity()[3:])
        if mount == 'fixed':
            self.parent_T_camera = look_from(
                np.array([1.05, 0.25, 0.5]), np.array([0.45, 0.0, 0.25]))
            # The board faces away from the palm, upside down and a little off.
            hold = se3.pose(np.array([0.01, -0.02, 0.06]), se3.quat_from_rotvec(
                np.array([0.0, np.radians(170.0), 0.1])))
            self.other_T_board = se3.pose_multiply(hold, middle)
        else:
            self.parent_T_camera = se3.pose(
                np.array([0.05, 0.01, -0.06]), se3.quat_from_rotvec(np.array([0.1, -0.15, 1.4])))
            flat = se3.pose(np.array([0.5, 0.05, 0.01]), se3.quat_from_rotvec(
                np.array([np.pi, 0.0, 0.0])))
            self.other_T_board = se3.pose_multiply(flat, middle)

    def poses(self, count: int, tilt_deg: float = 25.0) -> list[np.ndarray]:
        """Return base_T_tcp (7,) from which the camera sees the board."""
        found = []
        for _ in range(count):
            tilt = np.radians(tilt_deg) * self._rng.uniform(-1.0, 1.0, 3)
            spot = se3.pose(
                np.array([*self._rng.uniform(-0.06, 0.06, 2), self._rng.uniform(0.45, 0.65)]),
                se3.quat_from_rotvec(tilt))
            # The middle of the board stands at `spot` in the picture, tilted about itself.
            width, height = self.board.config.size_m
            camera_T_board = se3.pose_multiply(spot, se3.pose(
                np.array([-width / 2, -height / 2, 0.0]), se3.pose_identity()[3:]))
            parent_T_other = se3.pose_multiply(self.parent_T_camera, se3.pose_multiply(
                camera_T_board, se3.pose_inverse(self.other_T_board)))
            found.append(parent_T_other if self.mount == 'fixed'
                         else se3.pose_inverse(parent_T_other))
        return found

    def camera_T_board(self, base_T_tcp: np.ndarray) -> np.ndarray:
        """Return the true pose (7,) of the board in the camera."""
        return se3.pose_multiply(se3.pose_inverse(self.parent_T_camera), se3.pose_multiply(
            parent_T_other(self.mount, base_T_tcp), self.other_T_board))

    def reported(self, base_T_tcp: np.ndarray) -> np.ndarray:
        """Return the pose (7,) that the arm says it has."""
        return se3.pose_multiply(base_T_tcp, se3.pose(
            self._rng.normal(scale=self._error[0], size=3),
            se3.quat_from_rotvec(self._rng.normal(scale=self._error[1], size=3))))

    def sample(self, base_T_tcp: np.ndarray) -> CalibrationSample:
        """Draw a picture; with it comes what the arm says about its pose."""
        return CalibrationSample(
            stamp_s=1.0, base_T_tcp=self.reported(base_T_tcp),
            rgb=picture(self.board, self.camera_T_board(base_T_tcp), rng=self._rng))

    def sighting(self, base_T_tcp: np.ndarray, noise_px: float = 0.1) -> Sighting:
        """Project the board's points instead of drawing and finding them."""
        points = self.board.points
        pixels = CAMERA.project(se3.pose_transform(self.camera_T_board(base_T_tcp), points))
        return Sighting(base_T_tcp=self.reported(base_T_tcp), view=BoardView(
            points=points, pixels=pixels + self._rng.normal(scale=noise_px, size=pixels.shape)))
