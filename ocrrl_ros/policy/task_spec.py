# SPDX-License-Identifier: Apache-2.0
"""What policies and operators must know of a task, without the simulator: config/tasks."""

from __future__ import annotations

import dataclasses

from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.core.symmetry import CYLINDER, GROUPS
from ocrrl_ros.policy.observation import LayoutVariant, ObservationLayout, VARIANTS

# No observation tells yet how an object lies that may be turned about its axis and flipped.
_OBSERVED = tuple(name for name in GROUPS if name != CYLINDER)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """
    One task as the robot sees it.

    :param object_ids: objects whose poses the residual observes, in layout order.
    :param symmetries: symmetry group of each.
    :param timeout_s: when an episode without success ends.
    """

    instruction: str
    object_ids: tuple[str, ...]
    symmetries: tuple[str, ...]
    timeout_s: float

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        if not self.object_ids or len(self.object_ids) != len(self.symmetries):
            raise ConfigError(
                f'object_ids {self.object_ids} and symmetries {self.symmetries} must be lists '
                'of one length >= 1')
        for symmetry in self.symmetries:
            if symmetry not in _OBSERVED:
                raise UnknownNameError('symmetry group', symmetry, _OBSERVED)
        if not 0 < self.timeout_s <= 600:
            raise ConfigError(f'timeout_s is {self.timeout_s} s; allowed: 0 < x <= 600')

    def layout(self, variant: LayoutVariant = 'relative') -> ObservationLayout:
        """Return the observation layout of the task's residual, or one to compare it with."""
        return ObservationLayout(self.object_ids, self.symmetries, variant=variant)

    def layouts(self) -> dict[str, ObservationLayout]:
        """Return all layouts of the task by their hash, the shipped one first."""
        found = (self.layout(variant) for variant in VARIANTS)
        return {layout.sha256: layout for layout in found}


def known_task_specs() -> tuple[str, ...]:
    """Return the names of all tasks that ship."""
    return tuple(sorted(path.stem for path in config_path('tasks').glob('*.yaml')))


def load_task_spec(name: str, source: str = 'task') -> TaskSpec:
    """
    Return the specification of a task.

    :param source: parameter or option that the name came from, for the message.
    :raises UnknownNameError: no such task; the message lists the known ones.
    """
    if name not in known_task_specs():
        raise UnknownNameError('task', name, known_task_specs(), source)
    return load_yaml(TaskSpec, config_path('tasks', f'{name}.yaml'))
