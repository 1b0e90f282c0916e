# SPDX-License-Identifier: Apache-2.0
"""Write one MCAP per episode."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from pathlib import Path
import sys

from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError, DatasetError
from ocrrl_ros.data.episode_log import EpisodeLog, load_bag_library
from ocrrl_ros.interfaces import episode_state
from ocrrl_ros.interfaces.input_warnings import InputWarnings
from ocrrl_ros.interfaces.parameters import declare_config
from ocrrl_ros.interfaces.recorded_topics import recorded_fast_topics, recorded_topics
from ocrrl_ros.interfaces.recording import CompressedTap, RawTap
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.tick_loop import LoopConfig, TickLoop
from ocrrl_ros.policy.episode_clock import EpisodeState
from rclpy.node import Node
from rclpy.serialization import serialize_message
from std_msgs.msg import String

NODE_NAME = 'recorder'
#: What a crash of this process or of the machine may cost at most, s.
_FLUSH_S = 1.0


def free_folder(folder: Path) -> Path:
    """Return the folder, or the first of ``<folder>_2``, ``_3`` ... that does not exist yet."""
    free, count = folder, 1
    while free.exists():
        count += 1
        free = folder.with_name(f'{folder.name}_{count}')
    return free


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecorderConfig:
    """Settings of the recorder node."""

    folder: str = dataclasses.field(
        default='out/episodes', metadata={'description': 'folder that episodes are written to'})
    topics: tuple[str, ...] = dataclasses.field(
        default=recorded_topics(['cube']), metadata={'description': (
            'topics as name:package/msg/Type, of which every message is recorded')})
    fast_topics: tuple[str, ...] = dataclasses.field(
        default=recorded_fast_topics('crisp_joint'), metadata={'description': (
            'topics as name:package/msg/Type, thinned to fast_rate_hz')})
    fast_rate_hz: float = dataclasses.field(
        default=50.0, metadata={'description': 'recorded rate of fast topics, Hz'})
    image_topic: str = dataclasses.field(
        default='camera/camera/color/image_raw',
        metadata={'description': 'colour image recorded as JPEG; empty records none'})
    image_rate_hz: float = dataclasses.field(
        default=10.0, metadata={'description': 'rate of recorded images, Hz'})
    jpeg_quality: int = dataclasses.field(
        default=85, metadata={'description': 'JPEG quality of recorded images, 1 .. 100'})
    loop: LoopConfig = LoopConfig(rate_hz=50.0)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for topic in (*self.topics, *self.fast_topics):
            if topic.count(':') != 1 or topic.count('/msg/') != 1:
                raise ConfigError(
                    f'a list of topics holds {topic!r}; allowed: name:package/msg/Type')
        for name in ('fast_rate_hz', 'image_rate_hz'):
            if not 0 < getattr(self, name) <= 1000:
                raise ConfigError(f'{name} is {getattr(self, name)} Hz; allowed: 0 < x <= 1000')
        if not 1 <= self.jpeg_quality <= 100:
            raise ConfigError(f'jpeg_quality is {self.jpeg_quality}; allowed: 1 .. 100')


class RecorderNode(Node):
    """Opens a log when an episode starts and closes it when the episode, or the node, ends."""

    def __init__(self, **arguments):
        """Subscribe; the first log is opened by the first episode."""
        super().__init__(NODE_NAME, **arguments)
        self._config = declare_config(self, RecorderConfig)
        load_bag_library()
        self._log: EpisodeLog | None = None
        self._state = EpisodeState()
        self._now_s = 0.0
        self._flushed_s = float('-inf')
        self._warnings = InputWarnings(self)
        self._taps: list[RawTap | CompressedTap] = [
            RawTap(self, *topic.split(':'), self._write, self._config.fast_rate_hz, fast=fast)
            for topics, fast in ((self._config.topics, False), (self._config.fast_topics, True))
            for topic in topics]
        if self._config.image_topic:
            self._taps.append(CompressedTap(
                self, self._config.image_topic, self._write, self._config.image_rate_hz,
                self._config.jpeg_quality))
        self._episode_in = episode_state.EpisodeInbox(self)
        self.loop = TickLoop(self, self._config.loop)

    def step(self, now_s: float) -> None:
        """Write what has arrived, stamped with the time of this look."""
        self._now_s = now_s
        states: list[tuple[String, EpisodeState]] = []
        for message in self._episode_in.take_changes():
            self._warnings.attempt(
                lambda text: states.append((text, episode_state.from_message(text))), message)
        for message, state in states:
            if state.running:
                self._on_episode(message, state)
        for tap in self._taps:
            self._warnings.attempt(tap.poll, now_s)
        for message, state in states:
            if not state.running:
                self._on_episode(message, state)
        if self._log is not None and abs(now_s - self._flushed_s) >= _FLUSH_S:
            self._flushed_s = now_s
            self._attempt(self._log.flush)

    def _attempt(self, work: Callable[..., None], *arguments: object) -> bool:
        """Write, or give up this episode's log and say so; the next episode tries again."""
        try:
            work(*arguments)
        except DatasetError as error:
            self._log = None
            self.loop.monitor.set_problem('log', f'nothing is recorded: {error}')
            self.get_logger().error(f'nothing is recorded until the next episode: {error}')
            return False
        return True

    def _on_episode(self, message: String, state: EpisodeState) -> None:
        """Open or close the log with the episode."""
        if state.running and state.number != self._state.number:
            self._finish()
            # Simulated seconds and episode numbers begin anew with every graph.
            name = f'{state.started_s:.0f}_{state.task}_{state.number:04d}'
            if self._attempt(self._open, Path(self._config.folder) / name):
                self.loop.monitor.set_problem('log', '')
        self._state = state
        self._write(
            self.resolve_topic_name(episode_state.TOPIC), 'std_msgs/msg/String',
            serialize_message(message))
        if not state.running:
            self._finish()

    def _open(self, folder: Path) -> None:
        """Open the log of an episode."""
        self._log = EpisodeLog(free_folder(folder))

    def _write(self, topic: str, type_name: str, data: bytes) -> None:
        """Append a message to the open log, if there is one."""
        if self._log is not None:
            self._attempt(
                self._log.write, topic, type_name, data, round(self._now_s * 1e9))

    def _finish(self) -> None:
        """Close the open log with the episode's last state."""
        if self._log is not None:
            log, self._log = self._log, None
            if self._attempt(log.close, to_mapping(self._state)):
                self.get_logger().info(f'wrote {log.folder}')

    def destroy_node(self) -> None:
        """Close the log on the way out; an episode cut off by that is marked ``stopped``."""
        if self._state.running:
            self._state = dataclasses.replace(self._state, running=False, outcome='stopped')
        self._finish()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(RecorderNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
