# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of a hand that touches a red dot, for tests of training a base policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ocrrl_ros.data.base_samples import BaseSamples, load_samples
from ocrrl_ros.data.lerobot_dataset import LeRobotDataset
from ocrrl_ros.data.lerobot_layout import DemonstrationEpisode
from ocrrl_ros.data.lerobot_writer import LeRobotWriter


def dot_episode(seed: int, length: int = 20) -> DemonstrationEpisode:
    """Return a hand that goes to where a red dot is in the picture, and closes there."""
    rng = np.random.default_rng(seed)
    row, column = rng.integers(10, 80), rng.integers(10, 110)
    rgb = np.full((length, 96, 128, 3), 40, dtype=np.uint8)
    rgb[:, row:row + 6, column:column + 6] = (220, 30, 30)
    goal = np.array([0.3 + row / 400, (column - 64) / 400, 0.02])
    share = np.linspace(0, 1, length)[:, None]
    poses = np.tile([1.0, 0.0, 0.0, 0.0], (length, 1))
    poses = np.concatenate([(1 - share) * [0.3, 0.0, 0.4] + share * goal, poses], axis=1)
    grippers = (share[:, 0] < 0.8).astype(float)
    return DemonstrationEpisode(
        instruction='touch the dot', joints=np.zeros((length, 7)), base_T_tcp=poses,
        opening=grippers, action_poses=poses, action_grippers=grippers, rgb=rgb)


def write_dataset(
        root: Path, episodes: int = 5, task: str = 'cube_lift', domain: str = 'sim') -> Path:
    """Write a dataset of dot episodes."""
    with LeRobotWriter(
            root, fps=20, image_size=(96, 128),
            description={'task': task, 'seed': 0, 'domain': domain}) as writer:
        for seed in range(episodes):
            writer.save_episode(dot_episode(seed))
    return root


def dot_samples(root: Path) -> BaseSamples:
    """Return the samples of a new dataset of five dot episodes."""
    return load_samples([LeRobotDataset(write_dataset(root))])
