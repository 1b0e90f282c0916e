# SPDX-License-Identifier: Apache-2.0
"""Settings of every test: render without a display, DDS stays here, fixed examples."""
import os

from hypothesis import settings

os.environ.setdefault('MUJOCO_GL', 'egl')
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

# The same examples in every run, and no deadline: the machine may be shared.
settings.register_profile('ocrrl', deadline=None, derandomize=True, database=None)
settings.load_profile('ocrrl')
