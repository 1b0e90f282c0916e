# SPDX-License-Identifier: Apache-2.0
"""Settings of the vectorised training environment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
import math

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.action_chunk import ChunkConfig
from ocrrl_ros.policy.action_hold import ResidualRate
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.object_poses import ObjectPoseConfig

TICK_S = 0.05
"""Policy tick of training, the chunk step."""
COMMAND_S = 0.005
"""Command tick: the arm's set-point is held this long."""
COMMANDS_PER_TICK = 10


@dataclass(frozen=True, kw_only=True)
class BaseViewConfig:
    """
    How far the base's own picture is off, drawn anew for every episode.

    Each draw makes another base of the one that is at hand: it plans a little beside where it
    would, as a base that was trained once more, or from a camera that stands elsewhere, does.
    """

    shift_px: float = field(default=0.0, metadata={
        'description': "largest shift along each axis, pixels of the base's picture"})
    gain: float = field(default=0.0, metadata={
        'description': 'largest change of each colour channel, share of its value'})

    def __post_init__(self) -> None:
        """Refuse what would no longer be a picture of the scene."""
        if not 0.0 <= self.shift_px <= 16.0 or not 0.0 <= self.gain < 1.0:
            raise ConfigError(f'shift_px is {self.shift_px}, gain {self.gain}; allowed: 0 .. 16, '
                              '0 .. below 1')

    @property
    def is_off(self) -> bool:
        """Return whether pictures stay as they are."""
        return self.shift_px == 0.0 and self.gain == 0.0


@dataclass(frozen=True, kw_only=True)
class VecEnvConfig:
    """Settings of `ResidualVecEnv`."""

    num_envs: int = field(default=64, metadata={'description': 'environments that step together'})
    threads: int = field(
        default=0, metadata={'description': 'physics threads; 0 steps in the calling thread'})
    models: int = field(
        default=64, metadata={'description': 'drawn worlds; each episode takes one of them'})
    replan_ticks: int = field(
        default=8, metadata={'description': 'ticks of 50 ms between base inferences'})
    chunk_latency_s: tuple[float, float] = field(
        default=(0.08, 0.20), metadata={'description': 'observation to chunk, uniform, s'})
    randomize: bool = field(
        default=True, metadata={'description': "draw worlds from the domain's training ranges"})
    horizon_share: float = field(default=2.0 / 3.0, metadata={'description': (
        "longest training episode, share of the task's; ticks after a miss teach little")})
    guided: bool = field(default=True, metadata={'description': (
        'report with every tick what the guide (sim/guide.py) would do')})
    stall_s: float = field(default=5.0, metadata={'description': (
        'an episode whose reward reaches no new height for so long ends like at a time limit, s')})
    mid_start_share: float = field(default=0.5, metadata={'description': (
        "share of the episodes that start somewhere along the scripted expert's way")})
    mid_starts: int = field(
        default=1000, metadata={'description': 'states that such episodes are drawn from'})
    expert_share: float = field(default=0.0, metadata={'description': (
        'share of the environments whose base is the scripted expert, for a residual that leaves '
        'a good base alone; their episodes count in no success rate')})
    other_base_share: float = field(default=0.0, metadata={'description': (
        'share of the environments in which the other bases act, where there are any; their '
        'episodes count in no success rate')})
    base_view: BaseViewConfig = field(default_factory=BaseViewConfig)
    critic_truth: bool = field(default=True, metadata={'description': (
        "whether critics see simulator truth beside the actor's observation; without they are "
        'symmetric')})
    acts_per: ResidualRate = field(default='tick', metadata={'description': (
        'when an action takes effect: every tick, or the first tick of a chunk of the base, '
        'which then holds; for measuring what deployment would do')})
    bounds: ResidualBounds = field(default_factory=ResidualBounds)
    chunk: ChunkConfig = field(default_factory=ChunkConfig)
    object_poses: ObjectPoseConfig = field(default_factory=ObjectPoseConfig)

    def __post_init__(self) -> None:
        """Refuse sizes that cannot run."""
        if self.num_envs < 1 or self.models < 1 or self.threads < 0:
            raise ConfigError(
                f'num_envs {self.num_envs}, models {self.models}, threads {self.threads}; '
                'allowed: >= 1, >= 1, >= 0')
        low, high = self.chunk_latency_s
        if not 0.0 <= low <= high <= 0.5:
            raise ConfigError(
                f'chunk_latency_s is ({low}, {high}) s; allowed: 0 <= low <= high <= 0.5')
        if not self.stall_s >= 1.0:
            raise ConfigError(f'stall_s is {self.stall_s} s; allowed: >= 1')
        if not 0.0 <= self.mid_start_share <= 1.0 or self.mid_starts < 1:
            raise ConfigError(
                f'mid_start_share is {self.mid_start_share}, mid_starts {self.mid_starts}; '
                'allowed: 0 .. 1, >= 1')
        for name in ('expert_share', 'other_base_share'):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: 0 .. below 1')
        if not 0.0 < self.horizon_share <= 1.0:
            raise ConfigError(f'horizon_share is {self.horizon_share}; allowed: above 0, up to 1')
        if self.replan_ticks < 1 or self.replan_ticks * TICK_S + high > 15 * TICK_S + 1e-9:
            raise ConfigError(
                f'replan_ticks is {self.replan_ticks}; allowed: >= 1, and few enough that a chunk '
                f'of 16 steps lasts until the next arrives, up to {high} s late')

    def plain(self) -> VecEnvConfig:
        """Return the same without training's aids: whole episodes, one base; for measuring."""
        return replace(
            self, guided=False, mid_start_share=0.0, stall_s=math.inf, expert_share=0.0,
            other_base_share=0.0, base_view=BaseViewConfig())
