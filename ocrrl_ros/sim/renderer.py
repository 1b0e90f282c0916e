# SPDX-License-Identifier: Apache-2.0
"""Render colour and depth of a scene off screen, on the CPU if need be."""

from __future__ import annotations

import os

import mujoco
import numpy as np
from ocrrl_ros.core.errors import InputError, MissingDependencyError
from ocrrl_ros.sim.scene import CAMERA_NAME

GL_INSTALL = 'sudo apt-get install libegl1 libgl1-mesa-dri libegl-mesa0'


class SceneRenderer:
    """
    The fixed camera of a scene.

    An EGL context belongs to the thread that made it: use one renderer per thread, and close
    it there. The renderer has its own MjData, so it may live in another process than the physics.
    """

    def __init__(
            self, model: mujoco.MjModel, width: int = 640, height: int = 480,
            camera: str = CAMERA_NAME):
        """
        Open an off-screen context.

        :raises MissingDependencyError: no OpenGL; the message has the install command.
        """
        self._model = model
        self._camera = camera
        self._data = mujoco.MjData(model)
        self._stamp_s = 0.0
        # Hand and fingers have collision geometry only: without group 3 they are invisible.
        self._option = mujoco.MjvOption()
        self._option.geomgroup[3] = 1
        model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
        model.vis.global_.offheight = max(height, model.vis.global_.offheight)
        try:
            self._renderer = mujoco.Renderer(model, height=height, width=width)
        except Exception as error:  # EGL bindings raise several unrelated types
            raise MissingDependencyError(
                f'OpenGL (MUJOCO_GL={os.environ.get("MUJOCO_GL")}; {error}), which the '
                'simulated camera needs,', GL_INSTALL) from error
        shadows = bool(model.light_castshadow.any())
        self._renderer.scene.flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = shadows

    @property
    def stamp_s(self) -> float:
        """Time of the state that the next picture shows, s."""
        return self._stamp_s

    def set_state(self, state: np.ndarray) -> None:
        """
        Take a state of :meth:`ocrrl_ros.sim.world.SimWorld.render_state`.

        :param state: [time s, qpos] (1 + nq,).
        :raises InputError: wrong length.
        """
        if state.shape != (1 + self._model.nq,):
            raise InputError(f'render state has shape {state.shape}; allowed: '
                             f'({1 + self._model.nq},)')
        self._stamp_s = float(state[0])
        self._data.qpos[:] = state[1:]
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def rgb(self) -> np.ndarray:
        """Return the colour image of the present state, uint8 of shape (H, W, 3)."""
        self._renderer.disable_depth_rendering()
        self._renderer.update_scene(self._data, self._camera, self._option)
        return self._renderer.render()

    def depth(self) -> np.ndarray:
        """Return perfect depth along the optical axis in m, float32 of shape (H, W)."""
        self._renderer.enable_depth_rendering()
        self._renderer.update_scene(self._data, self._camera, self._option)
        return self._renderer.render()

    def render(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return colour (H, W, 3) uint8 and perfect depth (H, W) float32 m of a state."""
        self.set_state(state)
        return self.rgb(), self.depth()

    def close(self) -> None:
        """Free the context, in the thread that made it."""
        self._renderer.close()

    def __enter__(self) -> SceneRenderer:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the context."""
        self.close()
