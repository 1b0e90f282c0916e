# SPDX-License-Identifier: Apache-2.0
"""Replay recorded actions in another domain, from where the tracker saw the objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.data.demonstrations import Track
from ocrrl_ros.data.lerobot_dataset import LeRobotDataset
from ocrrl_ros.data.lerobot_layout import DemonstrationEpisode
from ocrrl_ros.data.lerobot_writer import LeRobotWriter
from ocrrl_ros.data.rig import closed_id, DemonstrationRig
from ocrrl_ros.sim.clearance import lowest_point
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.tasks import Task
from ocrrl_ros.sim.truth import InitialState

Progress = Callable[[int, int, str], None]
SETTLE_S = 0.3
CLEARANCE_M = 0.0005


@dataclass(frozen=True)
class Replay:
    """How many of the replayed episodes ended with the task done; all of them are kept."""

    episodes: int
    successes: int


def replay_demonstrations(
        task: Task, domain: Domain, *, dataset_path: Path, out: Path, physics: PhysicsConfig,
        progress: Progress = lambda done, total, note: None) -> Replay:
    """
    Execute the actions of every episode in ``domain`` and record what is seen there.

    Objects start where the tracker saw them when the episode was recorded, never at the
    recording world's truth, as with a real robot. Failed replays are kept. An interrupted
    replay continues when called again with the same arguments.

    :raises DatasetError: the dataset is unreadable, of another task, or lacks tracker poses.
    """
    source = LeRobotDataset(dataset_path, task=task.name)
    description = {
        'task': task.name, 'domain': domain.name, 'domain_sha256': domain.sha256(),
        'seed': source.description.get('seed'), 'source': 'replay',
        'replay_of': {**source.description, 'sha256': source.sha256()}}
    with DemonstrationRig(task, domain, physics) as rig, LeRobotWriter(
            out, fps=source.fps, image_size=rig.image_size, description=description) as writer:
        for number in range(writer.episodes, len(source)):
            recorded = source.read_episode(number, images=False)
            writer.save_episode(replay_episode(rig, recorded, number))
            done = sum(extra['success'] for extra in writer.extras)
            progress(number + 1, len(source), f'{done} of {number + 1} succeeded')
        return Replay(writer.episodes, sum(extra['success'] for extra in writer.extras))


def replay_episode(
        rig: DemonstrationRig, recorded: DemonstrationEpisode,
        number: int) -> DemonstrationEpisode:
    """Return the same actions with what this world shows and measures while they run."""
    rig.start(replay_start(rig, recorded, number), settle_s=SETTLE_S)
    poses, grippers = recorded.action_poses, recorded.action_grippers
    track, last, success = Track(), recorded.length - 1, False
    for tick in range(recorded.length):
        track.add(rig.observe(), poses[tick], grippers[tick])
        state = rig.drive(
            grippers[tick], poses[min(tick + 1, last)], poses[min(tick + 2, last)])
        success = success or rig.succeeded(state)
    return track.episode(recorded.instruction, {
        'success': success, 'replay_of_episode': number,
        'init_sha256': rig.world.init_sha256})


def replay_start(
        rig: DemonstrationRig, recorded: DemonstrationEpisode, number: int) -> InitialState:
    """
    Return the recorded arm with the objects at their tracked poses.

    An object that the tracker saw below the table is raised until it is free of it. A drawer is
    put between where it was seen shut and where it was seen open.

    :raises DatasetError: the episode does not say where an object was seen.
    """
    tracked = recorded.info.get('tracked_objects', {})
    wanted = list(rig.task.object_ids)
    wanted += [closed_id(item.object_id) for item in rig.task.objects if not item.is_free]
    missing = [name for name in wanted if name not in tracked]
    if missing:
        raise DatasetError(
            f'episode {number} does not say where {", ".join(missing)} was seen; '
            'record it with a tracker')
    seen = {name: np.array(pose, dtype=float) for name, pose in tracked.items()}
    joints = np.zeros(0)
    for item in rig.task.objects:
        if not item.is_free:
            joints = item.shape.joints_between(
                seen[item.object_id], seen[closed_id(item.object_id)])
            seen[item.object_id] = item.shape.pose(joints)
    start = InitialState(
        q=np.asarray(recorded.info['initial_q'], dtype=float),
        opening=float(recorded.info['initial_opening']),
        object_poses=np.array([seen[name] for name in rig.task.object_ids]),
        joint_positions=joints)
    return _above_table(rig, start)


def _above_table(rig: DemonstrationRig, start: InitialState) -> InitialState:
    """Return the start with free objects raised until they are clear of the table."""
    rig.world.reset_to(start)
    poses = start.object_poses.copy()
    for index, item in enumerate(rig.task.objects):
        if item.is_free:
            low = lowest_point(rig.world.model, rig.world.data, item.object_id)
            poses[index, 2] += max(0.0, CLEARANCE_M - low)
    return replace(start, object_poses=poses)
