# SPDX-License-Identifier: Apache-2.0
"""Publish object poses and the confidence behind them from RGB-D images."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import sys
import time

from geometry_msgs.msg import PointStamped, PoseStamped, TransformStamped
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.se3 import check_pose
from ocrrl_ros.interfaces import episode_state
from ocrrl_ros.interfaces.conversions import checked_pose, from_stamp, transform_to_array
from ocrrl_ros.interfaces.detection_inbox import DetectionInbox, subscribe_detections
from ocrrl_ros.interfaces.input_warnings import InputWarnings
from ocrrl_ros.interfaces.managed_node import ManagedConfig, ManagedNode
from ocrrl_ros.interfaces.object_outputs import ObjectOutputs
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, RELIABLE, SENSOR_DATA
from ocrrl_ros.interfaces.rgbd_inbox import RgbdInbox
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.tick_loop import LoopConfig
from ocrrl_ros.perception.adapters.detections.config import DetectionsConfig
from ocrrl_ros.perception.adapters.foundation_pose.config import FoundationPoseConfig
from ocrrl_ros.perception.adapters.sam2_onnx import Sam2OnnxConfig
from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoConfig
from ocrrl_ros.perception.detected_pose import DetectedPose
from ocrrl_ros.perception.frame import RgbdFrame
from ocrrl_ros.perception.frozen_camera import FrozenCamera
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.pose_estimator import (
    load_tracker_config, MaskBackend, PoseBackend, PoseEstimator, TrackerConfig)
from ocrrl_ros.perception.wrist_camera import WristCamera
from ocrrl_ros.policy.task_spec import load_task_spec
from std_msgs.msg import String

NODE_NAME = 'pose_estimator'
_EXTRINSICS_TOPIC = 'camera/camera/extrinsics/base_to_color'
_POSE_TOPIC = 'current_pose'
_FROZEN = ('the camera shows the same depth image again and again: it has frozen, no object is '
           'tracked until it shows another')
_BLIND = 'the depth image on {} has no valid pixel: no object can be seen'
_IMAGES_S = 1.0
"""Without a frame for so long it is said what frames wait for."""
_ANY_POSE = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseEstimatorConfig(ManagedConfig):
    """Settings of the pose estimator node."""

    task: str = dataclasses.field(
        default='cube_lift', metadata={'description': 'task whose objects are tracked'})
    base_T_camera: tuple[float, ...] = dataclasses.field(
        default=(), metadata={'description': (
            'calibrated pose x y z qx qy qz qw of the colour optical frame in base; empty takes '
            f'it from {_EXTRINSICS_TOPIC}')})
    tcp_T_camera: tuple[float, ...] = dataclasses.field(
        default=(), metadata={'description': (
            'camera on the wrist: calibrated pose of its colour optical frame in fr3_hand_tcp; '
            f'the hand is followed on {_POSE_TOPIC}')})
    pose_backend: PoseBackend = dataclasses.field(default='embedded', metadata={
        'description': 'embedded, foundation_pose with its two model files, or detections: poses '
                       'of another program on detections.topics'})
    foundation_pose: FoundationPoseConfig = FoundationPoseConfig()
    detections: DetectionsConfig = DetectionsConfig()
    mask_backend: MaskBackend = dataclasses.field(default='colour', metadata={
        'description': 'colour, sam2_onnx with its two model files, or sam2_video with its '
                       'checkpoint'})
    sam2: Sam2OnnxConfig = Sam2OnnxConfig()
    sam2_video: Sam2VideoConfig = Sam2VideoConfig()
    max_lead_s: float = dataclasses.field(default=0.0, metadata={
        'description': 'poses are moved on by the time since their image, at most by this, s; 0: '
                       'as config/tracker.yaml says (as seen)'})
    loop: LoopConfig = LoopConfig(rate_hz=200.0)

    def tracker(self) -> TrackerConfig:
        """
        Return the tracker's settings with these parameters.

        :raises ConfigError: a value that is not allowed.
        """
        shipped = load_tracker_config()
        motion = shipped.motion if self.max_lead_s == 0.0 else dataclasses.replace(
            shipped.motion, max_lead_s=self.max_lead_s)
        return dataclasses.replace(
            shipped, pose_backend=self.pose_backend, foundation_pose=self.foundation_pose,
            detections=self.detections, mask_backend=self.mask_backend, sam2=self.sam2,
            sam2_video=self.sam2_video, motion=motion)

    def __post_init__(self) -> None:
        """Refuse what is no pose."""
        for name in ('base_T_camera', 'tcp_T_camera'):
            if getattr(self, name):
                try:
                    check_pose(getattr(self, name), name)
                except InputError as error:
                    raise ConfigError(str(error)) from error
        if self.base_T_camera and self.tcp_T_camera:
            raise ConfigError('base_T_camera and tcp_T_camera are both given; a camera is fixed '
                              'or on the wrist')


class PoseEstimatorNode(ManagedNode):
    """
    Tracks the task's objects with the embedded CPU tracker.

    Publishes ``objects/<id>/pose`` while the confidence gate is open, one pose with
    covariance[0] = -1 when it closes, and ``objects/status`` for every frame. Where vision_msgs is
    installed, valid objects are on ``objects/detections``, too. With SAM 2 it takes
    ``objects/<id>/prompt``, a pixel on the object. Configured, it has loaded and compiled what it
    needs; active, it hears the camera.
    """

    def __init__(self, make_detections=subscribe_detections, **arguments):
        """
        Compile the tracker; frames are used once the camera's pose is known.

        Compiling takes a minute on a machine that has never done it: here Ctrl-C ends it, in the
        loop it would wait for its end.

        :param make_detections: subscribes this node to topics of detections.
        :raises ConfigError: a setting is wrong, or detections are asked for without vision_msgs.
        """
        super().__init__(NODE_NAME, PoseEstimatorConfig, **arguments)
        self._make_detections = make_detections
        self._warnings = InputWarnings(self)
        self._estimator: PoseEstimator | None = None
        self.start()

    def configure(self) -> None:
        """
        Load and compile.

        :raises OcrrlError: task, objects or model files are missing or cannot be used, or
            detections are asked for without vision_msgs.
        """
        task = load_task_spec(self.config.task, f'parameter task of {NODE_NAME}')
        objects = [load_object(object_id) for object_id in task.object_ids]
        self._object_ids = task.object_ids
        # Before the compiling, of which nothing would come without vision_msgs.
        self._detections_in = self._make_detections(
            self, self.config.detections.sources(task.object_ids)) if (
                self.config.pose_backend == 'detections') else None
        self._estimator = PoseEstimator(
            objects, self.config.base_T_camera or _ANY_POSE, self.config.tracker())
        self._estimator.warm_up()
        self._has_camera = bool(self.config.base_T_camera)
        self._outputs = ObjectOutputs(self, objects)

    def cleanup(self) -> None:
        """Drop what was loaded."""
        self._estimator = self._outputs = self._detections_in = None

    def activate(self) -> None:
        """Subscribe, and search anew: objects may have been put elsewhere."""
        self._estimator.reset()
        self._wrist = WristCamera(
            np.array(self.config.tcp_T_camera)) if self.config.tcp_T_camera else None
        self._waiting: RgbdFrame | None = None
        self._frozen = FrozenCamera()
        self._episode = 0
        self._framed_s = float('-inf')
        self._frames = RgbdInbox(self)
        self._extrinsics_in = PolledSubscription(
            self, TransformStamped, _EXTRINSICS_TOPIC, LATCHED)
        self._hand_in = None if self._wrist is None else PolledSubscription(
            self, PoseStamped, _POSE_TOPIC, SENSOR_DATA)
        self._episode_in = episode_state.EpisodeInbox(self)
        # Of no use where masks are found by colour.
        self._prompts_in = {} if self.config.mask_backend == 'colour' else {
            object_id: PolledSubscription(
                self, PointStamped, f'objects/{object_id}/prompt', RELIABLE)
            for object_id in self._object_ids}
        for waiting in (self._detections_in or {}).values():
            waiting.take_all()
        self._detected = None if self._detections_in is None else DetectionInbox(
            self._object_ids, self.config.detections, self._frames, self._detections_in,
            self._warnings)

    def step_active(self, now_s: float) -> None:
        """Take the newest complete frame and publish what is seen in it."""
        take_frame = self._take_frame if self._wrist is None else self._take_wrist_frame
        for take in (self._take_camera, self._take_episode, self._take_prompts,
                     take_frame if self._detected is None else self._take_detected):
            self._warnings.attempt(take)
        self._report_images(now_s)

    def _report_images(self, now_s: float) -> None:
        """Say what frames wait for, once none has come for a second."""
        if not self._frames.missing or now_s < self._framed_s:
            self._framed_s = now_s
        problem = self._frames.missing if now_s > self._framed_s + _IMAGES_S else ''
        self.loop.monitor.set_problem('images', problem)
        if problem:
            self._warnings.warn(problem)

    def _take_camera(self) -> None:
        """Take the camera's calibrated pose, unless a parameter gives it."""
        message = self._extrinsics_in.take_newest()
        if message is not None and self._wrist is None and not self.config.base_T_camera:
            self._estimator.set_camera(
                check_pose(transform_to_array(message), _EXTRINSICS_TOPIC))
            self._has_camera = True

    def _take_episode(self) -> None:
        """Follow the episode node."""
        for message in self._episode_in.take_changes():
            self._warnings.attempt(self._follow_episode, message)

    def _follow_episode(self, message: String) -> None:
        """Search anew when an episode starts: objects may have been put elsewhere."""
        state = episode_state.from_message(message)
        if state.running and state.number != self._episode:
            self._estimator.reset()
        self._episode = state.number

    def _take_prompts(self) -> None:
        """Look for objects where an operator points in the picture, px."""
        for object_id, prompts in self._prompts_in.items():
            message = prompts.take_newest()
            if message is not None:
                self._estimator.prompt(
                    object_id, np.array([message.point.x, message.point.y]))

    def _take_frame(self) -> None:
        """Track in the newest complete frame; without the camera's pose none can be used."""
        frame = self._frames.take()
        if frame is not None and self._knows_camera():
            self._process(frame)

    def _knows_camera(self) -> bool:
        """Say whether it is known where a fixed camera is, and warn where it is not."""
        if not self._has_camera:
            self._warnings.warn(
                f'images arrive, but no object is tracked: waiting for {_EXTRINSICS_TOPIC} (or '
                'set parameter base_T_camera)')
        return self._has_camera

    def _follow_hand(self) -> None:
        """Follow the hand that carries the camera."""
        for message in self._hand_in.take_all():
            self._wrist.add(
                from_stamp(message.header.stamp), checked_pose(message.pose, _POSE_TOPIC))

    def _pass_over(self) -> None:
        """Warn that it is not known where the hand was when an image was taken."""
        self._warnings.warn(
            f'an image is passed over: no poses on {_POSE_TOPIC} around its stamp; are '
            'they sent at 50 Hz or more, and do the clocks agree?')

    def _take_wrist_frame(self) -> None:
        """Track in the newest frame as soon as it is known where the hand was then."""
        self._follow_hand()
        frame = self._frames.take()
        if frame is not None:
            if self._waiting is not None:
                self._pass_over()
            self._waiting = frame
        pose = None if self._waiting is None else self._wrist.pose_at(self._waiting.stamp_s)
        if pose is not None:
            frame, self._waiting = self._waiting, None
            self._estimator.set_camera(pose)
            self._process(frame)

    def _take_detected(self) -> None:
        """Track in past frames of which detections have come; give up objects without any."""
        if self._wrist is not None:
            self._follow_hand()
        matched, newest = self._detected.take()
        for frame, poses in matched:
            if self._knows_camera() if self._wrist is None else self._knows_hand(frame):
                self._process(frame, poses)
        silent = self._detected.silent() if newest is not None else {}
        if silent:
            self._outputs.publish({
                name: self._estimator.starve(name, newest.stamp_s) for name in silent},
                newest.stamp_s, silent)

    def _knows_hand(self, frame: RgbdFrame) -> bool:
        """Say whether it is known where the hand was in a past frame, and warn where it is not."""
        pose = self._wrist.pose_at(frame.stamp_s)
        if pose is None:
            self._pass_over()
        else:
            self._estimator.set_camera(pose)
        return pose is not None

    def _process(
            self, frame: RgbdFrame, detected: Mapping[str, DetectedPose] | None = None) -> None:
        """Track, then publish poses and status; in a picture that stands still nothing is seen."""
        problem = _FROZEN if self._frozen.shows_again(frame.depth_m) else ''
        self.loop.monitor.set_problem('camera', problem)
        if problem:
            self._warnings.warn(problem)
            return
        blind = '' if frame.depth_m.any() else _BLIND.format(self._frames.depth_topic)
        self.loop.monitor.set_problem('depth', blind)
        if blind:
            self._warnings.warn(blind)
        started_s = time.monotonic()
        estimates = self._estimator.process(frame, detected)
        self.loop.monitor.set_value('process_ms', (time.monotonic() - started_s) * 1e3)
        self.loop.monitor.on_input('frame', frame.stamp_s, 0.5)
        now_s = self.get_clock().now().nanoseconds * 1e-9
        self._outputs.publish(self._estimator.advance(estimates, now_s), frame.stamp_s)


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(PoseEstimatorNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
