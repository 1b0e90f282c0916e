# SPDX-License-Identifier: Apache-2.0
"""Settings of the residual's gate and of how it is learned."""

from __future__ import annotations

from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """How the gate of a finished residual is learned; reasons: docs/notes/residual.md."""

    enabled: bool = field(default=True, metadata={'description': 'whether a gate is made'})
    steps: int = field(default=51_200, metadata={
        'description': 'environment steps in which base and residual take turns'})
    turn_ticks: float = field(default=60.0, metadata={
        'description': 'mean ticks until the other one acts, geometric'})
    discount: float = field(default=0.995, metadata={
        'description': 'discount per tick of the success that is predicted'})
    trace: float = field(default=0.95, metadata={
        'description': 'lambda of the returns; 1 is the outcome alone'})
    rounds: int = field(default=24, metadata={
        'description': 'times that returns are computed anew and critics fitted to them'})
    passes: int = field(default=1, metadata={'description': 'passes over the data per round'})
    batch_size: int = field(default=1024, metadata={'description': 'states per step'})
    critics: int = field(default=4, metadata={
        'description': 'critics, each fitted to its own draw of the episodes'})
    critic_hidden: tuple[int, ...] = field(
        default=(128, 128), metadata={'description': 'widths of the critics'})
    hidden: tuple[int, ...] = field(
        default=(64, 64), metadata={'description': 'widths of the gate'})
    gate_passes: int = field(default=20, metadata={
        'description': 'passes over the data in which the gate learns from the critics'})
    learning_rate: float = field(default=1e-3, metadata={'description': 'AdamW step size'})
    weight_decay: float = field(default=1e-2, metadata={'description': 'AdamW weight decay'})
    quantile: float = field(default=0.2, metadata={'description': (
        'quantile of the gain that decides; below 0.5 uncertainty closes the gate')})
    margin: float = field(default=0.1, metadata={'description': (
        'gain in probability of success at which the gate is half open')})
    temperature: float = field(default=0.02, metadata={
        'description': 'gain over which the gate opens'})
    smoothing_s: float = field(default=0.1, metadata={
        'description': 'time constant of the low-pass behind the network, s'})

    def __post_init__(self) -> None:
        """Refuse settings that cannot learn or cannot run."""
        for name in ('steps', 'rounds', 'passes', 'batch_size', 'gate_passes'):
            if getattr(self, name) < 1:
                raise ConfigError(f'gate {name} is {getattr(self, name)}; allowed: >= 1')
        for name in ('learning_rate', 'temperature'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'gate {name} is {getattr(self, name)}; allowed: > 0')
        for name in ('discount', 'trace'):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ConfigError(f'gate {name} is {getattr(self, name)}; allowed: 0 < x <= 1')
        if not 0.0 < self.quantile < 1.0:
            raise ConfigError(f'gate quantile is {self.quantile}; allowed: 0 < x < 1')
        if not 0.0 <= self.smoothing_s <= 5.0:
            raise ConfigError(f'gate smoothing_s is {self.smoothing_s} s; allowed: 0 .. 5')
        if self.turn_ticks < 1.0:
            raise ConfigError(f'gate turn_ticks is {self.turn_ticks}; allowed: >= 1')
