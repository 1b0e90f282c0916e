# SPDX-License-Identifier: Apache-2.0
"""Which faults there are, and how severe they are."""
from collections.abc import Sequence
from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError, UnknownNameError

FAULTS = {
    'loss': 'messages are lost',
    'delay': 'messages come late',
    'reorder': 'messages overtake each other, and some come twice',
    'clock_forward': 'the clock is set forward, and back afterwards; stamps go on',
    'clock_back': 'the clock is set back, and forward afterwards; stamps go on',
    'nan': 'a number of a message is NaN',
    'inf': 'a number of a message is infinite',
    'huge': 'a number of a message is 1e30',
    'frozen_camera': 'the camera shows the same picture with stamps of now',
    'frozen_stamps': 'the camera repeats its last message, stamp included',
    'stall_0.2s': 'the base policy hangs for 0.2 s',
    'stall_1s': 'the base policy hangs for 1 s',
    'stall_3s': 'the base policy hangs for 3 s',
    'stall_10s': 'the base policy hangs for 10 s'}
STALLS_S = {'stall_0.2s': 0.2, 'stall_1s': 1.0, 'stall_3s': 3.0, 'stall_10s': 10.0}
"""Faults that last as long as they say, whatever the settings."""


@dataclass(frozen=True, kw_only=True)
class FaultConfig:
    """When a fault begins, how long it lasts and how severe it is."""

    begin_s: tuple[float, float] = field(default=(0.5, 4.0), metadata={'description': (
        'time of the episode at which a fault begins, uniform in, s')})
    lasts_s: tuple[float, float] = field(default=(1.0, 3.0), metadata={'description': (
        'how long it lasts, uniform in, s; a stall lasts as long as its name says')})
    loss_share: float = field(default=0.3, metadata={'description': (
        'share of the joint states, openings, object poses and chunks that is lost')})
    delay_s: float = field(default=0.2, metadata={'description': (
        'by how much all of these come late, s')})
    reorder_s: float = field(default=0.06, metadata={'description': (
        'each of these comes late by its own time of up to this long, s')})
    twice_share: float = field(default=0.2, metadata={'description': (
        'share of these that comes twice while the order is disturbed')})
    clock_s: float = field(default=1.0, metadata={'description': (
        'by how much the clock is set, s')})
    garbled_share: float = field(default=0.5, metadata={'description': (
        'share of the messages of which one number is NaN, infinite or huge')})

    def __post_init__(self) -> None:
        """Refuse what is no fault or never ends."""
        for name, top in (('begin_s', 25.0), ('lasts_s', 25.0)):
            low, high = getattr(self, name)
            if not 0.1 <= low <= high <= top:
                raise ConfigError(
                    f'{name} is {(low, high)} s; allowed: 0.1 <= low <= high <= {top}')
        for name in ('loss_share', 'twice_share', 'garbled_share'):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: 0 < x <= 1')
        for name in ('delay_s', 'reorder_s', 'clock_s'):
            if not 0.005 <= getattr(self, name) <= 3600.0:
                raise ConfigError(f'{name} is {getattr(self, name)} s; allowed: 0.005 .. 3600')


@dataclass(frozen=True, kw_only=True)
class FaultSettings:
    """What fails in the episodes of one evaluation: episode i has fault i modulo their number."""

    names: tuple[str, ...]
    sizes: FaultConfig = field(default_factory=FaultConfig)


def fault_settings(names: Sequence[str] | None, sizes: FaultConfig) -> FaultSettings | None:
    """
    Return what an evaluation asks for, None when it asks for nothing.

    :param names: some of FAULTS; empty for all, None for none.
    :raises UnknownNameError: an unknown fault; the message lists the known ones.
    """
    if names is None:
        return None
    for name in names:
        if name not in FAULTS:
            raise UnknownNameError('fault', name, FAULTS, '--faults')
    return FaultSettings(names=tuple(dict.fromkeys(names)) or tuple(FAULTS), sizes=sizes)
