# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos of episodes: encoding, and the action-correction arrows."""
from collections.abc import Sequence
from dataclasses import dataclass
import io

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError

BASE_COLOUR = (52, 120, 246)
CORRECTED_COLOUR = (255, 149, 0)
NEAREST_M = 0.05


@dataclass(frozen=True)
class PinholeView:
    """
    A camera that pictures were taken with.

    :param base_T_camera: (7,) pose of the optical frame (z forward, y down) in the base frame.
    :param intrinsics: fx, fy, cx, cy in pixels.
    """

    base_T_camera: np.ndarray
    intrinsics: tuple[float, float, float, float]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Project points.

        :param points: (..., 3) in the base frame.
        :return: pixels (..., 2) and whether each point lies in front of the camera (...).
        """
        camera = se3.pose_transform(se3.pose_inverse(self.base_T_camera), np.asarray(points))
        fx, fy, cx, cy = self.intrinsics
        depth = camera[..., 2]
        in_front = depth > NEAREST_M
        safe = np.where(in_front, depth, 1.0)
        pixels = np.stack([fx * camera[..., 0] / safe + cx, fy * camera[..., 1] / safe + cy], -1)
        return pixels, in_front


@dataclass(frozen=True)
class TargetTrace:
    """
    Targets of one episode's policy ticks.

    :param time_s: (T,) seconds since the episode began.
    :param base_targets: (T, 3) positions that the base policy alone asks for, base frame.
    :param corrected_targets: (T, 3) positions after the residual, base frame.
    """

    time_s: np.ndarray
    base_targets: np.ndarray
    corrected_targets: np.ndarray

    def __len__(self) -> int:
        """Count the ticks."""
        return len(self.time_s)


def draw_corrections(rgb: np.ndarray, view: PinholeView, trace: TargetTrace, *,
                     scale: float = 2.0, every: int = 5) -> np.ndarray:
    """
    Draw where the residual moves the base policy's targets.

    :param rgb: (H, W, 3) uint8 picture.
    :param trace: the targets to draw.
    :param scale: arrows are drawn this many times longer than the correction.
    :param every: one arrow per this many ticks.
    :return: a new picture; the input is left alone.
    """
    import cv2
    canvas = rgb.copy()
    base, base_seen = view.project(trace.base_targets)
    moved, moved_seen = view.project(trace.corrected_targets)
    _polyline(canvas, base[base_seen], BASE_COLOUR)
    _polyline(canvas, moved[moved_seen], CORRECTED_COLOUR)
    tips = trace.base_targets + scale * (trace.corrected_targets - trace.base_targets)
    tip_pixels, tip_seen = view.project(tips)
    for start, tip, seen in list(zip(base, tip_pixels, base_seen & tip_seen))[::every]:
        if seen and np.hypot(*(tip - start)) >= 2.0:
            cv2.arrowedLine(canvas, _pixel(start), _pixel(tip), (255, 59, 48), 1, cv2.LINE_AA,
                            tipLength=0.3)
    return canvas


def _pixel(point: np.ndarray) -> tuple[int, int]:
    """Round to a pixel inside what OpenCV can draw."""
    x, y = np.clip(np.rint(point), -10_000, 10_000).astype(int)
    return int(x), int(y)


def _polyline(canvas: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw a thin line through the points."""
    import cv2
    line = np.array([_pixel(point) for point in points], dtype=np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [line], False, colour, 1, cv2.LINE_AA)


def label_picture(rgb: np.ndarray, text: str) -> np.ndarray:
    """Write a line of text at the top of a copy of the picture."""
    import cv2
    canvas = rgb.copy()
    canvas[:24] = (canvas[:24] * 0.35).astype(np.uint8)
    cv2.putText(canvas, text, (8, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1,
                cv2.LINE_AA)
    return canvas


def encode_jpeg(rgb: np.ndarray, quality: int = 85) -> bytes:
    """Encode a picture (H, W, 3) uint8 as JPEG."""
    import cv2
    good, data = cv2.imencode('.jpg', rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise InputError(f'a picture of shape {rgb.shape} cannot be encoded as JPEG')
    return data.tobytes()


def decode_jpeg(data: bytes) -> np.ndarray:
    """Decode a JPEG into (H, W, 3) uint8."""
    import cv2
    bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f'{len(data)} bytes are no picture that can be decoded')
    return np.ascontiguousarray(bgr[..., ::-1])


def encode_video(frames: Sequence[np.ndarray], rate_hz: int, *, quality: int = 28) -> bytes:
    """
    Encode pictures as an H.264 MP4 that browsers play.

    :param frames: (H, W, 3) uint8 each, all of one shape with even sides.
    :param rate_hz: pictures per second.
    :param quality: constant rate factor; larger is smaller and coarser.
    """
    import av
    if not frames:
        raise InputError('a video needs at least one picture')
    height, width = frames[0].shape[:2]
    if height % 2 or width % 2:
        raise InputError(f'a video needs even sides, got {width} x {height}')
    buffer = io.BytesIO()
    with av.open(buffer, 'w', format='mp4') as container:
        stream = container.add_stream('libx264', rate=rate_hz)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        stream.options = {'crf': str(quality), 'preset': 'veryfast'}
        for rgb in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()
