# SPDX-License-Identifier: Apache-2.0
"""Load the RealSense library, or say how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from ocrrl_ros.core.errors import MissingDependencyError
from ocrrl_ros.core.system_packages import (
    camera_install_command, load_libusb, missing_camera_packages)


def load_realsense() -> ModuleType:
    """
    Return pyrealsense2.

    :raises MissingDependencyError: it or libusb is missing, or it cannot be loaded; the message
        has the install line.
    """
    missing = missing_camera_packages()
    if missing:
        raise MissingDependencyError(
            f'{" and ".join(missing)} (for a RealSense camera)', camera_install_command(missing))
    # Its extension module asks the loader for libusb by name: it must be in the process by now.
    load_libusb()
    try:
        return importlib.import_module('pyrealsense2')
    except ImportError as error:
        raise MissingDependencyError(
            f'a pyrealsense2 that loads ({error})', camera_install_command()) from error
