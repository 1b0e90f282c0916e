# SPDX-License-Identifier: Apache-2.0
"""
Read a LeRobot v2.1 dataset of TCP-pose demonstrations, strictly.

Nothing is repaired: a frame that is missing, out of order, not finite, of the wrong shape or of
another task ends in a `DatasetError` that names episode and frame, because a policy trained on
quietly dropped or shifted frames fails much later and far from the cause.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.data import lerobot_layout as layout
from ocrrl_ros.data.video import read_video
import pyarrow as pa
import pyarrow.parquet as pq

TIMESTAMP_TOLERANCE_S = 1e-4
QUATERNION_TOLERANCE = 1e-3


class LeRobotDataset:
    """A dataset folder, its index checked on opening and its episodes on reading."""

    def __init__(self, root: Path | str, *, task: str | None = None):
        """
        Open a dataset.

        :param root: dataset folder.
        :param task: when given, refuse a dataset that was recorded for another task.
        :raises DatasetError: missing, of another version or layout, inconsistent index.
        """
        self.root = Path(root)
        self.info = self._read_json('info.json')
        self.description = self._read_json('ocrrl.json')
        self._check_info()
        self.tasks = {row['task_index']: row['task'] for row in self._read_lines('tasks.jsonl')}
        self._index = self._read_lines('episodes.jsonl')
        self.extras = self._read_lines('ocrrl_episodes.jsonl')
        for name, rows in (('episodes', self._index), ('ocrrl_episodes', self.extras)):
            numbers = [row.get('episode_index') for row in rows]
            if numbers != list(range(self.info['total_episodes'])):
                raise DatasetError(
                    f'{self.root}/meta/{name}.jsonl lists episodes {numbers}; info.json says '
                    f'there are {self.info["total_episodes"]}')
        if task is not None and self.description.get('task') != task:
            raise DatasetError(
                f'{self.root} holds actions of task {self.description.get("task")!r}; '
                f'asked for {task!r}')

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self._index)

    @property
    def fps(self) -> int:
        """Return ticks per second."""
        return self.info['fps']

    @property
    def image_size(self) -> tuple[int, int]:
        """Return (height, width) of the colour frames."""
        height, width, _ = self.info['features'][layout.IMAGE_KEY]['shape']
        return height, width

    def sha256(self) -> str:
        """Return one hash over every file of the dataset."""
        return layout.folder_sha256(self.root)

    def read_episode(self, number: int, *, images: bool = True) -> layout.DemonstrationEpisode:
        """
        Read and check one episode.

        :param images: decode the video too; without it ``rgb`` has no rows.
        :raises DatasetError: anything missing or wrong, naming episode and frame.
        """
        if not 0 <= number < len(self):
            raise DatasetError(
                f'{self.root} has no episode {number}; allowed: 0 .. {len(self) - 1}')
        entry = self._index[number]
        table = self._read_table(number)
        self._check_rows(table, number, entry)
        state = _matrix(table, layout.STATE_KEY, len(layout.STATE_NAMES), number)
        action = _matrix(table, layout.ACTION_KEY, len(layout.ACTION_NAMES), number)
        _check_pose_rows(state[:, layout.STATE_TCP], number, 'measured TCP pose')
        _check_pose_rows(action[:, layout.ACTION_TCP], number, 'action')
        _check_openings(action[:, layout.ACTION_GRIPPER], number)
        return layout.DemonstrationEpisode(
            instruction=entry['tasks'][0],
            joints=state[:, :7], base_T_tcp=state[:, layout.STATE_TCP],
            opening=state[:, layout.STATE_GRIPPER],
            action_poses=action[:, layout.ACTION_TCP],
            action_grippers=action[:, layout.ACTION_GRIPPER],
            takeover=self._takeover(table, number),
            rgb=self._read_frames(number) if images else np.zeros((0, 0, 0, 3), np.uint8),
            info=self.extras[number])

    def _takeover(self, table: pa.Table, number: int) -> np.ndarray | None:
        """Return the frames in which a person had taken over, None where that is not said."""
        if layout.TAKEOVER_KEY not in self.info['features']:
            return None
        if layout.TAKEOVER_KEY not in table.column_names:
            raise DatasetError(f'episode {number} has no column {layout.TAKEOVER_KEY!r}')
        marks = _column(table, layout.TAKEOVER_KEY)
        bad = np.flatnonzero((marks != 0) & (marks != 1))
        if len(bad):
            raise DatasetError(
                f'episode {number} frame {bad[0]}: {layout.TAKEOVER_KEY} is {marks[bad[0]]}; '
                'allowed: 0, 1')
        return marks == 1

    def _read_frames(self, number: int) -> np.ndarray:
        """Decode the video and compare it with the table's length and the declared size."""
        path = layout.video_file(self.root, number)
        try:
            frames = read_video(path)
        except DatasetError as error:
            raise DatasetError(f'episode {number}: {error}') from error
        length = self._index[number]['length']
        if len(frames) != length:
            raise DatasetError(
                f'episode {number} frame {min(len(frames), length)}: {path} holds '
                f'{len(frames)} frames, the episode has {length}')
        if frames.shape[1:3] != self.image_size:
            raise DatasetError(
                f'episode {number} frame 0: {path} is {frames.shape[1:3]}, info.json says '
                f'{self.image_size}')
        return frames

    def _read_table(self, number: int) -> pa.Table:
        """Read the parquet file of an episode with every column that is needed."""
        path = layout.data_file(self.root, number)
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f'episode {number}: cannot read {path}: {error}') from error
        needed = (layout.STATE_KEY, layout.ACTION_KEY, 'timestamp', *layout.INDEX_COLUMNS)
        for name in needed:
            if name not in table.column_names:
                raise DatasetError(f'episode {number}: {path} has no column {name!r}')
        return table

    def _check_rows(self, table: pa.Table, number: int, entry: dict[str, Any]) -> None:
        """Check that frames are complete, in order, timed and of the episode's own task."""
        length = entry['length']
        frames = _column(table, 'frame_index')
        count = min(len(frames), length)
        gaps = np.flatnonzero(frames[:count] != np.arange(count))
        if len(gaps):
            raise DatasetError(
                f'episode {number} frame {gaps[0]} is missing; the table continues with frame '
                f'{frames[gaps[0]]}')
        if len(frames) != length:
            raise DatasetError(
                f'episode {number} frame {count} is {"missing" if count < length else "extra"}: '
                f'the table has {len(frames)} frames, episodes.jsonl says {length}')
        expected = np.arange(length) / self.fps
        late = np.abs(_column(table, 'timestamp') - expected) > TIMESTAMP_TOLERANCE_S
        if late.any():
            frame = int(late.argmax())
            raise DatasetError(
                f'episode {number} frame {frame}: timestamp {_column(table, "timestamp")[frame]} '
                f's; expected {expected[frame]:.4f} s')
        names = [self.tasks.get(int(task)) for task in _column(table, 'task_index')]
        for frame, name in enumerate(names):
            if name not in entry['tasks']:
                raise DatasetError(
                    f'episode {number} frame {frame}: its action belongs to task {name!r}; the '
                    f'episode is {entry["tasks"]}')

    def _check_info(self) -> None:
        """Refuse another format version or another meaning of state, action or image."""
        version = self.info.get('codebase_version')
        if version != layout.CODEBASE_VERSION:
            raise DatasetError(
                f'{self.root} is LeRobot {version}; allowed: {layout.CODEBASE_VERSION}')
        features = self.info.get('features', {})
        image = features.get(layout.IMAGE_KEY, {}).get('shape', ())
        if len(image) != 3 or image[2] != 3:
            raise DatasetError(f'{self.root}: {layout.IMAGE_KEY} has shape {image}; '
                               'expected [height, width, 3]')
        for key, names in (
                (layout.STATE_KEY, layout.STATE_NAMES), (layout.ACTION_KEY, layout.ACTION_NAMES)):
            found = features.get(key, {}).get('names')
            if found != list(names):
                raise DatasetError(
                    f'{self.root}: {key} holds {found}; a base policy needs {list(names)}')

    def _read_json(self, name: str) -> dict[str, Any]:
        """Parse a JSON file of meta/."""
        path = self.root / 'meta' / name
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise DatasetError(f'{self.root} is no readable dataset: {error}') from error

    def _read_lines(self, name: str) -> list[dict[str, Any]]:
        """Parse a JSON-lines file of meta/."""
        path = self.root / 'meta' / name
        try:
            return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise DatasetError(f'{self.root} is no readable dataset: {error}') from error


def _column(table: pa.Table, name: str) -> np.ndarray:
    """Return a scalar column."""
    return table.column(name).to_numpy()


def _matrix(table: pa.Table, name: str, width: int, number: int) -> np.ndarray:
    """Return a list column as (L, width) float64, or name the frame that does not fit."""
    rows = table.column(name).to_pylist()
    for frame, row in enumerate(rows):
        if row is None or len(row) != width:
            size = 'nothing' if row is None else f'{len(row)} numbers'
            raise DatasetError(
                f'episode {number} frame {frame}: {name} holds {size}; expected {width}')
        if not np.isfinite(np.asarray(row, dtype=float)).all():
            raise DatasetError(f'episode {number} frame {frame}: {name} is not finite: {row}')
    return np.asarray(rows, dtype=float)


def _check_pose_rows(poses: np.ndarray, number: int, what: str) -> None:
    """Refuse quaternions that are not of unit length."""
    norms = np.linalg.norm(poses[:, 3:], axis=1)
    bad = np.flatnonzero(np.abs(norms - 1.0) > QUATERNION_TOLERANCE)
    if len(bad):
        raise DatasetError(
            f'episode {number} frame {bad[0]}: {what} has a quaternion of norm '
            f'{norms[bad[0]]:.4f}; allowed: 1 ± {QUATERNION_TOLERANCE}')


def _check_openings(openings: np.ndarray, number: int) -> None:
    """Refuse gripper commands outside 0 closed .. 1 open."""
    bad = np.flatnonzero((openings < 0.0) | (openings > 1.0))
    if len(bad):
        raise DatasetError(
            f'episode {number} frame {bad[0]}: gripper command {openings[bad[0]]}; '
            'allowed: 0 closed .. 1 open')
