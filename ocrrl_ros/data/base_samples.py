# SPDX-License-Identifier: Apache-2.0
"""Turn demonstrations into the inputs and targets that a base policy is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.core.se3 import rotation_6d
from ocrrl_ros.data.lerobot_dataset import LeRobotDataset
from ocrrl_ros.data.lerobot_layout import DemonstrationEpisode
from ocrrl_ros.policy.adapters.onnx_policy import proprioception, resize_images
from ocrrl_ros.policy.base_policy import HORIZON, STEP_S
from ocrrl_ros.policy.instruction import embed_instruction


@dataclass(frozen=True)
class BaseSamples:
    """
    F observations with their targets; row f of every array belongs to the same instant.

    :param images: (F, 96, 128, 3) uint8.
    :param proprio: (F, 11) float32.
    :param instructions: (F, 64) float32.
    :param chunks: (F, 16, 10) float32, absolute position, rotation_6d and opening of the
        recorded actions at the observation's instant + i * 0.05 s; the last one is repeated.
    :param switches: (F, 9) float32, position and rotation_6d of the action at which the gripper
        command next changes; NaN where it changes no more.
    :param episodes: (F,) episode of each row.
    :param tasks: (F,) name of the task of each row.
    """

    images: np.ndarray
    proprio: np.ndarray
    instructions: np.ndarray
    chunks: np.ndarray
    switches: np.ndarray
    episodes: np.ndarray
    tasks: np.ndarray

    def __len__(self) -> int:
        """Return F."""
        return len(self.episodes)

    def of_episodes(self, numbers: np.ndarray) -> BaseSamples:
        """Return the rows of some episodes."""
        rows = np.isin(self.episodes, numbers)
        return BaseSamples(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def chunk_targets(poses: np.ndarray, grippers: np.ndarray) -> np.ndarray:
    """
    Return the chunk (L, 16, 10) that starts at each frame.

    :param poses: (L, 7) actions, one per 0.05 s.
    :param grippers: (L,) gripper commands.
    """
    points = np.concatenate([poses[:, :3], rotation_6d(poses[:, 3:]), grippers[:, None]], axis=1)
    rows = np.arange(len(points))[:, None] + np.arange(HORIZON)[None]
    return points[np.minimum(rows, len(points) - 1)].astype(np.float32)


def switch_targets(poses: np.ndarray, grippers: np.ndarray) -> np.ndarray:
    """Return position and rotation_6d (L, 9) of the action at the next gripper change, or NaN."""
    closed = grippers < 0.5
    changes = np.flatnonzero(closed[1:] != closed[:-1]) + 1
    targets = np.full((len(poses), 9), np.nan, dtype=np.float32)
    points = np.concatenate([poses[:, :3], rotation_6d(poses[:, 3:])], axis=1)
    for start, change in zip(np.concatenate([[0], changes[:-1]]), changes):
        targets[start:change] = points[change]
    return targets


def episode_samples(episode: DemonstrationEpisode, number: int, task: str) -> BaseSamples:
    """Return the samples of one episode of a task, one per frame."""
    embedding = embed_instruction(episode.instruction)
    return BaseSamples(
        images=resize_images(episode.rgb),
        proprio=proprioception(episode.base_T_tcp, episode.opening),
        instructions=np.tile(embedding, (episode.length, 1)),
        chunks=chunk_targets(episode.action_poses, episode.action_grippers),
        switches=switch_targets(episode.action_poses, episode.action_grippers),
        episodes=np.full(episode.length, number), tasks=np.full(episode.length, task))


def load_samples(
        datasets: Sequence[LeRobotDataset],
        progress: Callable[[int, int], None] = lambda done, total: None) -> BaseSamples:
    """
    Read every episode of some datasets; episodes are counted through all of them.

    :param progress: called with episodes read and episodes in all.
    :raises DatasetError: anything missing or wrong, or a rate other than one action per 0.05 s.
    """
    for dataset in datasets:
        if abs(dataset.fps * STEP_S - 1.0) > 1e-9:
            raise DatasetError(
                f'{dataset.root} has {dataset.fps} actions per second; '
                f'allowed: {1.0 / STEP_S:.0f}')
    total = sum(map(len, datasets))
    parts: list[BaseSamples] = []
    for dataset in datasets:
        for number in range(len(dataset)):
            parts.append(episode_samples(
                dataset.read_episode(number), len(parts), dataset.description['task']))
            progress(len(parts), total)
    return join_samples(parts)


def join_samples(parts: Sequence[BaseSamples]) -> BaseSamples:
    """Return the rows of all parts in order."""
    return BaseSamples(*(
        np.concatenate([getattr(part, name) for part in parts])
        for name in BaseSamples.__dataclass_fields__))
