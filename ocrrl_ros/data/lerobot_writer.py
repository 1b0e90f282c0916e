# SPDX-License-Identifier: Apache-2.0
"""Write demonstrations as a LeRobot v2.1 dataset that GR00T and openpi can read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import DatasetError
from ocrrl_ros.data import lerobot_layout as layout
from ocrrl_ros.data.video import write_video
import pyarrow as pa
import pyarrow.parquet as pq

IMAGE_STATISTICS_FRAMES = 32


class LeRobotWriter:
    """
    Append episodes to a dataset folder; every saved episode leaves the folder readable.

    Opening an existing folder with the same frame size, rate and description continues it, so
    an interrupted recording can be resumed. ``close`` writes the final index.
    """

    def __init__(
            self, root: Path, *, fps: int, image_size: tuple[int, int],
            description: dict[str, Any], marks_takeover: bool = False):
        """
        Create the folder, or continue the one that is there.

        :param root: dataset folder.
        :param fps: ticks per second.
        :param image_size: (height, width) of the colour frames.
        :param description: what made the data (task, domain, seed, …); must match on resume.
        :param marks_takeover: whether every frame says if a person had taken over.
        :raises DatasetError: the folder holds another dataset.
        """
        self.root = Path(root)
        self.fps = fps
        self.image_size = image_size
        self.marks_takeover = marks_takeover
        self.description = json.loads(json.dumps(description))
        self._episodes: list[dict[str, Any]] = []
        self._statistics: list[dict[str, Any]] = []
        self._extras: list[dict[str, Any]] = []
        self._tasks: list[str] = []
        self._frames = 0
        if (self.root / 'meta' / 'info.json').is_file():
            self._resume()
        elif self.root.exists() and any(self.root.iterdir()):
            raise DatasetError(f'{self.root} is not empty and holds no dataset; choose another')

    def __enter__(self) -> LeRobotWriter:
        """Return the writer."""
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        """Finalise the dataset, also after an error: saved episodes stay readable."""
        self.close()

    @property
    def episodes(self) -> int:
        """Return how many episodes the dataset holds."""
        return len(self._episodes)

    @property
    def frames(self) -> int:
        """Return the number of frames of all episodes written so far."""
        return self._frames

    @property
    def extras(self) -> list[dict[str, Any]]:
        """Return what was recorded about each episode beside its frames."""
        return list(self._extras)

    def save_episode(self, episode: layout.DemonstrationEpisode) -> None:
        """
        Write one finished episode and update the index.

        :raises DatasetError: arrays disagree in length, have a wrong shape or hold NaN.
        """
        number = self.episodes
        self._check(episode, number)
        if episode.instruction not in self._tasks:
            self._tasks.append(episode.instruction)
        write_video(layout.video_file(self.root, number), episode.rgb, self.fps)
        self._write_parquet(episode, number)
        self._episodes.append({
            'episode_index': number, 'tasks': [episode.instruction], 'length': episode.length})
        self._statistics.append({'episode_index': number, 'stats': episode_statistics(episode)})
        self._extras.append({'episode_index': number, **episode.info})
        self._frames += episode.length
        self._write_meta()

    def close(self) -> None:
        """Write the index once more; the folder is complete after it."""
        self._write_meta()

    def _features(self) -> dict[str, Any]:
        """Return the ``features`` entry of info.json."""
        return layout.feature_table(
            *self.image_size, self.fps, marks_takeover=self.marks_takeover)

    def _check(self, episode: layout.DemonstrationEpisode, number: int) -> None:
        """Refuse arrays that do not fit each other or the dataset."""
        length = episode.length
        shapes = {
            'joints': (length, 7), 'base_T_tcp': (length, 7), 'opening': (length,),
            'action_poses': (length, 7), 'action_grippers': (length,),
            'rgb': (length, *self.image_size, 3)}
        if self.marks_takeover != (episode.takeover is not None):
            raise DatasetError(
                f'episode {number} {"has no" if self.marks_takeover else "has"} takeover; this '
                f'dataset {"marks it in every frame" if self.marks_takeover else "has no mark"}')
        if self.marks_takeover:
            shapes['takeover'] = (length,)
        for name, shape in shapes.items():
            value = getattr(episode, name)
            if value.shape != shape:
                raise DatasetError(
                    f'episode {number}: {name} has shape {value.shape}; expected {shape}')
            if value.dtype != np.uint8 and not np.isfinite(value).all():
                frame = int(np.argwhere(~np.isfinite(value))[0][0])
                raise DatasetError(f'episode {number} frame {frame}: {name} is not finite')
        if not length:
            raise DatasetError(f'episode {number} holds no frames')

    def _write_parquet(self, episode: layout.DemonstrationEpisode, number: int) -> None:
        """Write the low-dimensional columns of one episode."""
        length = episode.length
        frame = np.arange(length, dtype=np.int64)
        task = np.full(length, self._tasks.index(episode.instruction), dtype=np.int64)
        columns = {
            layout.STATE_KEY: _rows(episode.state_rows()),
            layout.ACTION_KEY: _rows(episode.action_rows()),
            'timestamp': pa.array((frame / self.fps).astype(np.float32)),
            'frame_index': pa.array(frame),
            'episode_index': pa.array(np.full(length, number, dtype=np.int64)),
            'index': pa.array(frame + self._frames),
            'task_index': pa.array(task),
            layout.ANNOTATION_KEY: pa.array(task),
        }
        if episode.takeover is not None:
            columns[layout.TAKEOVER_KEY] = pa.array(episode.takeover.astype(np.int64))
        path = layout.data_file(self.root, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)

    def _write_meta(self) -> None:
        """Write every file below meta/, info.json last and atomically."""
        meta = self.root / 'meta'
        meta.mkdir(parents=True, exist_ok=True)
        tasks = [{'task_index': i, 'task': task} for i, task in enumerate(self._tasks)]
        _write_lines(meta / 'tasks.jsonl', tasks)
        _write_lines(meta / 'episodes.jsonl', self._episodes)
        _write_lines(meta / 'episodes_stats.jsonl', self._statistics)
        _write_lines(meta / 'ocrrl_episodes.jsonl', self._extras)
        _write_json(meta / 'ocrrl.json', self.description)
        _write_json(meta / 'modality.json', layout.MODALITY)
        count = self.episodes
        _write_json(meta / 'info.json', {
            'codebase_version': layout.CODEBASE_VERSION, 'robot_type': 'fr3',
            'total_episodes': count, 'total_frames': self._frames,
            'total_tasks': len(self._tasks), 'total_videos': count,
            'total_chunks': -(-count // layout.CHUNK_SIZE), 'chunks_size': layout.CHUNK_SIZE,
            'fps': self.fps, 'splits': {'train': f'0:{count}'},
            'data_path': layout.DATA_PATH, 'video_path': layout.VIDEO_PATH,
            'features': self._features()})

    def _resume(self) -> None:
        """Take over the index of the dataset that is there."""
        meta = self.root / 'meta'
        info = json.loads((meta / 'info.json').read_text())
        known = json.loads((meta / 'ocrrl.json').read_text())
        expected = self._features()
        if known != self.description or info['features'] != expected:
            changed = sorted(
                key for key in {*known, *self.description}
                if known.get(key) != self.description.get(key))
            raise DatasetError(
                f'{self.root} holds another dataset (differs in {", ".join(changed) or "features"}'
                '); give another folder or remove it')
        count = info['total_episodes']
        self._episodes = _read_lines(meta / 'episodes.jsonl')[:count]
        self._statistics = _read_lines(meta / 'episodes_stats.jsonl')[:count]
        self._extras = _read_lines(meta / 'ocrrl_episodes.jsonl')[:count]
        self._tasks = [row['task'] for row in _read_lines(meta / 'tasks.jsonl')]
        self._frames = info['total_frames']


def episode_statistics(episode: layout.DemonstrationEpisode) -> dict[str, Any]:
    """Return min, max, mean, std and count per feature; images per channel in [0, 1]."""
    stride = max(1, episode.length // IMAGE_STATISTICS_FRAMES)
    pixels = episode.rgb[::stride, ::4, ::4].astype(np.float32) / 255.0
    statistics = {
        layout.STATE_KEY: _statistics(episode.state_rows(), (0,)),
        layout.ACTION_KEY: _statistics(episode.action_rows(), (0,))}
    image = _statistics(pixels, (0, 1, 2))
    statistics[layout.IMAGE_KEY] = {
        key: value if key == 'count' else [[[channel]] for channel in value]
        for key, value in image.items()}
    return statistics


def _statistics(values: np.ndarray, axes: tuple[int, ...]) -> dict[str, list[float]]:
    """Return the five statistics over the given axes as plain lists."""
    return {
        'min': values.min(axes).tolist(), 'max': values.max(axes).tolist(),
        'mean': values.mean(axes).tolist(), 'std': values.std(axes).tolist(),
        'count': [len(values)]}


def _rows(values: np.ndarray) -> pa.FixedSizeListArray:
    """Return a column of fixed-size float32 lists."""
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file so that a reader sees the old or the new one, never half of it."""
    temporary = path.with_suffix('.tmp')
    temporary.write_text(json.dumps(content, indent=2) + '\n')
    os.replace(temporary, path)


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a JSON-lines file atomically."""
    temporary = path.with_suffix('.tmp')
    temporary.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    os.replace(temporary, path)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
