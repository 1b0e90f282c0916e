# SPDX-License-Identifier: Apache-2.0
"""One sub-system: the simulated FR3 with its camera, or the driver of a real one."""

from ocrrl_ros.interfaces.launch_support import subsystem_description


def generate_launch_description():
    """Return the sub-system's nodes."""
    return subsystem_description('robot')
