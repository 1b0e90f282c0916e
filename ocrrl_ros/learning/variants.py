# SPDX-License-Identifier: Apache-2.0
"""Named changes to a residual training, for comparisons: config/train/variants."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ocrrl_ros.core.configuration import from_mapping, load_yaml
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.policy.action_hold import ResidualRate
from ocrrl_ros.policy.observation import LayoutVariant
from ocrrl_ros.policy.task_spec import known_task_specs

Settings = TypeVar('Settings')


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Settings that replace others; what is not named stays."""

    trainer: dict[str, Any] = field(
        default_factory=dict, metadata={'description': 'of the learner'})
    environment: dict[str, Any] = field(
        default_factory=dict, metadata={'description': 'of the environments, `VecEnvConfig`'})
    pose_model: dict[str, Any] = field(
        default_factory=dict, metadata={'description': 'of the pose sensor'})


@dataclass(frozen=True, kw_only=True)
class Variant(Changes):
    """A file of config/train/variants."""

    title: str = field(default='', metadata={'description': 'what is different, for people'})
    observation: LayoutVariant = field(
        default='relative', metadata={'description': 'observation layout'})
    acts_per: ResidualRate = field(default='tick', metadata={'description': (
        'how often the finished residual answers anew when it is measured and deployed')})
    pose_model_file: str = field(default='', metadata={
        'description': 'pose sensor that the changes are applied to, a file of config; default: '
        'that of a training without a variant'})
    tasks: dict[str, Changes] = field(
        default_factory=dict, metadata={'description': 'further changes by task'})

    def __post_init__(self) -> None:
        """Refuse tasks that do not exist."""
        for task in self.tasks:
            if task not in known_task_specs():
                raise UnknownNameError('task', task, known_task_specs())

    def apply(self, part: str, task: str, settings: Settings) -> Settings:
        """
        Return settings with the changes, those of the task last.

        :param part: trainer, environment or pose_model.
        :raises ConfigError: a change is of no such setting, or to no such value.
        """
        for changes in (self, self.tasks.get(task, Changes())):
            settings = from_mapping(
                type(settings), getattr(changes, part), f'variant {self.title!r}, {part}',
                settings)
        return settings


def known_variants() -> tuple[str, ...]:
    """Return the names of all variants that ship."""
    return tuple(sorted(path.stem for path in config_path('train', 'variants').glob('*.yaml')))


def load_variant(name: str) -> Variant:
    """
    Return a variant.

    :param name: one that ships, a YAML file, or nothing for no change.
    :raises UnknownNameError: there is none of the name; the message lists the known ones.
    :raises ConfigError: the file does not fit.
    """
    if not name:
        return Variant()
    if name.endswith(('.yaml', '.yml')):
        return load_yaml(Variant, Path(name))
    if name not in known_variants():
        raise UnknownNameError('variant', name, known_variants())
    return load_yaml(Variant, config_path('train', 'variants', f'{name}.yaml'))
