# SPDX-License-Identifier: Apache-2.0
"""A residual that sees the camera's picture, and the controller that shows it the newest one."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.bundle import Bundle
from ocrrl_ros.core.errors import BundleError
from ocrrl_ros.core.onnx_session import create_session
from ocrrl_ros.core.se3 import pose_identity
from ocrrl_ros.policy.action_hold import ResidualRate
from ocrrl_ros.policy.adapters.onnx_policy import resize_images
from ocrrl_ros.policy.composition import ACTION_SIZE, ResidualBounds
from ocrrl_ros.policy.controller import ResidualController
from ocrrl_ros.policy.gate import GATE_FILE
from ocrrl_ros.policy.image_observation import ImageLayout
from ocrrl_ros.policy.object_poses import ObjectPoseBuffer, ObjectView
from ocrrl_ros.policy.residual import bounds_of, checked_action

NO_OBJECTS = ObjectView(
    poses=np.zeros((1, 0, 7)), valid=np.zeros((1, 0), bool), age_s=np.zeros((1, 0)))


class ImageResidualNetwork:
    """Maps observations (N, D) and pictures (N, H, W, 3) uint8 to actions (N, 7) in [-1, 1]."""

    acts_per: ResidualRate = 'tick'

    def __init__(self, session, layout: ImageLayout, bounds: ResidualBounds):
        """
        Take an open session.

        :raises BundleError: its inputs are not `observation` and `image` of the layout's sizes.
        """
        self.layout, self.bounds = layout, bounds
        self._session = session
        found = {item.name: list(item.shape[1:]) for item in session.get_inputs()}
        needed = {'observation': [layout.size], 'image': list(layout.image_shape)}
        if found != needed:
            raise BundleError(f'policy.onnx has inputs {found}; the layout has {needed}')
        self._output = session.get_outputs()[0].name

    @classmethod
    def from_bundle(cls, bundle: Bundle, layout: ImageLayout) -> ImageResidualNetwork:
        """
        Open a residual bundle.

        :raises BundleError: the model or its action scale cannot be used, it has a gate, which
            would not see what the residual sees, or it is to answer once per chunk.
        """
        if bundle.manifest.acts_per != cls.acts_per:
            raise BundleError(
                f'{bundle.path} sees images and has acts_per {bundle.manifest.acts_per!r}; '
                f'allowed: {cls.acts_per!r}')
        if GATE_FILE in bundle.manifest.files:
            raise BundleError(
                f'{bundle.path} sees images and holds {GATE_FILE}; allowed: no gate')
        session = create_session(bundle.read('policy.onnx'), name=str(bundle.path / 'policy.onnx'))
        return cls(session, layout, bounds_of(bundle))

    def act(self, observation: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return actions (N, 7) in [-1, 1]."""
        return self._session.run(
            [self._output], {'observation': observation.astype(np.float32), 'image': images})[0]


class ImageResidualController(ResidualController):
    """
    The deployment logic of a residual that sees the newest picture of the base policy's camera.

    Object poses play no part. A camera that falls silent is treated as poses that are lost: the
    last picture counts for the same time, then the residual's gain ramps to zero.
    """

    layout: ImageLayout

    def __init__(self, *arguments, **keywords):
        """Start idle and without a picture."""
        super().__init__(*arguments, **keywords)
        # The camera takes the place of the one object that must be seen.
        self._objects = ObjectPoseBuffer(1, 1, self.config.object_poses)
        self._picture: np.ndarray | None = None
        self._picture_s = -np.inf

    def on_image(self, rgb: np.ndarray, stamp_s: float) -> None:
        """
        Take a colour image (H, W, 3) uint8; one older than the last is ignored.

        :raises InputError: the image is not 4:3 or smaller than what the network takes, or
            stamped ahead of the clock.
        """
        self._clock.check('picture', stamp_s)
        if stamp_s <= self._picture_s:
            return
        layout = self.layout
        self._picture = resize_images(rgb[None], layout.width, layout.height)
        self._picture_s = stamp_s
        self._objects.update(0, 0, pose_identity(), stamp_s)

    def on_object_pose(
            self, object_id: str, base_T_object: np.ndarray, covariance: np.ndarray,
            stamp_s: float) -> None:
        """Ignore object poses: this residual was trained without."""

    def _forget(self, now_s: float) -> None:
        """Drop the picture, too; the gain waits for a new one."""
        super()._forget(now_s)
        self._picture, self._picture_s = None, -np.inf

    def _view(self, now_s: float) -> tuple[ObjectView, float]:
        """Return no objects, and the gain that the camera's silence leaves."""
        return NO_OBJECTS, super()._view(now_s)[1]

    def _answer(self, observation: np.ndarray) -> np.ndarray:
        """Return the network's action (7,), zero before the first picture."""
        if self._picture is None:
            return np.zeros(ACTION_SIZE)
        return checked_action(self._residual.act(observation, self._picture))
