# SPDX-License-Identifier: Apache-2.0
"""How far the solid parts of a body are from the table, whatever its shape."""

from __future__ import annotations

import mujoco
import numpy as np


def lowest_point(model: mujoco.MjModel, data: mujoco.MjData, body: str) -> float:
    """
    Return the height in m, base frame, of the lowest point of a body's solid geoms.

    :param data: with geom poses of now (after ``mj_forward``).
    :param body: name of a body made of boxes and cylinders, as all task objects are.
    """
    number = model.body(body).id
    geoms = np.flatnonzero((model.geom_bodyid == number) & (model.geom_contype != 0))
    return min(data.geom_xpos[geom, 2] - _reach_down(model, data, geom) for geom in geoms)


def _reach_down(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> float:
    """Return how far a geom reaches below its centre, m."""
    down = np.abs(data.geom_xmat[geom].reshape(3, 3)[2])
    size = model.geom_size[geom]
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
        return float(down @ size)
    radius, half_length = size[0], size[1]
    return float(radius * np.sqrt(max(0.0, 1.0 - down[2] ** 2)) + half_length * down[2])
