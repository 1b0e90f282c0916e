# SPDX-License-Identifier: Apache-2.0
"""Publish a RealSense camera, or a recording of one, as realsense2_camera does."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import sys

import numpy as np
from ocrrl_ros.core.errors import ConfigError, MissingDependencyError
from ocrrl_ros.interfaces.managed_node import ManagedConfig, ManagedNode
from ocrrl_ros.interfaces.rgbd_outbox import RgbdOutbox
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.tick_loop import LoopConfig
from ocrrl_ros.perception.adapters.realsense.config import RealsenseConfig
from ocrrl_ros.perception.adapters.realsense.connection import CameraConnection, CameraState
from ocrrl_ros.perception.adapters.realsense.frames import CameraFrame
from ocrrl_ros.perception.adapters.realsense.opener import RealsenseOpener
from ocrrl_ros.perception.adapters.realsense.stamps import StampClock
from ocrrl_ros.perception.adapters.realsense.statistics import FrameStatistics

NODE_NAME = 'camera'


@dataclasses.dataclass(frozen=True, kw_only=True)
class CameraConfig(RealsenseConfig, ManagedConfig):
    """Settings of the camera node."""

    loop: LoopConfig = LoopConfig(rate_hz=200.0)


class CameraNode(ManagedNode):
    """
    Publishes colour, depth on the same pixels, and what is known of both cameras.

    A camera that is unplugged is reported and looked for until it is back; several cameras are
    several nodes, each in its own namespace. Configured, it has loaded the library; active, it
    holds the camera.
    """

    def __init__(
            self, make_opener: Callable[[RealsenseConfig], RealsenseOpener] = RealsenseOpener,
            **arguments):
        """
        Load the library; the camera is opened in the loop.

        :raises ConfigError: a setting is wrong, or the library is missing; the message has the
            install line.
        """
        super().__init__(NODE_NAME, CameraConfig, **arguments)
        self._make_opener = make_opener
        self._opener: RealsenseOpener | None = None
        self._connection: CameraConnection | None = None
        self._stamps = StampClock(self.config.latency_s)
        self._statistics = FrameStatistics()
        self._held_back = 0
        self._images = RgbdOutbox(self, aligned=self.config.align_depth.enable,
                                  camera_name=self.config.camera_name)
        self.start()

    def configure(self) -> None:
        """
        Load the library.

        :raises ConfigError: it is missing; the message has the install line.
        """
        try:
            self._opener = self._make_opener(self.config)
        except MissingDependencyError as error:
            raise ConfigError(str(error)) from error

    def activate(self) -> None:
        """Look for the camera from the next step on."""
        self._connection = CameraConnection(self._opener.open_source, self.config)
        self.loop.monitor.set_problem('state', 'searching: not opened yet')

    def deactivate(self) -> None:
        """Let the camera go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def cleanup(self) -> None:
        """Drop the library's context."""
        self._opener = None

    def step_active(self, now_s: float) -> None:
        """Publish the newest frame; find the camera where there is none."""
        frame = self._connection.step(now_s)
        for state, reason in self._connection.take_changes():
            self._report(state, reason)
        if frame is not None:
            self._publish(frame, now_s)

    def _report(self, state: CameraState, reason: str) -> None:
        """Say what has become of the camera, in the log and in every diagnosis."""
        text = f'{state.value}: {reason}'
        if state.is_fine:
            self.get_logger().info(text)
        else:
            self.get_logger().warning(text)
        self._stamps.restart()
        self._statistics.restart()
        monitor = self.loop.monitor
        monitor.set_problem('state', '' if state.is_fine else text)
        monitor.set_problem('depth', '')
        for name, value in (
                ('state', state.value), ('camera', reason), ('losses', self._connection.losses),
                ('frame_rate_hz', 0.0)):
            monitor.set_value(name, value)

    def _publish(self, frame: CameraFrame, now_s: float) -> None:
        """Stamp and publish one frame, and note how it was."""
        self._statistics.add(frame.number, now_s)
        stamp_s = self._stamps.stamp(frame.timestamp_s, frame.domain, now_s)
        if stamp_s is None:
            self._held_back += 1
        else:
            self._images.publish(
                stamp_s, frame.rgb, frame.depth_mm, frame.color_model, frame.depth_model)
            self.loop.monitor.on_input('frame', stamp_s)
        self._note(frame)

    def _note(self, frame: CameraFrame) -> None:
        """Put the frame's figures into the diagnosis."""
        monitor = self.loop.monitor
        valid = np.count_nonzero(frame.depth_mm) / frame.depth_mm.size
        monitor.set_problem('depth', '' if valid else 'the depth image has no valid pixel')
        for name, value in (
                ('frames', self._statistics.frames), ('missed', self._statistics.missed),
                ('held_back', self._held_back), ('unmatched', self._connection.unmatched),
                ('frame_rate_hz', self._statistics.rate_hz()),
                ('depth_valid_share', valid), ('depth_lag_ms', frame.depth_lag_s * 1e3),
                ('stamps_by', self._stamps.method)):
            monitor.set_value(name, value)


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(CameraNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
