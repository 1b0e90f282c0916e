# SPDX-License-Identifier: Apache-2.0
"""Simulated worlds: physics, scenes, tasks, sensors and the vectorised environment."""

import os

# MuJoCo chooses its OpenGL platform when it is first imported; EGL needs no display.
os.environ.setdefault('MUJOCO_GL', 'egl')
