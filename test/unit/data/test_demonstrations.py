# SPDX-License-Identifier: Apache-2.0
"""Demonstrations are repeatable, honest about failures, and replayed from tracker poses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.core.se3 import quat_angle
from ocrrl_ros.core.symmetry import canonical_rotation, symmetry_group
from ocrrl_ros.data.demonstrations import record_demonstrations, record_episode
from ocrrl_ros.data.lerobot_dataset import LeRobotDataset
from ocrrl_ros.data.lerobot_layout import DemonstrationEpisode
from ocrrl_ros.data.replay import CLEARANCE_M, replay_demonstrations, replay_start
from ocrrl_ros.data.rig import DemonstrationRig, TICK_S
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.rotation import unspun
from ocrrl_ros.sim.domain import Domain, load_domain
from ocrrl_ros.sim.operator_config import OperatorConfig
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.tasks import get_task, known_tasks, Task
import pytest


def small_domain(name: str) -> Domain:
    """Return a domain whose camera is a quarter as wide, for speed."""
    domain = load_domain(name)
    camera = replace(
        domain.camera, width=160, height=120, fx_px=domain.camera.fx_px / 4,
        fy_px=domain.camera.fy_px / 4, cx_px=79.5, cy_px=59.5)
    return replace(domain, camera=camera)


def hurried_task() -> Task:
    """Return a task that ends before anyone can have done it."""
    task = get_task('cube_lift')
    task.horizon_s = 0.3
    return task


class SeeingRig(DemonstrationRig):
    """A rig whose tracker is replaced: the cube is seen 20 mm beside and 3 mm below its place."""

    def track_objects(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return the displaced truth."""
        offset = np.array([0.02, 0.0, -0.003, 0.0, 0.0, 0.0, 0.0])
        return {'cube': self.world.object_pose('cube') + offset}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record with the replaced tracker."""
    monkeypatch.setattr('ocrrl_ros.data.demonstrations.DemonstrationRig', SeeingRig)


@pytest.fixture(scope='module')
def rig():  # noqa: ANN201 (generator)
    """Return a small proxy world."""
    with SeeingRig(get_task('cube_lift'), small_domain('proxy'), load_physics()) as made:
        yield made


@pytest.fixture(scope='module')
def episode(rig: DemonstrationRig) -> DemonstrationEpisode:
    """Return attempt 0 of seed 0."""
    recorded = record_episode(rig, OperatorConfig(), 0, 0)
    assert recorded is not None
    return recorded


def test_attempt_is_fixed_by_seed_and_number(
        rig: DemonstrationRig, episode: DemonstrationEpisode) -> None:
    again = record_episode(rig, OperatorConfig(), 0, 0)
    for name in ('joints', 'action_poses', 'action_grippers', 'rgb'):
        np.testing.assert_array_equal(getattr(episode, name), getattr(again, name))
    assert episode.info == again.info


def test_actions_begin_at_the_measured_pose_and_lead_the_arm(
        episode: DemonstrationEpisode) -> None:
    np.testing.assert_allclose(episode.action_poses[0], episode.base_T_tcp[0], atol=2e-3)
    np.testing.assert_array_equal(episode.action_poses[0], episode.action_poses[1])
    assert episode.action_grippers[0] == 1.0 and episode.action_grippers[-1] == 0.0
    actual, wanted = episode.base_T_tcp[:, :3], episode.action_poses[:, :3]
    errors = [
        np.linalg.norm(actual[lag:] - wanted[:len(wanted) - lag], axis=1).mean()
        for lag in range(8)]
    assert 1 <= int(np.argmin(errors)) <= 5 and min(errors) < 0.01


def test_unfinished_attempts_are_dropped_and_too_many_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match='succeeded in 0 of 4 attempts'):
        record_demonstrations(
            hurried_task(), small_domain('proxy'), episodes=1, seed=0, out=tmp_path / 'set',
            physics=load_physics())


def test_recording_is_replayed_from_where_the_tracker_saw_the_cube(tmp_path: Path) -> None:
    task, physics = get_task('cube_lift'), load_physics()
    notes: list[str] = []
    recording = record_demonstrations(
        task, small_domain('proxy'), episodes=1, seed=0, out=tmp_path / 'proxy', physics=physics,
        progress=lambda done, total, note: notes.append(note))
    assert recording.episodes == 1 and notes[-1] == f'{recording.attempts} attempts'
    replay = replay_demonstrations(
        task, small_domain('sim'), dataset_path=tmp_path / 'proxy', out=tmp_path / 'sim',
        physics=physics)
    source, copy = (LeRobotDataset(tmp_path / name) for name in ('proxy', 'sim'))
    one, other = source.read_episode(0), copy.read_episode(0)
    np.testing.assert_array_equal(one.action_poses, other.action_poses)
    assert np.abs(one.rgb[0].astype(int) - other.rgb[0]).mean() > 3.0
    assert replay.episodes == 1 and other.info['success'] == bool(replay.successes)
    assert copy.description['replay_of']['sha256'] == source.sha256()
    assert round(1.0 / TICK_S) == copy.fps


def test_replay_starts_at_the_tracked_pose_free_of_the_table(
        rig: DemonstrationRig, episode: DemonstrationEpisode) -> None:
    start = replay_start(rig, episode, 0)
    tracked = np.array(episode.info['tracked_objects']['cube'])
    np.testing.assert_allclose(start.object_poses[0, :2], tracked[:2])
    assert start.object_poses[0, 2] == pytest.approx(
        rig.world.readout.half_extents[0, 2] + CLEARANCE_M, abs=1e-6)
    np.testing.assert_array_equal(start.q, episode.info['initial_q'])


def test_episode_without_tracker_pose_is_not_replayed(
        rig: DemonstrationRig, episode: DemonstrationEpisode) -> None:
    blind = replace(episode, info={'initial_q': episode.info['initial_q']})
    with pytest.raises(DatasetError, match='episode 3 does not say where cube was seen'):
        replay_start(rig, blind, 3)


@pytest.mark.parametrize('name, domain_name', [
    *((name, 'sim') for name in known_tasks()), ('cube_lift', 'proxy'), ('stand_cup', 'proxy')])
def test_tracker_sees_every_resting_object(name: str, domain_name: str) -> None:
    task, domain = get_task(name), load_domain(domain_name)
    with DemonstrationRig(task, domain, load_physics()) as full:
        rng = np.random.default_rng(0)
        full.start(task.sample_initial(rng, domain))
        found = full.track_objects(rng)
        truth = {item: full.world.object_pose(item) for item in task.object_ids}
    limit_m, limit_rad = (0.002, 0.04) if domain_name == 'sim' else (0.02, 0.06)
    assert set(truth) <= set(found)
    for item in truth:
        pose, symmetry = found[item], load_object(item).symmetry
        assert 0.0 < np.linalg.norm(pose[:3] - truth[item][:3]) < limit_m
        turned = canonical_rotation(pose[3:], symmetry_group(symmetry), truth[item][3:])
        if symmetry == 'revolution':
            turned = unspun(turned, truth[item][3:])
        assert quat_angle(turned, truth[item][3:]) < limit_rad


def test_drawer_is_replayed_as_far_open_as_it_was_seen(episode: DemonstrationEpisode) -> None:
    task, domain = get_task('close_drawer'), load_domain('sim')
    with DemonstrationRig(task, domain, load_physics()) as full:
        rng = np.random.default_rng(0)
        initial = task.sample_initial(rng, domain)
        full.start(initial)
        seen = full.track_objects(rng)
        np.testing.assert_array_equal(
            full.world.initial.joint_positions, initial.joint_positions)
        tracked = {name: pose.tolist() for name, pose in seen.items()}
        info = {**episode.info, 'tracked_objects': tracked}
        start = replay_start(full, replace(episode, info=info), 0)
        np.testing.assert_allclose(
            start.joint_positions, initial.joint_positions, atol=0.003)
        del tracked['drawer_closed']
        with pytest.raises(DatasetError, match='where drawer_closed was seen'):
            replay_start(full, replace(episode, info=info), 0)
