# SPDX-License-Identifier: Apache-2.0
"""Settings of a RealSense camera, named as realsense2_camera names them where it has them."""

from __future__ import annotations

from dataclasses import dataclass, field
import re

from ocrrl_ros.core.errors import ConfigError

_PROFILE = re.compile(r'(\d+)[x,](\d+)[x,](\d+)')
_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*')


@dataclass(frozen=True)
class StreamProfile:
    """Size and rate of one stream."""

    width: int
    height: int
    fps: int

    def __str__(self) -> str:
        """Write it as settings have it."""
        return f'{self.width}x{self.height}x{self.fps}'


def parse_profile(text: str, name: str) -> StreamProfile:
    """
    Return the profile that a text such as ``640x480x30`` stands for.

    :param name: setting that the text is the value of, for the message.
    :raises ConfigError: it is of another form, or a number is zero.
    """
    found = _PROFILE.fullmatch(text.replace(' ', ''))
    if found is None or not all(int(part) for part in found.groups()):
        raise ConfigError(
            f'{name} is {text!r}; WIDTHxHEIGHTxFPS is expected, such as 640x480x30')
    return StreamProfile(*(int(part) for part in found.groups()))


def _check_exposure(value: int) -> None:
    if value < 0:
        raise ConfigError(f'exposure is {value}; allowed: >= 0, where 0 is automatic')


@dataclass(frozen=True, kw_only=True)
class RgbCameraConfig:
    """The colour stream."""

    color_profile: str = field(
        default='640x480x30', metadata={'description': 'colour images, WIDTHxHEIGHTxFPS'})
    exposure: int = field(default=0, metadata={'description': (
        'exposure as the sensor counts it, 100 us on D435 and us on D405; 0: automatic')})

    def __post_init__(self) -> None:
        """Refuse what is no profile and no exposure."""
        parse_profile(self.color_profile, 'color_profile')
        _check_exposure(self.exposure)

    @property
    def profile(self) -> StreamProfile:
        """Return the profile as numbers."""
        return parse_profile(self.color_profile, 'color_profile')


@dataclass(frozen=True, kw_only=True)
class DepthModuleConfig:
    """The depth stream."""

    depth_profile: str = field(
        default='640x480x30', metadata={'description': 'depth images, WIDTHxHEIGHTxFPS'})
    exposure: int = field(
        default=0, metadata={'description': 'exposure of the imagers, us; 0: automatic'})

    def __post_init__(self) -> None:
        """Refuse what is no profile and no exposure."""
        parse_profile(self.depth_profile, 'depth_profile')
        _check_exposure(self.exposure)

    @property
    def profile(self) -> StreamProfile:
        """Return the profile as numbers."""
        return parse_profile(self.depth_profile, 'depth_profile')


@dataclass(frozen=True, kw_only=True)
class AlignDepthConfig:
    """On which pixel grid depth is given."""

    enable: bool = field(default=True, metadata={'description': (
        "depth on the colour image's pixels, aligned_depth_to_color; false: its own, "
        'depth/image_rect_raw')})


@dataclass(frozen=True, kw_only=True)
class RealsenseConfig:
    """Which camera or recording, its streams, and when it counts as lost."""

    serial_no: str | int = field(default='', metadata={'description': (
        'serial number, with an underscore before it so that it stays text: _831612070538; '
        'empty: the only camera that is connected')})
    camera_name: str = field(default='camera', metadata={
        'description': 'first part of the names of frames, as in camera_color_optical_frame'})
    rgb_camera: RgbCameraConfig = RgbCameraConfig()
    depth_module: DepthModuleConfig = DepthModuleConfig()
    align_depth: AlignDepthConfig = AlignDepthConfig()
    rosbag_filename: str = field(default='', metadata={'description': (
        'recording that is played in place of a camera, .bag or .db3 of the RealSense library; '
        'its streams are as recorded, its frames are stamped with the time of playing')})
    rosbag_loop: bool = field(
        default=True, metadata={'description': 'begin the recording anew at its end'})
    rosbag_realtime: bool = field(default=True, metadata={
        'description': 'at the rate of the recording; false: one frame per period of the loop'})
    max_silence_s: float = field(default=1.0, metadata={
        'description': 'time without a frame after which the camera is lost, s'})
    first_frame_s: float = field(default=5.0, metadata={
        'description': 'time to the first frame after a start, s'})
    reconnect_period_s: float = field(default=2.0, metadata={
        'description': 'time between attempts to find a lost camera, s'})
    latency_s: float = field(default=0.0, metadata={'description': (
        'least time from exposure to arrival, s; taken off the stamps where the camera counts '
        'on a clock of its own')})

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if isinstance(self.serial_no, int):
            raise ConfigError(
                f'serial_no is {self.serial_no}, a number, which may have lost zeros; write it '
                f'with an underscore: _{self.serial_no}')
        if not _NAME.fullmatch(self.camera_name):
            raise ConfigError(
                f'camera_name is {self.camera_name!r}; allowed: letters, digits and underscores')
        for name in ('max_silence_s', 'first_frame_s', 'reconnect_period_s'):
            if not 0.05 <= getattr(self, name) <= 600.0:
                raise ConfigError(f'{name} is {getattr(self, name)} s; allowed: 0.05 .. 600')
        if not 0.0 <= self.latency_s <= 1.0:
            raise ConfigError(f'latency_s is {self.latency_s} s; allowed: 0 .. 1')

    @property
    def serial(self) -> str:
        """Return the serial number as the camera says it, '' for any."""
        return str(self.serial_no).removeprefix('_')
