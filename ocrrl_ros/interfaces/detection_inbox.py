# SPDX-License-Identifier: Apache-2.0
"""Poses from Detection3DArray, joined with the images that they were found in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from geometry_msgs.msg import Pose
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError, MissingDependencyError
from ocrrl_ros.interfaces.conversions import checked_pose, from_stamp, pose_to_array
from ocrrl_ros.interfaces.input_warnings import InputWarnings
from ocrrl_ros.interfaces.object_status import BASE_FRAME
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import SENSOR_DATA
from ocrrl_ros.perception.adapters.detections.config import DetectionsConfig, DetectionSource
from ocrrl_ros.perception.adapters.detections.matching import DetectionMatcher, Matched
from ocrrl_ros.perception.detected_pose import DetectedPose
from ocrrl_ros.perception.frame import RgbdFrame
from rclpy.node import Node

_NOT_FILLED = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


class FrameSource(Protocol):
    """Where images come from: `RgbdInbox`."""

    frame_id: str

    def take(self) -> RgbdFrame | None:
        """Return the newest image, once."""


class MessageSource(Protocol):
    """Where detections come from: `PolledSubscription`."""

    def take_all(self) -> list[Any]:
        """Return what waits, oldest first."""


def subscribe_detections(
        node: Node, topics: Iterable[str]) -> dict[str, PolledSubscription]:
    """
    Return a subscription for each topic of Detection3DArray.

    :raises ConfigError: it is not installed; the message has the install line.
    """
    vision = optional('vision_msgs.msg')
    if vision is None:
        raise ConfigError(str(MissingDependencyError(
            'vision_msgs (pose_backend detections takes Detection3DArray)',
            'apt-get install ros-jazzy-vision-msgs')))
    return {topic: PolledSubscription(node, vision.Detection3DArray, topic, SENSOR_DATA)
            for topic in topics}


class DetectionInbox:
    """
    Joins images and detections of them; what cannot be used is warned about by cause.

    :param object_ids: the objects that are tracked.
    :param frames: images.
    :param messages: Detection3DArray by topic, for every topic of the settings.
    """

    def __init__(
            self, object_ids: Sequence[str], config: DetectionsConfig, frames: FrameSource,
            messages: Mapping[str, MessageSource], warnings: InputWarnings):
        """Start with nothing."""
        self._frames, self._messages, self._warnings = frames, messages, warnings
        self._sources = config.sources(object_ids)
        self._matcher = DetectionMatcher(object_ids, config)
        self._topics = {name: ', '.join(
            topic for topic, source in self._sources.items() if name in source.object_ids)
            for name in object_ids}

    def take(self) -> tuple[list[Matched], RgbdFrame | None]:
        """
        Return images with what was detected in them, oldest first, and the newest image if new.

        :raises InputError: an image cannot be used; it is dropped.
        """
        newest = self._frames.take()
        if newest is not None:
            self._matcher.add_frame(newest)
        for topic, messages in self._messages.items():
            for message in messages.take_all():
                self._warnings.attempt(self._read, message, self._sources[topic])
        matched, problems = self._matcher.take()
        for problem in problems:
            self._warnings.warn(problem)
        return matched, newest

    def silent(self) -> dict[str, str]:
        """Return what to say of each object that had no detection for too long."""
        return {
            name: f'no detection on {self._topics[name]} '
                  + ('yet' if age_s is None else f'for {age_s:.1f} s')
            for name, age_s in self._matcher.silent().items()}

    def _read(self, message: Any, source: DetectionSource) -> None:
        """Keep the detections of a message for their image."""
        if not self._matcher.has_frames:
            raise InputError(f'{source.topic}: detections arrive, but no images')
        stamp_s = from_stamp(message.header.stamp)
        poses, problems = read_detections(message, source, self._frames.frame_id)
        for problem in problems:
            self._warnings.warn(problem)
        for object_id, pose in poses.items():
            self._warnings.attempt(
                self._matcher.add_pose, object_id, stamp_s, pose, source.topic)


def read_detections(
        message: Any, source: DetectionSource,
        camera_frame: str) -> tuple[dict[str, DetectedPose], list[str]]:
    """
    Return the pose of each object in a Detection3DArray, and why others are of no use.

    Isaac ROS sends one detection, its pose in ``bbox.center`` and no ``results``; others name
    class, score and pose in ``results``. Of several detections of an object the one with the
    highest score counts.

    :param camera_frame: ``frame_id`` of the images.
    :raises InputError: it is in another frame than the images or base, or empty.
    """
    frame_id = message.header.frame_id
    if frame_id not in (camera_frame, BASE_FRAME):
        raise InputError(
            f'{source.topic}: detections are in frame {frame_id!r}; allowed: {camera_frame!r}, '
            f'the frame of the images, and {BASE_FRAME!r}')
    if not message.detections:
        raise InputError(f'{source.topic}: an array without detections')
    scored: dict[str, list[tuple[float | None, DetectedPose]]] = {}
    problems: list[str] = []
    for index, detection in enumerate(message.detections):
        try:
            name, score, pose = _read_one(
                detection, source, frame_id, f'{source.topic}: detection {index}')
            scored.setdefault(name, []).append((score, pose))
        except InputError as error:
            problems.append(str(error))
    return dict(_best(scored, source.topic, problems)), problems


def _best(
        scored: Mapping[str, list[tuple[float | None, DetectedPose]]], topic: str,
        problems: list[str]) -> Iterator[tuple[str, DetectedPose]]:
    """Yield each object with its detection of the highest score."""
    for name, found in scored.items():
        if len(found) > 1 and any(score is None for score, _ in found):
            problems.append(
                f'{topic}: {len(found)} detections of {name} of which not all have a score; '
                'allowed: one, or a score for each')
            continue
        yield name, max(found, key=lambda item: item[0] or 0.0)[1]


def _read_one(
        detection: Any, source: DetectionSource, frame_id: str,
        where: str) -> tuple[str, float | None, DetectedPose]:
    """Return object, score and pose of a detection; its likeliest hypothesis counts."""
    own_frame = detection.header.frame_id if detection.header is not None else ''
    if own_frame not in ('', frame_id):
        raise InputError(
            f'{where} is in frame {own_frame!r}, its array in {frame_id!r}; allowed: the same')
    result = max(detection.results, key=lambda item: item.hypothesis.score, default=None)
    name = source.object_id
    if not name:
        class_id = '' if result is None else result.hypothesis.class_id
        if class_id not in source.classes:
            raise InputError(
                f'{where} has class id {class_id!r}; allowed: {", ".join(source.classes)}; '
                'others are named in detections.classes, or a topic is given to one object')
        name = source.classes[class_id]
    pose = checked_pose(_pose_of(detection, result), where)
    if frame_id != BASE_FRAME and not pose[2] > 0.0:
        raise InputError(
            f'{where} lies at z = {pose[2]:.3f} m of the optical frame; allowed: > 0 m, in front')
    score = None if result is None else float(result.hypothesis.score)
    return name, score, DetectedPose(pose, in_base=frame_id == BASE_FRAME)


def _pose_of(detection: Any, result: Any) -> Pose:
    """Return the hypothesis's pose, or the box's where nobody filled that in."""
    if result is None or np.array_equal(pose_to_array(result.pose.pose), _NOT_FILLED):
        return detection.bbox.center
    return result.pose.pose
