# SPDX-License-Identifier: Apache-2.0
"""The embedded base policy: a small image and language conditioned chunk network in ONNX."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
from ocrrl_ros.core.bundle import Bundle, hash_layout
from ocrrl_ros.core.errors import BundleError, InputError, MissingDependencyError
from ocrrl_ros.core.onnx_session import create_session
from ocrrl_ros.core.se3 import pose, quat_from_rotation_6d, rotation_6d
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy, ChunkBatch, HORIZON
from ocrrl_ros.policy.instruction import embed_instruction

IMAGE_HEIGHT = 96
IMAGE_WIDTH = 128
PROPRIOCEPTION_SIZE = 11
POINT_SIZE = 10


def base_layout(*, draws_noise: bool = False) -> dict[str, Any]:
    """
    Return the input and output format that a base bundle's layout hash stands for.

    :param draws_noise: whether the network samples its chunk, from noise that it is given.
    """
    noise = {'noise': ['standard normal', HORIZON, POINT_SIZE]} if draws_noise else {}
    return {
        'version': 1,
        'image': ['rgb', 3, IMAGE_HEIGHT, IMAGE_WIDTH, 'area', 'float32 0..1'],
        'proprio': ['base_tcp_position 3', 'base_tcp_rotation_6d 6', 'gripper_opening', 'one'],
        'instruction': 'hashed words, 64',
        'chunk': ['base_tcp_position 3', 'rotation_6d 6', 'gripper_opening'],
        'horizon': BasePolicy.horizon,
        'step_s': BasePolicy.step_s,
        **noise,
    }


def draw_noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return noise (N, 16, 10) float32 for networks that sample."""
    return rng.standard_normal((count, HORIZON, POINT_SIZE), dtype=np.float32)


def resize_images(
        rgb: np.ndarray, width: int = IMAGE_WIDTH, height: int = IMAGE_HEIGHT) -> np.ndarray:
    """
    Shrink camera images (N, H, W, 3) uint8 to a network's (N, height, width, 3) by area mean.

    :param width: px, 4:3 with the height; those of the base policy by default.

    :raises InputError: the images are not 4:3 colour images of at least that size.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError(
            'OpenCV (scales camera images)', 'pip install opencv-python-headless') from error
    n, rows, columns, channels = rgb.shape
    if channels != 3 or rows * 4 != columns * 3 or rows < height:
        raise InputError(
            f'camera image is {columns}x{rows} with {channels} channels; allowed: 4:3 colour '
            f'of at least {width}x{height}')
    if (rows, columns) == (height, width):
        return rgb
    return np.stack([
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in rgb])


def proprioception(base_T_tcp: np.ndarray, gripper: np.ndarray) -> np.ndarray:
    """Return what the network is told of the arm and gripper, (N, 11) float32."""
    return np.concatenate(
        [
            base_T_tcp[:, :3],
            rotation_6d(base_T_tcp[:, 3:]),
            np.asarray(gripper)[:, None],
            np.ones((len(base_T_tcp), 1)),
        ],
        axis=1).astype(np.float32)


class OnnxBasePolicy(BasePolicy):
    """
    Runs a base bundle with onnxruntime.

    A bundle whose layout has ``noise`` samples: every plan of every robot gets noise of its own
    from the generator that ``drawing_from`` was given. Fresh noise each time, because an arm
    that a plan told to wait would see the same picture and, with the same noise, wait for ever.
    """

    needs_images = True

    def __init__(self, session, sha256: str = '', *, draws_noise: bool = False):
        """
        Take an open session whose inputs are ``image``, ``proprio`` and ``instruction``.

        :param draws_noise: whether ``noise`` is an input as well.
        """
        self.sha256 = sha256
        self.draws_noise = draws_noise
        self._rng: np.random.Generator | None = None
        self._session = session
        self._embed = functools.lru_cache(maxsize=256)(embed_instruction)

    @classmethod
    def from_bundle(cls, bundle: Bundle, threads: int = 1) -> OnnxBasePolicy:
        """
        Open a base bundle.

        :raises BundleError: the model's inputs are not those of ``base_layout``.
        """
        draws_noise = 'noise' in bundle.manifest.layout
        expected = hash_layout(base_layout(draws_noise=draws_noise))
        if bundle.manifest.layout_hash != expected:
            raise BundleError(
                f'{bundle.path} has input layout {bundle.manifest.layout_hash[:12]}; this '
                f'program feeds {expected[:12]}')
        session = create_session(
            bundle.read('policy.onnx'), threads, name=str(bundle.path / 'policy.onnx'))
        names = sorted(item.name for item in session.get_inputs())
        needed = ['image', 'instruction', *(['noise'] if draws_noise else []), 'proprio']
        if names != needed:
            raise BundleError(
                f'{bundle.path}: policy.onnx has inputs {names}; needed: {needed}')
        return cls(session, bundle.sha256, draws_noise=draws_noise)

    def drawing_from(self, rng: np.random.Generator) -> OnnxBasePolicy:
        """Return this policy, or where it samples one on the same session that draws from rng."""
        if not self.draws_noise:
            return self
        policy = copy.copy(self)
        policy._rng = rng
        return policy

    def infer(self, inputs: BaseInputs) -> ChunkBatch:
        """
        Return one chunk per robot.

        :raises InputError: images or a generator are missing, or the network answers with NaN.
        """
        if inputs.rgb is None:
            raise InputError('the base policy needs camera images; BaseInputs.rgb is None')
        image = resize_images(inputs.rgb).transpose(0, 3, 1, 2).astype(np.float32) / 255.0
        feed = {
            'image': np.ascontiguousarray(image),
            'proprio': proprioception(inputs.base_T_tcp, inputs.gripper),
            'instruction': np.stack([self._embed(text) for text in inputs.instructions]),
        }
        if self.draws_noise:
            if self._rng is None:
                raise InputError(
                    'the base policy samples its chunks and has no generator: drawing_from gives '
                    'it one')
            feed['noise'] = draw_noise(self._rng, len(inputs))
        chunk = self._session.run(['chunk'], feed)[0].astype(float)
        if not np.isfinite(chunk).all():
            raise InputError('the base policy returned a chunk with NaN or infinite numbers')
        poses = pose(chunk[..., :3], quat_from_rotation_6d(chunk[..., 3:9]))
        return ChunkBatch(poses, np.clip(chunk[..., 9], 0.0, 1.0))
