# SPDX-License-Identifier: Apache-2.0
"""Render colour and depth of a scene off screen, on the CPU if need be."""

from __future__ import annotations

import os

import mujoco
import numpy as np
from ocrrl_ros.core.errors import InputError, MissingDependencyError
from ocrrl_ros.sim.image_kernels import compose_rgb, metric_depth
from ocrrl_ros.sim.scene import CAMERA_NAME

_MOST_GEOMS = 10_000
GL_INSTALL = 'sudo apt-get install libegl1 libgl1-mesa-dri libegl-mesa0'


class SceneRenderer:
    """
    The fixed camera of a scene.

    An EGL context belongs to the thread that made it: use one renderer per thread, and close
    it there. The renderer has its own MjData, so it may live in another process than the physics.
    Colour and depth of a state come from one drawing pass, which is most of the cost. Without
    shadows and mirrors the parts of the scene that never move are drawn once and for all, which
    saves two thirds of it with software OpenGL; the pictures are the same to the last bit.
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
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = model.camera(camera).id
        self._scene = mujoco.MjvScene(model, maxgeom=_MOST_GEOMS)
        self._scene.flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = model.light_castshadow.any()
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._front = _Picture(width, height)
        self._back = _Picture(width, height)
        self._is_drawn = False
        try:
            self._gl = mujoco.GLContext(width, height)
            self._gl.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        except Exception as error:  # EGL bindings raise several unrelated types
            raise MissingDependencyError(
                f'OpenGL (MUJOCO_GL={os.environ.get("MUJOCO_GL")}; {error}), which the '
                'simulated camera needs,', GL_INSTALL) from error
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._moving = mujoco.mjtCatBit.mjCAT_ALL
        if not model.light_castshadow.any() and not model.mat_reflectance.any():
            self._draw_background()

    def _draw_background(self) -> None:
        """Keep the picture of everything that is fixed to the world; draw only the rest later."""
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._moving = mujoco.mjtCatBit.mjCAT_STATIC
        self._draw()
        self._back, self._front = self._front, self._back
        self._is_drawn = False
        self._moving = mujoco.mjtCatBit.mjCAT_DYNAMIC
        self._scene.flags[int(mujoco.mjtRndFlag.mjRND_SKYBOX)] = False

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
        self._is_drawn = False
        self._data.qpos[:] = state[1:]
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def rgb(self) -> np.ndarray:
        """Return the colour image of the present state, uint8 of shape (H, W, 3)."""
        self._draw()
        picture = np.empty_like(self._front.rgb)
        compose_rgb(
            self._front.rgb, self._front.depth, self._back.rgb, self._back.depth, picture)
        return picture

    def depth(self) -> np.ndarray:
        """Return perfect depth along the optical axis in m, float32 of shape (H, W)."""
        self._draw()
        extent, clip = self._model.stat.extent, self._model.vis.map
        depth_m = np.empty_like(self._front.depth)
        metric_depth(
            self._front.depth, self._back.depth, clip.znear * extent, clip.zfar * extent, depth_m)
        return depth_m

    def _draw(self) -> None:
        """Draw the present state, unless that was done already."""
        self._gl.make_current()
        if self._is_drawn:
            return
        mujoco.mjv_updateScene(
            self._model, self._data, self._option, None, self._view, self._moving, self._scene)
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._front.rgb, self._front.depth, self._rect, self._context)
        self._is_drawn = True

    def render(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return colour (H, W, 3) uint8 and perfect depth (H, W) float32 m of a state."""
        self.set_state(state)
        return self.rgb(), self.depth()

    def close(self) -> None:
        """Free the context, in the thread that made it."""
        if self._gl is not None:
            self._context.free()
            self._gl.free()
            self._gl = None

    def __enter__(self) -> SceneRenderer:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the context."""
        self.close()


class _Picture:
    """Colour and depth buffers as OpenGL has them: bottom row first, near 1 and far 0."""

    def __init__(self, width: int, height: int):
        """Start with nothing: infinitely far, so that everything lies before it."""
        self.rgb = np.zeros((height, width, 3), dtype=np.uint8)
        self.depth = np.full((height, width), -1.0, dtype=np.float32)
