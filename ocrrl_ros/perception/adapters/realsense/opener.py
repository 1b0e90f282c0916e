# SPDX-License-Identifier: Apache-2.0
"""Find a RealSense camera or recording, set it up and start it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.adapters.realsense.config import RealsenseConfig, StreamProfile
from ocrrl_ros.perception.adapters.realsense.connection import CameraLostError
from ocrrl_ros.perception.adapters.realsense.library import load_realsense
from ocrrl_ros.perception.adapters.realsense.pipeline_source import PipelineSource


class RealsenseOpener:
    """
    Opens what the settings name, as often as it is asked to.

    :param config: which camera or recording.
    """

    def __init__(self, config: RealsenseConfig):
        """
        Load the library; one context of it sees cameras come and go.

        :raises MissingDependencyError: the library is missing; the message has the install line.
        """
        self._config = config
        self.rs = load_realsense()
        self._context = self.rs.context()

    def open_source(self) -> PipelineSource:
        """
        Start streaming and return the source.

        :raises CameraLostError: the camera is not there, or it does not start.
        :raises ConfigError: it has no such profile or exposure, or the recording cannot be
            played.
        """
        if self._config.rosbag_filename:
            return self._open_recording(Path(self._config.rosbag_filename).expanduser())
        return self._open_device()

    def find_device(self) -> Any:
        """
        Return the device of the serial number, or the only one.

        :raises CameraLostError: it is not connected.
        :raises ConfigError: several are connected and no serial number says which is meant.
        """
        try:
            devices = {self._info(device, 'serial_number'): device
                       for device in self._context.query_devices()}
        except RuntimeError as error:
            # One that comes or goes while it is asked.
            raise CameraLostError(f'the connected cameras cannot be listed: {error}') from error
        wanted = self._config.serial
        connected = ', '.join(sorted(devices)) or 'none'
        if not wanted and len(devices) > 1:
            raise ConfigError(
                f'several RealSense cameras are connected ({connected}); serial_no must say '
                'which')
        if wanted and wanted not in devices:
            raise CameraLostError(
                f'no RealSense camera with serial_no {wanted!r} is connected; there: {connected}')
        if not devices:
            raise CameraLostError('no RealSense camera is connected')
        return devices[wanted] if wanted else next(iter(devices.values()))

    def select(self, pipeline: Any, request: Any, device: Any) -> None:
        """Have the pipeline use the device."""
        request.enable_device(self._info(device, 'serial_number'))

    def _open_device(self) -> PipelineSource:
        """Set up the camera and start its two streams."""
        rs, config = self.rs, self._config
        device = self.find_device()
        color, depth = config.rgb_camera.profile, config.depth_module.profile
        request, pipeline = rs.config(), rs.pipeline(self._context)
        name = 'the camera'
        try:
            name = self._name(device)
            self._check_offered(device, rs.stream.color, rs.format.rgb8, color, name)
            self._check_offered(device, rs.stream.depth, rs.format.z16, depth, name)
            self.select(pipeline, request, device)
            request.enable_stream(
                rs.stream.color, -1, color.width, color.height, rs.format.rgb8, color.fps)
            request.enable_stream(
                rs.stream.depth, -1, depth.width, depth.height, rs.format.z16, depth.fps)
            # The library makes a device of its own for a pipeline: that one is set up.
            self._set_up(request.resolve(pipeline).get_device(), name)
            pipeline.start(request)
            return PipelineSource(rs, pipeline, name, align=config.align_depth.enable)
        except RuntimeError as error:
            raise CameraLostError(f'{name} does not start: {error}') from error

    def _set_up(self, device: Any, name: str) -> None:
        """Ask for stamps on the host's clock and set both exposures."""
        rs, option = self.rs, self.rs.option
        sensors = device.query_sensors()
        for sensor in sensors:
            if sensor.supports(option.global_time_enabled):
                sensor.set_option(option.global_time_enabled, 1.0)
        color, depth = (
            next(sensor for sensor in sensors if any(
                profile.stream_type() == stream for profile in sensor.get_stream_profiles()))
            for stream in (rs.stream.color, rs.stream.depth))
        self._expose(depth, self._config.depth_module.exposure, name)
        # One sensor takes both streams of a D405, and automatic is no setting of its colour.
        if color is not depth or self._config.rgb_camera.exposure:
            self._expose(color, self._config.rgb_camera.exposure, name)

    def _open_recording(self, path: Path) -> PipelineSource:
        """Start to play a file."""
        rs, config = self.rs, self._config
        if not path.is_file():
            raise ConfigError(f'rosbag_filename is {str(path)!r}, which is no file')
        pipeline, request = rs.pipeline(self._context), rs.config()
        try:
            request.enable_device_from_file(str(path), repeat_playback=config.rosbag_loop)
            request.enable_stream(rs.stream.color)
            request.enable_stream(rs.stream.depth)
            profile = pipeline.start(request)
            profile.get_device().as_playback().set_real_time(config.rosbag_realtime)
            return PipelineSource(rs, pipeline, f'recording {path.name}',
                                  align=config.align_depth.enable, ends=not config.rosbag_loop)
        except RuntimeError as error:
            raise ConfigError(
                f'rosbag_filename is {str(path)!r}, which cannot be played ({error}); a RealSense '
                'recording with a colour and a depth stream is expected') from error

    def _info(self, device: Any, name: str) -> str:
        """Return what a device says about itself, '' where it does not."""
        key = getattr(self.rs.camera_info, name)
        return device.get_info(key) if device.supports(key) else ''

    def _name(self, device: Any) -> str:
        """Return model, serial number and kind of USB, for people."""
        usb = self._info(device, 'usb_type_descriptor')
        parts = [self._info(device, 'name'), self._info(device, 'serial_number'),
                 f'(USB {usb})' if usb else '']
        return ' '.join(part for part in parts if part)

    def _check_offered(
            self, device: Any, stream: Any, form: Any, wanted: StreamProfile,
            name: str) -> None:
        """
        Refuse a profile that no sensor has.

        :raises ConfigError: the message lists what there is.
        :raises CameraLostError: there is nothing of the stream, as while a camera is plugged in.
        """
        setting = 'color_profile' if stream == self.rs.stream.color else 'depth_profile'
        offered = {
            profile for sensor in device.query_sensors()
            for profile in _profiles(sensor.get_stream_profiles(), stream, form)}
        if not offered:
            raise CameraLostError(f'{name} has no stream for {setting}')
        if wanted not in offered:
            listed = sorted(offered, key=lambda item: (item.width, item.height, item.fps))
            raise ConfigError(
                f'{setting} is {wanted}, which {name} does not have; allowed: '
                f'{", ".join(map(str, listed))}')

    def _expose(self, sensor: Any, exposure: int, name: str) -> None:
        """
        Set the exposure.

        :raises ConfigError: the exposure is outside the sensor's range.
        """
        option = self.rs.option
        if sensor.supports(option.enable_auto_exposure):
            sensor.set_option(option.enable_auto_exposure, float(exposure == 0))
        if exposure:
            if not sensor.supports(option.exposure):
                raise ConfigError(f'exposure is {exposure}, but {name} cannot set it; allowed: 0')
            allowed = sensor.get_option_range(option.exposure)
            if not allowed.min <= exposure <= allowed.max:
                raise ConfigError(
                    f'exposure is {exposure}; allowed by {name}: 0, or {allowed.min:g} .. '
                    f'{allowed.max:g}')
            sensor.set_option(option.exposure, float(exposure))


def _profiles(profiles: Iterable[Any], stream: Any, form: Any) -> Iterable[StreamProfile]:
    """Yield the video profiles of one stream and format."""
    for profile in profiles:
        if profile.stream_type() == stream and profile.format() == form:
            video = profile.as_video_stream_profile()
            yield StreamProfile(video.width(), video.height(), video.fps())
