# SPDX-License-Identifier: Apache-2.0
"""The node `camera` on a software camera that is plugged in while a file exists."""
import os
from pathlib import Path
import sys
import threading
import time

from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.nodes.camera_node import CameraNode
from software_camera import FPS, SoftwareCamera
from software_camera_opener import SoftwareOpener

PLUG = 'OCRRL_TEST_CAMERA_PLUG'


class PluggedOpener(SoftwareOpener):
    """Follows the plug: what it sends comes from a thread, as from a camera."""

    def __init__(self, config):
        super().__init__(config)
        self.plugged = None
        threading.Thread(
            target=self._stream, args=(Path(os.environ[PLUG]),), daemon=True).start()

    def _stream(self, plug):
        while True:
            if not plug.exists():
                self.plugged = None
            elif self.plugged is None:
                self.plugged = SoftwareCamera(self.rs, domain=plug.read_text())
            else:
                self.plugged.send(time.time())
            time.sleep(1.0 / FPS)


if __name__ == '__main__':
    sys.exit(loop_node(lambda: CameraNode(make_opener=PluggedOpener), 'camera'))
