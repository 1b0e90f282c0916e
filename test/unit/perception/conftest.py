# SPDX-License-Identifier: Apache-2.0
"""A small ray caster: coloured things above a table, seen by a noisy RGB-D camera."""

import colorsys
import dataclasses

import cv2
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
from ocrrl_ros.perception.sdf import entry
from ocrrl_ros.perception.surfaces import Surfaces
import pytest

RED, DARK = (190, 25, 20), (35, 35, 38)
TABLE = (150, 145, 135)


@dataclasses.dataclass(frozen=True)
class Box:
    """A box at base_T_box (7,) with half edges (3,) in m."""

    pose: np.ndarray
    half: tuple[float, float, float] = (0.02, 0.02, 0.02)
    colour: tuple[int, int, int] = RED


@dataclasses.dataclass(frozen=True)
class Solid:
    """A shape of the tracker at base_T_solid (7,)."""

    pose: np.ndarray
    shape: Surfaces
    colour: tuple[int, int, int] = RED


class BoxScene:
    """Renders boxes and solids over a table at z = 0 with the depth noise of the protocol."""

    def __init__(self, seed: int = 0, depth_bias: float = 0.0):
        """Place the camera where the robot's is."""
        self.camera = Intrinsics(fx=615.0, fy=615.0, cx=319.5, cy=239.5, width=640, height=480)
        self.rng = np.random.default_rng(seed)
        self.bias = depth_bias
        rows, columns = np.indices((480, 640))
        self._rays = np.stack(
            [(columns - 319.5) / 615.0, (rows - 239.5) / 615.0, np.ones((480, 640))], axis=-1)
        self.look_from((1.02, 0.30, 0.45), (0.48, 0.0, 0.06))

    def look_from(self, eye: tuple[float, ...], target: tuple[float, ...]) -> None:
        """Move the camera."""
        self.base_T_camera = look_at(eye, target)
        height = (self._rays @ se3.quat_to_matrix(self.base_T_camera[3:]).T)[..., 2]
        self._table = np.where(
            height < -0.02, -self.base_T_camera[2] / np.minimum(height, -0.02), 3.0)

    def frame(self, stamp_s: float, boxes: list[Box | Solid]) -> RgbdFrame:
        """Return the camera's view of things over the table."""
        depth = self._table.copy()
        rgb = np.full((480, 640, 3), TABLE, dtype=np.uint8)
        for box in boxes:
            (self._draw_solid if isinstance(box, Solid) else self._draw)(rgb, depth, box)
        return RgbdFrame(
            stamp_s=stamp_s, rgb=rgb, depth_m=self._measured(depth), intrinsics=self.camera)

    def _draw(self, rgb: np.ndarray, depth: np.ndarray, box: Box) -> None:
        """Cast rays at one box, shading its faces by their axis."""
        view = se3.pose_multiply(se3.pose_inverse(box.pose), self.base_T_camera)
        window = self._window(se3.pose_inverse(view)[:3], float(np.linalg.norm(box.half)))
        directions = self._rays[window] @ se3.quat_to_matrix(view[3:]).T
        directions = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
        first = (-np.array(box.half) - view[:3]) / directions
        second = (np.array(box.half) - view[:3]) / directions
        near, far = np.minimum(first, second), np.maximum(first, second).min(axis=-1)
        entry = near.max(axis=-1)
        seen, behind = rgb[window], depth[window]
        hit = (entry < far) & (entry > 0.0) & (entry < behind)
        behind[hit] = entry[hit]
        shade = np.array([1.0, 0.75, 0.55])[np.argmax(near, axis=-1)]
        seen[hit] = (np.array(box.colour) * shade[hit][:, None]).astype(np.uint8)

    def _draw_solid(self, rgb: np.ndarray, depth: np.ndarray, solid: Solid) -> None:
        """Cast rays at one solid of a single shade."""
        view = se3.pose_multiply(se3.pose_inverse(solid.pose), self.base_T_camera)
        window = self._window(se3.pose_inverse(view)[:3], solid.shape.reach)
        rays = self._rays[window].reshape(-1, 3)
        length = np.linalg.norm(rays, axis=1)
        directions = rays / length[:, None] @ se3.quat_to_matrix(view[3:]).T
        z = (entry(view[:3], directions, solid.shape) / length).reshape(depth[window].shape)
        hit = z < depth[window]
        depth[window][hit] = z[hit]
        rgb[window][hit] = solid.colour

    def _window(self, centre: np.ndarray, radius: float) -> tuple[slice, slice]:
        """Return the rows and columns that a sphere can cover."""
        u, v = self.camera.project(centre)
        reach = 1.3 * 615.0 * radius / max(centre[2], 0.1)
        return (slice(max(int(v - reach), 0), max(int(v + reach) + 1, 0)),
                slice(max(int(u - reach), 0), max(int(u + reach) + 1, 0)))

    def _measured(self, depth: np.ndarray) -> np.ndarray:
        """Add correlated noise, bias, holes at edges and quantisation."""
        white = self.rng.standard_normal((162, 215)).astype(np.float32)
        noise = cv2.resize(white, (645, 486))[:480, :640] * 1.5
        measured = depth * (1.0 + self.bias) + 0.0025 * depth ** 2 * noise
        kernel = np.ones((3, 3), np.uint8)
        step = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel)
        measured[(step > 0.02) & (self.rng.random(depth.shape) < 0.6)] = 0.0
        measured[depth > 2.5] = 0.0
        return (np.rint(measured * 1000.0) / 1000.0).astype(np.float32)


def look_at(eye: tuple[float, ...], target: tuple[float, ...]) -> np.ndarray:
    """Return base_T_optical (7,) of a camera without roll."""
    forward = np.subtract(target, eye)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    matrix = np.stack([right, np.cross(forward, right), forward], axis=1)
    return se3.pose(np.array(eye), se3.matrix_to_quat(matrix))


@pytest.fixture
def box_scene():
    """Return the scene's class."""
    return BoxScene


@pytest.fixture
def make_box():
    """Return a function that makes boxes."""
    def make(position, rotvec=(0.0, 0.0, 0.0), **options):
        pose = se3.pose(np.array(position), se3.quat_from_rotvec(np.array(rotvec, dtype=float)))
        return Box(pose, **options)
    return make


@pytest.fixture
def make_solid():
    """Return a function that makes solids in an object's shape and colour."""
    def make(model, position, rotvec=(0.0, 0.0, 0.0)):
        pose = se3.pose(np.array(position), se3.quat_from_rotvec(np.array(rotvec, dtype=float)))
        rgb = colorsys.hsv_to_rgb(model.colour.hue_deg / 360.0, 0.85, 0.75)
        return Solid(pose, model.shape.surfaces, tuple(int(255 * part) for part in rgb))
    return make


@pytest.fixture
def fingers():
    """Return a function that makes two dark fingers and a hand around a box."""
    def make(box, gap=0.021):
        parts = []
        for side in (-1.0, 1.0):
            offset = se3.pose_identity()
            offset[:3] = 0.0, side * (gap + 0.007), 0.03
            parts.append(Box(se3.pose_multiply(box.pose, offset), (0.01, 0.007, 0.04), DARK))
        offset = se3.pose(np.array([0.0, 0.0, 0.10]), np.array([0, 0, 0, 1.0]))
        parts.append(Box(se3.pose_multiply(box.pose, offset), (0.03, 0.1, 0.035), (210, 210, 210)))
        return parts
    return make
