# SPDX-License-Identifier: Apache-2.0
"""A dataset is read back as it was written, and every defect is named with its frame."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.data import lerobot_layout as layout
from ocrrl_ros.data.lerobot_dataset import LeRobotDataset
from ocrrl_ros.data.lerobot_writer import LeRobotWriter
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SIZE = (48, 64)
DESCRIPTION = {'task': 'cube_lift', 'domain': 'proxy', 'seed': 0}


def make_episode(seed: int = 0, length: int = 12) -> layout.DemonstrationEpisode:
    """Return an episode of smooth images and random but valid numbers."""
    rng = np.random.default_rng(seed)
    quaternions = rng.normal(size=(length, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    poses = np.concatenate([rng.uniform(0, 0.5, (length, 3)), quaternions], axis=1)
    ramp = np.linspace(0, 255, SIZE[1])[None, None, :, None]
    shade = np.linspace(0.2, 1.0, length)[:, None, None, None]
    rgb = np.broadcast_to(ramp * shade, (length, *SIZE, 3)).astype(np.uint8)
    return layout.DemonstrationEpisode(
        instruction='lift the cube', joints=rng.normal(size=(length, 7)), base_T_tcp=poses,
        opening=rng.uniform(size=length), action_poses=poses[::-1].copy(),
        action_grippers=(np.arange(length) < length // 2).astype(float), rgb=rgb,
        info={'seed': seed})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a dataset of three episodes."""
    root = tmp_path / 'set'
    with LeRobotWriter(root, fps=20, image_size=SIZE, description=DESCRIPTION) as writer:
        for seed in range(3):
            writer.save_episode(make_episode(seed, length=10 + seed))
    return root


def rewrite(root: Path, episode: int, change) -> None:  # noqa: ANN001
    """Apply a change to the dictionary of columns of one episode."""
    path = layout.data_file(root, episode)
    columns = pq.read_table(path).to_pydict()
    change(columns)
    pq.write_table(pa.table(columns), path)


def test_episodes_are_read_back_as_written(folder: Path) -> None:
    dataset = LeRobotDataset(folder, task='cube_lift')
    assert len(dataset) == 3 and dataset.fps == 20 and dataset.image_size == SIZE
    for seed in range(3):
        written, found = make_episode(seed, length=10 + seed), dataset.read_episode(seed)
        assert found.instruction == 'lift the cube' and found.info['seed'] == seed
        for name in ('joints', 'base_T_tcp', 'opening', 'action_poses', 'action_grippers'):
            np.testing.assert_allclose(getattr(found, name), getattr(written, name), atol=1e-6)
        error = np.abs(found.rgb.astype(float) - written.rgb)
        assert error.mean() < 2.0


def test_layout_is_lerobot_v21_with_modality(folder: Path) -> None:
    info = json.loads((folder / 'meta/info.json').read_text())
    assert info['codebase_version'] == 'v2.1'
    assert info['total_episodes'] == 3 and info['total_frames'] == 10 + 11 + 12
    assert info['splits'] == {'train': '0:3'}
    assert (folder / 'data/chunk-000/episode_000002.parquet').is_file()
    assert (folder / f'videos/chunk-000/{layout.IMAGE_KEY}/episode_000002.mp4').is_file()
    table = pq.read_table(layout.data_file(folder, 2))
    assert set(table.column_names) | {layout.IMAGE_KEY} == set(info['features'])
    assert table.column('index').to_pylist() == list(range(21, 33))
    modality = json.loads((folder / 'meta/modality.json').read_text())
    assert modality['action']['tcp_rotation'] == {
        'start': 3, 'end': 7, 'absolute': True, 'rotation_type': 'quaternion',
        'original_key': 'action'}
    for line in (folder / 'meta/episodes_stats.jsonl').read_text().splitlines():
        statistics = json.loads(line)['stats']
        assert np.shape(statistics[layout.IMAGE_KEY]['mean']) == (3, 1, 1)
        assert np.shape(statistics['action']['max']) == (8,)


def test_recording_continues_in_the_same_folder(folder: Path) -> None:
    with LeRobotWriter(folder, fps=20, image_size=SIZE, description=DESCRIPTION) as writer:
        assert writer.episodes == 3
        writer.save_episode(make_episode(7))
    dataset = LeRobotDataset(folder)
    assert len(dataset) == 4 and dataset.read_episode(3).info['seed'] == 7
    assert pq.read_table(layout.data_file(folder, 3)).column('index')[0].as_py() == 33


def test_an_episode_that_was_cut_off_is_written_again(folder: Path) -> None:
    layout.data_file(folder, 3).write_bytes(b'half')
    with LeRobotWriter(folder, fps=20, image_size=SIZE, description=DESCRIPTION) as writer:
        assert writer.episodes == 3
    assert len(LeRobotDataset(folder)) == 3


def test_another_recording_is_not_mixed_in(folder: Path) -> None:
    with pytest.raises(DatasetError, match='differs in seed'):
        LeRobotWriter(folder, fps=20, image_size=SIZE, description={**DESCRIPTION, 'seed': 1})


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').write_text('x')
    with pytest.raises(DatasetError, match='not empty'):
        LeRobotWriter(tmp_path, fps=20, image_size=SIZE, description=DESCRIPTION)


def test_writer_refuses_nan_and_wrong_shapes(tmp_path: Path) -> None:
    episode = make_episode()
    episode.joints[4, 2] = np.nan
    with LeRobotWriter(tmp_path / 'set', fps=20, image_size=SIZE,
                       description=DESCRIPTION) as writer:
        with pytest.raises(DatasetError, match='episode 0 frame 4: joints is not finite'):
            writer.save_episode(episode)
    with LeRobotWriter(tmp_path / 'two', fps=20, image_size=(40, 64),
                       description=DESCRIPTION) as writer:
        with pytest.raises(DatasetError, match='rgb has shape'):
            writer.save_episode(make_episode())


def test_missing_frame_is_named(folder: Path) -> None:
    rewrite(folder, 1, lambda columns: [rows.pop(5) for rows in columns.values()])
    with pytest.raises(DatasetError, match='episode 1 frame 5 is missing'):
        LeRobotDataset(folder).read_episode(1)


def test_missing_last_frame_is_named(folder: Path) -> None:
    rewrite(folder, 1, lambda columns: [rows.pop() for rows in columns.values()])
    with pytest.raises(DatasetError, match='episode 1 frame 10 is missing'):
        LeRobotDataset(folder).read_episode(1)


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('action', [float('nan')] * 8, 'episode 2 frame 3: action is not finite'),
    ('action', [0.5] * 7, 'episode 2 frame 3: action holds 7 numbers; expected 8'),
    ('action', [0.1, 0.1, 0.1, 0.0, 0.0, 0.0, 2.0, 1.0], 'quaternion of norm 2'),
    ('action', [0.1, 0.1, 0.1, 0.0, 0.0, 0.0, 1.0, 1.5], 'frame 3: gripper command 1.5'),
    ('observation.state', [float('inf')] * 15, 'episode 2 frame 3: observation.state is not'),
    ('timestamp', 9.0, 'episode 2 frame 3: timestamp 9'),
    ('task_index', 5, 'episode 2 frame 3: its action belongs to task None'),
])
def test_bad_value_is_named_with_episode_and_frame(
        folder: Path, key: str, value: object, message: str) -> None:
    rewrite(folder, 2, lambda columns: columns[key].__setitem__(3, value))
    with pytest.raises(DatasetError, match=message):
        LeRobotDataset(folder).read_episode(2)


def test_truncated_files_are_named(folder: Path) -> None:
    video, table = layout.video_file(folder, 0), layout.data_file(folder, 1)
    video.write_bytes(video.read_bytes()[:200])
    table.write_bytes(table.read_bytes()[:-50])
    layout.video_file(folder, 2).unlink()
    dataset = LeRobotDataset(folder)
    for episode, message in ((0, 'cannot be decoded'), (1, 'cannot read'), (2, 'is missing')):
        with pytest.raises(DatasetError, match=f'episode {episode}: .*{message}'):
            dataset.read_episode(episode)


def test_video_with_fewer_frames_is_refused(folder: Path) -> None:
    layout.video_file(folder, 0).rename(layout.video_file(folder, 2))
    with pytest.raises(DatasetError, match='episode 2 frame 10: .*holds 10 frames'):
        LeRobotDataset(folder).read_episode(2)


def test_other_task_and_other_actions_are_refused(folder: Path) -> None:
    with pytest.raises(DatasetError, match="actions of task 'cube_lift'; asked for 'stack_cube'"):
        LeRobotDataset(folder, task='stack_cube')
    info = json.loads((folder / 'meta/info.json').read_text())
    info['features']['action']['names'] = [f'fr3_joint{i}.vel' for i in range(1, 9)]
    (folder / 'meta/info.json').write_text(json.dumps(info))
    with pytest.raises(DatasetError, match='a base policy needs'):
        LeRobotDataset(folder)


def test_missing_dataset_and_unknown_episode_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match='no readable dataset'):
        LeRobotDataset(tmp_path / 'nowhere')
    with pytest.raises(DatasetError, match='no episode 3; allowed: 0 .. 2'):
        LeRobotDataset(folder).read_episode(3)


def test_dataset_hash_changes_with_content(folder: Path) -> None:
    before = LeRobotDataset(folder).sha256()
    assert before == LeRobotDataset(folder).sha256()
    rewrite(folder, 0, lambda columns: columns['action'][0].__setitem__(0, 0.123))
    assert before != LeRobotDataset(folder).sha256()


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """Write a dataset of one episode that a person took over in frames 4 to 6."""
    root = tmp_path / 'marked'
    with LeRobotWriter(root, fps=20, image_size=SIZE, description=DESCRIPTION,
                       marks_takeover=True) as writer:
        writer.save_episode(dataclasses.replace(
            make_episode(), takeover=np.isin(np.arange(12), (4, 5, 6))))
    return root


def test_frames_in_which_a_person_took_over_are_marked(marked: Path, folder: Path) -> None:
    found = LeRobotDataset(marked).read_episode(0).takeover
    assert found.dtype == bool and np.flatnonzero(found).tolist() == [4, 5, 6]
    info = json.loads((marked / 'meta/info.json').read_text())
    assert info['features'][layout.TAKEOVER_KEY]['dtype'] == 'int64'
    # Datasets without the mark stay what they were, to the last byte.
    assert LeRobotDataset(folder).read_episode(0).takeover is None
    assert layout.TAKEOVER_KEY not in (folder / 'meta/info.json').read_text()


def test_all_frames_of_a_dataset_say_it_or_none(marked: Path, folder: Path) -> None:
    with LeRobotWriter(marked, fps=20, image_size=SIZE, description=DESCRIPTION,
                       marks_takeover=True) as writer:
        with pytest.raises(DatasetError, match='episode 1 has no takeover'):
            writer.save_episode(make_episode(1))
        with pytest.raises(DatasetError, match='episode 1: takeover has shape'):
            writer.save_episode(dataclasses.replace(
                make_episode(1), takeover=np.zeros(3, bool)))
    with LeRobotWriter(folder, fps=20, image_size=SIZE, description=DESCRIPTION) as writer:
        with pytest.raises(DatasetError, match='episode 3 has takeover; this dataset has no'):
            writer.save_episode(dataclasses.replace(
                make_episode(3), takeover=np.zeros(12, bool)))
    with pytest.raises(DatasetError, match='holds another dataset'):
        LeRobotWriter(marked, fps=20, image_size=SIZE, description=DESCRIPTION)


@pytest.mark.parametrize(('change', 'words'), [
    (lambda columns: columns[layout.TAKEOVER_KEY].__setitem__(3, 2), 'frame 3: .*takeover is 2'),
    (lambda columns: columns.pop(layout.TAKEOVER_KEY), 'has no column .*takeover')])
def test_a_bad_mark_is_named(marked: Path, change, words: str) -> None:  # noqa: ANN001
    rewrite(marked, 0, change)
    with pytest.raises(DatasetError, match=f'episode 0 {words}'):
        LeRobotDataset(marked).read_episode(0)
