# SPDX-License-Identifier: Apache-2.0
"""Settings of the backend that takes poses from another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.perception.adapters.foundation_pose.config import ASSUMED_ERRORS
from ocrrl_ros.perception.confidence import ConfidenceConfig

_SEPARATOR = ':='


@dataclass(frozen=True, kw_only=True)
class DetectionsConfig:
    """Settings of poses that come as Detection3DArray."""

    topics: tuple[str, ...] = field(default=(), metadata={
        'description': 'topics of Detection3DArray: object:=topic where all on it is that object, '
                       'topic where class ids say which'})
    classes: tuple[str, ...] = field(default=(), metadata={
        'description': 'class ids that are not our object ids, as class_id:=object'})
    max_wait_s: float = field(default=0.5, metadata={
        'description': 'an object without a detection for so long while images come is STALE, s'})
    history_s: float = field(default=1.0, metadata={
        'description': 'images are kept so long for their detections, s'})
    from_depth: bool = field(default=True, metadata={
        'description': 'poses in the optical frame were found in the depth image: they share the '
                       'error of its scale, which the table shows'})
    position_sigma_m: float = field(
        default=0.002, metadata={'description': 'error of a detected position per axis, m'})
    rotation_sigma_deg: float = field(
        default=1.5, metadata={'description': 'error of a detected rotation per axis, deg'})
    confidence: ConfidenceConfig = field(
        default=ASSUMED_ERRORS, metadata={'description': 'probability of a good pose'})

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive and entries that are no pairs."""
        for name in ('max_wait_s', 'history_s', 'position_sigma_m', 'rotation_sigma_deg'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: > 0')
        for entry in self.topics:
            if not all(entry.split(_SEPARATOR)) or entry.count(_SEPARATOR) > 1:
                raise ConfigError(f'topics holds {entry!r}; allowed: topic, or object:=topic')
        for entry in self.classes:
            if not all(entry.partition(_SEPARATOR)):
                raise ConfigError(f'classes holds {entry!r}; allowed: class_id:=object')

    def sources(self, object_ids: Sequence[str]) -> dict[str, DetectionSource]:
        """
        Return what each topic may carry.

        :raises UnknownNameError: an entry names an object that is not tracked.
        :raises ConfigError: a topic is given twice, or none carries some object.
        """
        classes = {name: name for name in object_ids}
        for entry in self.classes:
            class_id, _, object_id = entry.partition(_SEPARATOR)
            classes[class_id] = _known(object_id, object_ids, 'detections.classes')
        found: dict[str, DetectionSource] = {}
        for entry in self.topics:
            object_id, pair, topic = entry.rpartition(_SEPARATOR)
            if pair:
                _known(object_id, object_ids, 'detections.topics')
            if topic in found:
                raise ConfigError(f'detections.topics names {topic} twice; allowed: once')
            found[topic] = DetectionSource(topic, object_id, classes)
        carried = {name for source in found.values() for name in source.object_ids}
        missing = [name for name in object_ids if name not in carried]
        if missing:
            raise ConfigError(
                f'pose_backend is detections, but detections.topics is {list(self.topics)}, which '
                f'has nothing for {", ".join(missing)}; give object:=topic, or one topic whose '
                'class ids name objects')
        return found


@dataclass(frozen=True)
class DetectionSource:
    """
    What one topic carries.

    ``object_id`` the one object on it, '' where class ids say which; ``classes`` objects by
    class id.
    """

    topic: str
    object_id: str
    classes: Mapping[str, str]

    @property
    def object_ids(self) -> set[str]:
        """Return which objects may come on it."""
        return {self.object_id} if self.object_id else set(self.classes.values())


def _known(object_id: str, object_ids: Sequence[str], source: str) -> str:
    """Return the id of an object that is tracked, or raise."""
    if object_id not in object_ids:
        raise UnknownNameError('object', object_id, object_ids, source)
    return object_id
