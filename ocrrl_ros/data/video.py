# SPDX-License-Identifier: Apache-2.0
"""Write and read h264 videos whose frames can be trained on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import DatasetError, MissingDependencyError

# Constant rate factor: decoded frames differ by 0.4 of 255 on average, most of it from yuv420p.
QUALITY_CRF = 18
GROUP_OF_PICTURES = 20


def write_video(path: Path, frames: np.ndarray, fps: int, *, crf: int = QUALITY_CRF) -> None:
    """
    Encode RGB frames as h264 in an mp4 file.

    :param frames: (L, H, W, 3) uint8, H and W even (yuv420p halves the colour planes).
    :param fps: frames per second.
    :param crf: x264 constant rate factor, 0 lossless to 51 worst.
    :raises DatasetError: the frames are empty, of the wrong type or of odd size.
    """
    av = _import_av()
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise DatasetError(
            f'{path}: frames are {frames.dtype}{frames.shape}; expected uint8 (L, H, W, 3)')
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise DatasetError(f'{path}: frame size {frames.shape[1:3]} is odd; h264 needs even')
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w', format='mp4') as container:
        stream = container.add_stream('libx264', rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.thread_count = 1
        stream.options = {'crf': str(crf), 'preset': 'superfast', 'g': str(GROUP_OF_PICTURES)}
        for image in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read_video(path: Path) -> np.ndarray:
    """
    Decode every frame of a video.

    :return: (L, H, W, 3) uint8 RGB.
    :raises DatasetError: the file is missing, truncated or holds no frames.
    """
    av = _import_av()
    if not path.is_file():
        raise DatasetError(f'{path}: the video is missing')
    try:
        with av.open(str(path)) as container:
            frames = [
                frame.reformat(format='rgb24', interpolation=exact_conversion(av)).to_ndarray()
                for frame in container.decode(video=0)]
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise DatasetError(f'{path}: the video cannot be decoded: {error}') from error
    if not frames:
        raise DatasetError(f'{path}: the video holds no frames')
    return np.stack(frames)


def exact_conversion(av):  # noqa: ANN001, ANN201 (module, its enumeration)
    """Return the flags without which every decoded pixel comes out 1.4 of 255 too dark."""
    kind = av.video.reformatter.Interpolation
    return kind.BICUBIC | kind.ACCURATE_RND | kind.FULL_CHR_H_INT


def _import_av():  # noqa: ANN202 (module object)
    """Return the PyAV module, or say how to install it."""
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError(
            'PyAV (reads and writes demonstration videos)', 'pip install av') from error
    return av
