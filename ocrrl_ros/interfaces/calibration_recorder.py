# SPDX-License-Identifier: Apache-2.0
"""Take pictures of a calibration board from the running camera while someone moves the arm."""

from __future__ import annotations

from ocrrl_ros.core.errors import InputError, OcrrlError
from ocrrl_ros.interfaces.conversions import from_stamp, has_joints, joint_values
from ocrrl_ros.interfaces.image_conversions import camera_info_to_model, image_to_rgb
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATEST_BEST_EFFORT, SENSOR_DATA
from ocrrl_ros.perception.calibration.board import BoardConfig, CalibrationBoard
from ocrrl_ros.perception.calibration.capture import CaptureConfig, CaptureGuide
from ocrrl_ros.perception.calibration.hand_eye import Mount
from ocrrl_ros.perception.calibration.samples import (
    CalibrationSample, SampleFolder, SessionHead)
from ocrrl_ros.perception.frame import CameraModel
from ocrrl_ros.perception.rectification import Rectifier
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.kinematics import FrankaKinematics
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, JointState

#: Without a picture or joint positions for so long, the operator is told what is missing.
PATIENCE_S = 3.0


class CalibrationRecorder:
    """
    Listens only: nothing is published, the arm is moved by whoever guides or drives it.

    :param camera: namespace and name of the camera, as `camera/camera`.
    :param joint_topic: measured joint states.
    """

    def __init__(
            self, node: Node, folder: SampleFolder, mount: Mount, board: BoardConfig,
            capture: CaptureConfig, camera: str, joint_topic: str):
        """Subscribe; samples that the folder already holds count."""
        self._folder, self._mount, self._config = folder, mount, board
        self._board = CalibrationBoard(board)
        self._kinematics = FrankaKinematics()
        held = folder.read()
        self.guide = CaptureGuide(
            capture, len(self._board.points), [sample.base_T_tcp for sample in held])
        self._image_in = PolledSubscription(
            node, Image, f'{camera}/color/image_raw', LATEST_BEST_EFFORT)
        self._info_in = PolledSubscription(
            node, CameraInfo, f'{camera}/color/camera_info', LATEST_BEST_EFFORT)
        self._joints_in = PolledSubscription(node, JointState, joint_topic, SENSOR_DATA)
        self._rectifier: Rectifier | None = None
        self._image: Image | None = None
        self._q = None
        self._silent_since_s: float | None = None

    def step(self, now_s: float) -> str | None:
        """
        Take what has arrived; return what to tell the operator, None if nothing is new.

        :param now_s: any clock that runs evenly.
        :raises InputError: an input cannot be used, or the camera is not that of the samples
            before; what was taken is kept.
        """
        self._take_inputs()
        if self._image is None or self._rectifier is None or self._q is None:
            return self._waiting(now_s)
        self._silent_since_s = now_s
        image, self._image = self._image, None
        return self._look(image)

    def _take_inputs(self) -> None:
        """Take the newest of everything; every joint state counts for standing still."""
        info = self._info_in.take_newest()
        if info is not None:
            self._see_camera(camera_info_to_model(info, self._info_in.name))
        for message in self._joints_in.take_all():
            if has_joints(message, ARM_JOINT_NAMES):
                self._q = joint_values(message, ARM_JOINT_NAMES, source=self._joints_in.name)
                self.guide.follow(from_stamp(message.header.stamp), self._q)
        self._image = self._image_in.take_newest() or self._image

    def _see_camera(self, camera: CameraModel) -> None:
        """Remember the camera; it must not change."""
        if self._rectifier is None:
            rectifier = Rectifier(camera, self._info_in.name)
            self._folder.begin(SessionHead(
                mount=self._mount, board=self._config, camera=camera.intrinsics))
            self._rectifier = rectifier
        elif camera != self._rectifier.model:
            raise InputError(
                f'{self._info_in.name} has changed from {self._rectifier.model} to {camera}; all '
                'pictures must be of one camera and resolution')

    def _waiting(self, now_s: float) -> str | None:
        """Say what is missing, once it is missing for long."""
        self._silent_since_s = now_s if self._silent_since_s is None else self._silent_since_s
        if now_s - self._silent_since_s < PATIENCE_S:
            return None
        missing = [topic.name for topic, here in (
            (self._image_in, self._image), (self._info_in, self._rectifier),
            (self._joints_in, self._q)) if here is None]
        return f'waiting for {", ".join(missing)}'

    def _look(self, image: Image) -> str:
        """Decide about one picture, and keep it if it counts."""
        rgb = image_to_rgb(image, self._image_in.name)
        camera = self._rectifier.intrinsics
        if rgb.shape[:2] != (camera.height, camera.width):
            raise OcrrlError(
                f'{self._image_in.name} is {rgb.shape[1]} x {rgb.shape[0]} px, '
                f'{self._info_in.name} says {camera.width} x {camera.height}')
        rgb = self._rectifier.colour(rgb)
        stamp_s, base_T_tcp = from_stamp(image.header.stamp), self._kinematics.forward(self._q)
        advice = self.guide.judge(stamp_s, self._board.detect(rgb), base_T_tcp)
        if not advice.take:
            return advice.text
        path = self._folder.add(CalibrationSample(
            stamp_s=stamp_s, rgb=rgb, base_T_tcp=base_T_tcp, q=tuple(self._q)))
        self.guide.note(base_T_tcp)
        return f'{path.name} taken; {self.guide.next_step()}'
