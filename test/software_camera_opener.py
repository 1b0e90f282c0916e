# SPDX-License-Identifier: Apache-2.0
"""Finds software cameras in place of real ones; all else is the real opener."""

from __future__ import annotations

import time
from typing import Any

from ocrrl_ros.perception.adapters.realsense.config import RealsenseConfig
from ocrrl_ros.perception.adapters.realsense.connection import CameraLostError
from ocrrl_ros.perception.adapters.realsense.frames import CameraFrame
from ocrrl_ros.perception.adapters.realsense.opener import RealsenseOpener
from ocrrl_ros.perception.adapters.realsense.pipeline_source import PipelineSource
from software_camera import SoftwareCamera

LIMIT_S = 20.0


class SoftwareOpener(RealsenseOpener):
    """Opens the software camera that is plugged in, ``None`` for none."""

    def __init__(self, config: RealsenseConfig):
        super().__init__(config)
        self.plugged: SoftwareCamera | None = SoftwareCamera(self.rs)

    def find_device(self) -> Any:
        plugged = self.plugged  # another thread may pull it
        if plugged is None:
            raise CameraLostError('no RealSense camera is connected')
        return plugged.device

    def select(self, pipeline: Any, request: Any, device: Any) -> None:
        # The library enumerates real devices only.
        pipeline.set_device(device)

    def frame(self, source: PipelineSource, timestamp_s: float, **options: Any) -> CameraFrame:
        """Have the camera send one exposure and return what comes out of the source."""
        self.plugged.send(timestamp_s, **options)
        end_s = time.monotonic() + LIMIT_S
        while time.monotonic() < end_s:
            frame = source.poll()
            if frame is not None:
                return frame
            time.sleep(0.001)
        raise AssertionError(f'no frame within {LIMIT_S} s')
