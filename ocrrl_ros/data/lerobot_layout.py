# SPDX-License-Identifier: Apache-2.0
"""Names, columns and folder layout of a LeRobot v2.1 dataset as this package writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

CODEBASE_VERSION = 'v2.1'
CHUNK_SIZE = 1000
STATE_KEY = 'observation.state'
IMAGE_KEY = 'observation.images.color'
ACTION_KEY = 'action'
ANNOTATION_KEY = 'annotation.human.action.task_description'
#: In datasets that say it: 1 where a person had taken the arm over from the policy, else 0.
TAKEOVER_KEY = 'annotation.human.takeover'
DATA_PATH = 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet'
VIDEO_PATH = 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4'

_POSE_NAMES = ('tcp.x', 'tcp.y', 'tcp.z', 'tcp.qx', 'tcp.qy', 'tcp.qz', 'tcp.qw')
STATE_NAMES = tuple(f'fr3_joint{i}.pos' for i in range(1, 8)) + _POSE_NAMES + ('gripper',)
ACTION_NAMES = _POSE_NAMES + ('gripper',)
STATE_TCP = slice(7, 14)
STATE_GRIPPER = 14
ACTION_TCP = slice(0, 7)
ACTION_GRIPPER = 7

# Columns that LeRobot itself adds to every frame.
INDEX_COLUMNS = ('frame_index', 'episode_index', 'index', 'task_index')

MODALITY: dict[str, Any] = {
    'state': {
        'joint_position': {'start': 0, 'end': 7, 'original_key': STATE_KEY},
        'tcp_position': {'start': 7, 'end': 10, 'original_key': STATE_KEY},
        'tcp_rotation': {
            'start': 10, 'end': 14, 'rotation_type': 'quaternion', 'original_key': STATE_KEY},
        'gripper': {'start': 14, 'end': 15, 'range': [0.0, 1.0], 'original_key': STATE_KEY},
    },
    'action': {
        'tcp_position': {'start': 0, 'end': 3, 'absolute': True, 'original_key': ACTION_KEY},
        'tcp_rotation': {
            'start': 3, 'end': 7, 'absolute': True, 'rotation_type': 'quaternion',
            'original_key': ACTION_KEY},
        'gripper': {
            'start': 7, 'end': 8, 'absolute': True, 'range': [0.0, 1.0],
            'original_key': ACTION_KEY},
    },
    'video': {'color': {'original_key': IMAGE_KEY}},
    'annotation': {'human.action.task_description': {}},
}


@dataclass(frozen=True, kw_only=True)
class DemonstrationEpisode:
    """
    One demonstration, one row per 20 Hz tick.

    Action i is the absolute TCP target and gripper command that was in force from the instant
    of observation i on. Poses are ``base_T_tcp`` in metres and scalar-last quaternions; the
    gripper is 0 closed to 1 open.
    """

    instruction: str = field(metadata={'description': 'what the operator was asked to do'})
    joints: np.ndarray = field(metadata={'description': 'measured joint positions (L, 7), rad'})
    base_T_tcp: np.ndarray = field(metadata={'description': 'measured TCP poses (L, 7)'})
    opening: np.ndarray = field(metadata={'description': 'measured gripper opening (L,)'})
    action_poses: np.ndarray = field(metadata={'description': 'commanded TCP poses (L, 7)'})
    action_grippers: np.ndarray = field(metadata={'description': 'gripper commands (L,)'})
    rgb: np.ndarray = field(metadata={'description': 'colour frames (L, H, W, 3) uint8'})
    takeover: np.ndarray | None = field(default=None, metadata={'description': (
        'ticks (L,) bool in which a person had taken over; None: the dataset does not say')})
    info: dict[str, Any] = field(
        default_factory=dict, metadata={'description': 'what else is known of the episode'})

    @property
    def length(self) -> int:
        """Return the number of ticks."""
        return len(self.action_poses)

    def state_rows(self) -> np.ndarray:
        """Return ``observation.state`` (L, 15) float32."""
        return np.concatenate(
            [self.joints, self.base_T_tcp, self.opening[:, None]], axis=1).astype(np.float32)

    def action_rows(self) -> np.ndarray:
        """Return ``action`` (L, 8) float32."""
        return np.concatenate(
            [self.action_poses, self.action_grippers[:, None]], axis=1).astype(np.float32)


def data_file(root: Path, episode: int) -> Path:
    """Return the parquet file of an episode."""
    return root / DATA_PATH.format(episode_chunk=episode // CHUNK_SIZE, episode_index=episode)


def video_file(root: Path, episode: int, video_key: str = IMAGE_KEY) -> Path:
    """Return the mp4 file of an episode's camera."""
    return root / VIDEO_PATH.format(
        episode_chunk=episode // CHUNK_SIZE, episode_index=episode, video_key=video_key)


def feature_table(
        height: int, width: int, fps: float, *, marks_takeover: bool = False) -> dict[str, Any]:
    """
    Return the ``features`` entry of info.json for frames of the given size.

    :param marks_takeover: whether frames say that a person had taken over.
    """
    table: dict[str, Any] = {
        STATE_KEY: {'dtype': 'float32', 'shape': [len(STATE_NAMES)], 'names': list(STATE_NAMES)},
        ACTION_KEY: {
            'dtype': 'float32', 'shape': [len(ACTION_NAMES)], 'names': list(ACTION_NAMES)},
        IMAGE_KEY: {
            'dtype': 'video', 'shape': [height, width, 3],
            'names': ['height', 'width', 'channels'],
            'info': {
                'video.fps': fps, 'video.height': height, 'video.width': width,
                'video.channels': 3, 'video.codec': 'h264', 'video.pix_fmt': 'yuv420p',
                'video.is_depth_map': False, 'has_audio': False}},
        'timestamp': {'dtype': 'float32', 'shape': [1], 'names': None},
    }
    for key in (
            *INDEX_COLUMNS, ANNOTATION_KEY, *([TAKEOVER_KEY] if marks_takeover else [])):
        table[key] = {'dtype': 'int64', 'shape': [1], 'names': None}
    return table


def folder_sha256(root: Path) -> str:
    """Return one hash over the names and bytes of every file below a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob('*') if path.is_file()):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
