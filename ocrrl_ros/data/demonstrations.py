# SPDX-License-Identifier: Apache-2.0
"""Record demonstrations of the scripted operator as a LeRobot dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.data.lerobot_layout import DemonstrationEpisode
from ocrrl_ros.data.lerobot_writer import LeRobotWriter
from ocrrl_ros.data.rig import DemonstrationRig, Observation, TICK_S
from ocrrl_ros.sim.domain import Domain
from ocrrl_ros.sim.operator_config import OperatorConfig
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.place_operator import operator_for
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import Task
from ocrrl_ros.sim.teleoperator import OperatorView

Progress = Callable[[int, int, str], None]
MAX_ATTEMPTS_PER_EPISODE = 4


@dataclass
class Track:
    """Rows of one episode while it is being recorded; row k belongs to tick k."""

    joints: list[np.ndarray] = field(default_factory=list)
    base_T_tcp: list[np.ndarray] = field(default_factory=list)
    opening: list[float] = field(default_factory=list)
    rgb: list[np.ndarray] = field(default_factory=list)
    action_poses: list[np.ndarray] = field(default_factory=list)
    action_grippers: list[float] = field(default_factory=list)

    def add(self, seen: Observation, action_pose: np.ndarray, action_gripper: float) -> None:
        """Append one tick."""
        self.joints.append(seen.joints)
        self.base_T_tcp.append(seen.base_T_tcp)
        self.opening.append(seen.opening)
        self.rgb.append(seen.rgb)
        self.action_poses.append(action_pose)
        self.action_grippers.append(action_gripper)

    def episode(self, instruction: str, info: dict[str, Any]) -> DemonstrationEpisode:
        """Return the finished episode."""
        return DemonstrationEpisode(instruction=instruction, info=info, **{
            name: np.asarray(rows) for name, rows in vars(self).items()})


@dataclass(frozen=True)
class Recording:
    """What a recording produced: ``attempts`` - ``episodes`` were failures and not kept."""

    episodes: int
    attempts: int
    frames: int


def record_demonstrations(
        task: Task, domain: Domain, *, episodes: int, seed: int, out: Path,
        physics: PhysicsConfig, operator: OperatorConfig | None = None,
        progress: Progress = lambda done, total, note: None) -> Recording:
    """
    Record successful demonstrations; failed attempts are dropped and counted.

    An interrupted recording continues when called again with the same arguments.

    :param episodes: successful demonstrations to have in the end.
    :param seed: dataset seed; attempt number and seed fix everything random.
    :param out: dataset folder.
    :param progress: called with episodes done, episodes in all and a note.
    :raises DatasetError: the operator fails far too often, or the folder holds something else.
    """
    operator = operator or OperatorConfig()
    description = {
        'task': task.name, 'domain': domain.name, 'domain_sha256': domain.sha256(), 'seed': seed,
        'source': 'scripted operator', 'operator': to_mapping(operator), 'tick_s': TICK_S}
    with DemonstrationRig(task, domain, physics) as rig, LeRobotWriter(
            out, fps=round(1.0 / TICK_S), image_size=rig.image_size,
            description=description) as writer:
        attempt = writer.extras[-1]['attempt'] + 1 if writer.extras else 0
        while writer.episodes < episodes:
            if attempt >= MAX_ATTEMPTS_PER_EPISODE * episodes:
                raise DatasetError(
                    f'the operator succeeded in {writer.episodes} of {attempt} attempts in '
                    f'domain {domain.name!r}; that is no demonstrator')
            episode = record_episode(rig, operator, seed, attempt)
            if episode is not None:
                writer.save_episode(episode)
            attempt += 1
            progress(writer.episodes, episodes, f'{attempt} attempts')
        attempts = writer.extras[-1]['attempt'] + 1 if writer.extras else 0
        return Recording(writer.episodes, attempts, writer.frames)


def record_episode(
        rig: DemonstrationRig, config: OperatorConfig, seed: int,
        attempt: int) -> DemonstrationEpisode | None:
    """
    Let the operator try once; return the episode, or None when the task was not done in time.

    The operator's hand leads: the command for tick k + 2 is given at tick k, so the arm always
    knows the next two targets, as it does when it executes a chunk.
    """
    streams = episode_rngs(rig.task.name, rig.domain.name, seed, attempt)
    initial = rig.task.sample_initial(streams.initial, rig.domain)
    rig.start(initial)
    try:
        tracked = rig.track_objects(streams.sensor)
    except DatasetError:
        return None
    operator = operator_for(rig.task, streams.base, tick_s=TICK_S, config=config)
    start = rig.kinematics.forward(initial.q)
    poses, grippers = [start, start], [initial.opening, initial.opening]
    track = Track()
    name = rig.task.object_ids[0]
    for tick in range(round(rig.task.horizon_s / TICK_S)):
        seen = rig.observe()
        command = operator.act(
            OperatorView(
                seen.base_T_tcp, seen.opening, rig.world.object_pose(name),
                rig.world.task_state()))
        poses.append(command.base_T_tcp)
        grippers.append(command.gripper)
        track.add(seen, poses[tick], grippers[tick])
        state = rig.drive(grippers[tick], poses[tick + 1], poses[tick + 2])
        if rig.succeeded(state):
            return track.episode(rig.task.instruction, {
                'attempt': attempt, 'success': True, 'regrasps': operator.regrasps,
                'initial_q': initial.q.tolist(), 'initial_opening': initial.opening,
                'init_sha256': rig.world.init_sha256,
                'tracked_objects': {key: value.tolist() for key, value in tracked.items()},
                'tracker_error_mm': tracker_error_mm(
                    tracked, rig.task.object_ids, initial.object_poses)})
        if rig.task.failed(state)[0]:
            return None
    return None


def tracker_error_mm(
        tracked: dict[str, np.ndarray], object_ids: tuple[str, ...],
        true_poses: np.ndarray) -> dict[str, float]:
    """Return how far the tracker was off, for the report; the truth itself is not recorded."""
    return {
        name: float(1000.0 * np.linalg.norm(tracked[name][:3] - true[:3]))
        for name, true in zip(object_ids, true_poses)}
