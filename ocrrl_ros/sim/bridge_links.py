# SPDX-License-Identifier: Apache-2.0
"""Where the links of the arm and the hand are, each seen from its parent, as tf wants it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from ocrrl_ros.core.resources import model_path
import pinocchio as pin


class LinkPose(NamedTuple):
    """Pose (7,) of a link in the frame of its parent link."""

    parent: str
    child: str
    parent_T_child: np.ndarray


class LinkTree:
    """Links of the URDF, fingers included; one object serves one thread."""

    def __init__(self, urdf_path: Path | str | None = None):
        """Load the model; the FR3's by default."""
        self._model = pin.buildModelFromUrdf(
            str(urdf_path or model_path('fr3', 'fr3.urdf')))
        self._data = self._model.createData()
        self._moving, self._fixed = [], []
        frames = self._model.frames
        for index, frame in enumerate(frames):
            # A link's frame hangs on its joint's, and that one on the parent link's.
            joint = frames[frame.parentFrame]
            if frame.type is pin.FrameType.BODY and frame.parentFrame > 0:
                is_fixed = joint.type is pin.FrameType.FIXED_JOINT
                (self._fixed if is_fixed else self._moving).append((joint.parentFrame, index))

    def moving(self, q: np.ndarray, finger_positions: np.ndarray) -> list[LinkPose]:
        """
        Return the links that joints move.

        :param q: arm joint positions (7,) in rad.
        :param finger_positions: (2,) in m.
        """
        return self._poses(self._moving, np.concatenate([q, finger_positions]))

    def fixed(self) -> list[LinkPose]:
        """Return the links that are fixed to their parents."""
        return self._poses(self._fixed, pin.neutral(self._model))

    def _poses(self, pairs: list[tuple[int, int]], q: np.ndarray) -> list[LinkPose]:
        """Return the poses of (parent frame, frame) pairs at joint positions (9,)."""
        pin.framesForwardKinematics(self._model, self._data, q)
        frames, placements = self._model.frames, self._data.oMf
        return [
            LinkPose(frames[parent].name, frames[child].name, pin.SE3ToXYZQUAT(
                placements[parent].actInv(placements[child])))
            for parent, child in pairs]
