# SPDX-License-Identifier: Apache-2.0
"""Kinds of disturbance, when they may happen and how large they are."""
from collections.abc import Sequence
from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.sim.tasks import Task

BEFORE, DURING, AFTER = PHASES = ('before', 'during', 'after')
"""Before, during and after the grasp; `phases.PhaseWatch` tells them apart."""
STALL = 'stall'
"""The base stops planning; asked for by `--stall-s`, not among the kinds."""
KINDS = {
    'push': (BEFORE, DURING), 'slide': (BEFORE, DURING), 'twist': (BEFORE, DURING),
    'drop': (AFTER,), 'poke': PHASES}
"""Phases in which each kind does something: who holds an object is not moved by a push."""
FIXED_KINDS = ('push', 'poke')
"""Kinds that suit an object on a slide, which is neither turned nor held."""


@dataclass(frozen=True, kw_only=True)
class DisturbanceConfig:
    """Sizes and moments of disturbances; each is drawn uniformly from its range."""

    push_m: tuple[float, float] = field(default=(0.025, 0.055), metadata={'description': (
        'how far a push of the object is to move it on the table, m; a force of --push-s '
        'follows from its mass and friction')})
    push_s: float = field(default=0.05, metadata={'description': 'duration of that force, s'})
    slide_m: tuple[float, float] = field(default=(0.025, 0.055), metadata={'description': (
        'how far a slide drags the object on the table, m')})
    slide_s: float = field(default=0.2, metadata={'description': 'duration of a slide, s'})
    twist_deg: tuple[float, float] = field(default=(25.0, 50.0), metadata={'description': (
        'how far a twist turns the object about the vertical, either way, degrees; friction '
        'takes some of it')})
    twist_s: float = field(default=0.2, metadata={'description': 'duration of a twist, s'})
    drop_s: float = field(default=0.4, metadata={'description': (
        "for how long a drop overrides the hand's command by open, s")})
    poke_n: tuple[float, float] = field(default=(60.0, 120.0), metadata={'description': (
        'horizontal force of a poke at the hand, N')})
    poke_s: float = field(default=0.1, metadata={'description': 'duration of a poke, s'})
    before_m: tuple[float, float] = field(default=(0.08, 0.25), metadata={'description': (
        'distance of TCP and object at which a disturbance before the grasp begins, m')})
    during_m: tuple[float, float] = field(default=(0.03, 0.06), metadata={'description': (
        'the same during the grasp, unless a finger touches before, m')})
    after_s: tuple[float, float] = field(default=(0.2, 0.8), metadata={'description': (
        'time for which the object has been held when one after the grasp begins, s')})
    stall_at_s: tuple[float, float] = field(default=(1.0, 4.0), metadata={'description': (
        'time of the episode at which a stall of the base begins, s')})

    def __post_init__(self) -> None:
        """Refuse sizes that would throw things about, and ranges the wrong way round."""
        tops = {'push_m': 0.15, 'slide_m': 0.15, 'twist_deg': 90.0, 'poke_n': 300.0,
                'before_m': 1.0, 'during_m': 0.2, 'after_s': 10.0, 'stall_at_s': 25.0}
        for name, top in tops.items():
            low, high = getattr(self, name)
            if not 0.0 < low <= high <= top:
                raise ConfigError(
                    f'{name} is {(low, high)}; allowed: 0 < low <= high <= {top}')
        for name in ('push_s', 'slide_s', 'twist_s', 'drop_s', 'poke_s'):
            if not 0.005 <= getattr(self, name) <= 2.0:
                raise ConfigError(f'{name} is {getattr(self, name)} s; allowed: 0.005 .. 2')


@dataclass(frozen=True, kw_only=True)
class DisturbanceSettings:
    """What disturbs the episodes of one evaluation."""

    kinds: tuple[str, ...]
    """Of KINDS, or STALL alone."""
    phases: tuple[str, ...] = PHASES
    stall_s: float = 0.0
    sizes: DisturbanceConfig = field(default_factory=DisturbanceConfig)

    def choices(self) -> dict[str, tuple[str, ...]]:
        """Return the kinds that can happen here, each with its phases."""
        if self.kinds == (STALL,):
            return {STALL: ('',)}
        found = {kind: tuple(phase for phase in KINDS[kind] if phase in self.phases)
                 for kind in self.kinds}
        return {kind: phases for kind, phases in found.items() if phases}


def suitable_kinds(task: Task) -> tuple[str, ...]:
    """Return the kinds that suit what the hand works on in a task, its first object."""
    return tuple(kind for kind in KINDS if task.objects[0].is_free or kind in FIXED_KINDS)


def check_names(kinds: Sequence[str] | None, phases: Sequence[str], stall_s: float) -> None:
    """
    Refuse what cannot be asked for, whatever the task.

    :raises UnknownNameError: an unknown kind or phase; the message lists the known ones.
    :raises ConfigError: a stall together with other disturbances, or of a length without meaning.
    """
    for kind in kinds or ():
        if kind not in KINDS:
            raise UnknownNameError('disturbance', kind, KINDS, '--perturb')
    for phase in phases:
        if phase not in PHASES:
            raise UnknownNameError('phase', phase, PHASES, '--perturb-when')
    if not phases:
        raise ConfigError(f'perturb_when is empty; allowed: some of {", ".join(PHASES)}')
    if not 0.0 <= stall_s <= 10.0:
        raise ConfigError(f'stall_s is {stall_s} s; allowed: 0 (no stall) .. 10')
    if kinds is not None and stall_s > 0.0:
        raise ConfigError(
            f'perturb is {tuple(kinds)} and stall_s is {stall_s} s; allowed: one of the two, so '
            'that an episode has one disturbance')


def disturbance_settings(
        task: Task, kinds: Sequence[str] | None, phases: Sequence[str], stall_s: float,
        sizes: DisturbanceConfig) -> DisturbanceSettings | None:
    """
    Return what an evaluation asks for, None when it asks for nothing.

    :param kinds: some of KINDS; empty for all that suit the task, None for none.
    :raises ConfigError: a kind does not suit the task, or none happens in the phases.
    """
    if stall_s > 0.0:
        return DisturbanceSettings(kinds=(STALL,), stall_s=stall_s, sizes=sizes)
    if kinds is None:
        return None
    suitable = suitable_kinds(task)
    for kind in kinds:
        if kind not in suitable:
            raise ConfigError(f'perturb names {kind!r}, which does not suit task {task.name!r}; '
                              f'allowed: {", ".join(suitable)}')
    found = DisturbanceSettings(
        kinds=tuple(dict.fromkeys(kinds)) or suitable, phases=tuple(phases), sizes=sizes)
    if not found.choices():
        happens = '; '.join(f'{kind}: {", ".join(KINDS[kind])}' for kind in found.kinds)
        raise ConfigError(f'perturb_when is {tuple(phases)}, in which none of the kinds happens; '
                          f'allowed: {happens}')
    return found
