# SPDX-License-Identifier: Apache-2.0
"""A client of the running graph: services to drive episodes, topics to watch them."""

from __future__ import annotations

from collections.abc import Callable
import json
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TransformStamped
import numpy as np
from ocrrl_ros.core.errors import InputError, OcrrlError
from ocrrl_ros.evaluation.graph_session import GraphStatus, Outcome
from ocrrl_ros.evaluation.media import PinholeView
from ocrrl_ros.interfaces.conversions import from_stamp, named_vector_to_dict, transform_to_array
from ocrrl_ros.interfaces.gripper_state import GRIPPER_COMMAND_TOPIC
from ocrrl_ros.interfaces.image_conversions import camera_info_to_intrinsics, image_to_rgb
from ocrrl_ros.interfaces.monitor import DIAGNOSTICS_TOPIC
from ocrrl_ros.interfaces.polling import PolledClient, PolledSubscription
from ocrrl_ros.interfaces.qos import DEEP_RELIABLE, LATCHED, LATEST_BEST_EFFORT, RELIABLE
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64, Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger

_POLL_S = 0.005
_PATIENCE_S = 20.0
_QUIET_TICKS = 3
_STILL_TICKS = 100
_ENDINGS = {'success': 'mark_success', 'workspace': 'mark_failure', 'timeout': 'mark_failure'}


class TimedSubscription(PolledSubscription):
    """A polled subscription that also says when each message was sent."""

    def take_timed(self) -> list[tuple[Any, float]]:
        """Return every waiting message with the time of its publication, s of the system clock."""
        found = []
        while True:
            with self._handle:
                taken = self._handle.take_message(self._type, False)
            if taken is None:
                return found
            message, info = taken
            found.append((message, info['source_timestamp'] * 1e-9))


class GraphClient:
    """
    Drives episodes and watches the graph; implements `evaluation.graph_session.Graph`.

    :param node: owned by the caller; nothing else spins it.
    :param check: called while waiting; raises when the graph has died.
    :param object_ids: objects of the task; the delays of the first one's poses are measured.
    :param timeout_s: longest wait for an answer or a message.
    """

    def __init__(self, node: Node, check: Callable[[], None], object_ids: tuple[str, ...],
                 timeout_s: float = 60.0):
        """Create clients and subscriptions."""
        self._check = check
        self._timeout_s = timeout_s
        self._parameters = PolledClient(node, SetParameters, 'mujoco_bridge/set_parameters')
        self._residual = PolledClient(node, SetBool, 'residual_policy/set_enabled')
        self._triggers = {name: PolledClient(node, Trigger, name) for name in (
            'mujoco_bridge/sim/reset', 'episode/start', *(
                f'episode/{ending}' for ending in sorted(set(_ENDINGS.values()))))}
        self._state_in = PolledSubscription(node, String, 'mujoco_bridge/sim/task_state', RELIABLE)
        self._factor_in = PolledSubscription(
            node, Float64, 'mujoco_bridge/real_time_factor', RELIABLE)
        self._image_in = PolledSubscription(
            node, Image, 'camera/camera/color/image_raw', LATEST_BEST_EFFORT)
        self._info_in = PolledSubscription(
            node, CameraInfo, 'camera/camera/color/camera_info', LATEST_BEST_EFFORT)
        self._extrinsics_in = PolledSubscription(
            node, TransformStamped, 'camera/camera/extrinsics/base_to_color', LATCHED)
        self._action_in = PolledSubscription(
            node, JointState, 'residual_policy/action', DEEP_RELIABLE)
        self._pose_topics = [f'objects/{name}/pose' for name in object_ids]
        self._pose_in = TimedSubscription(
            node, PoseWithCovarianceStamped, self._pose_topics[0], DEEP_RELIABLE)
        self._targets_in = [
            PolledSubscription(node, kind, name, LATEST_BEST_EFFORT) for kind, name in (
                (JointState, 'target_joint'), (PoseStamped, 'target_pose'),
                (Float64MultiArray, GRIPPER_COMMAND_TOPIC))]
        self._chunk_out = 'base_policy/tcp_chunk'
        self._node = node
        self._diagnostics_in = PolledSubscription(
            node, DiagnosticArray, DIAGNOSTICS_TOPIC, DEEP_RELIABLE)
        self.diagnostics: dict[str, dict[str, str]] = {}
        self._last_reset: int | None = None
        self._view: PinholeView | None = None

    # -- driving ------------------------------------------------------------------------------

    def wait_ready(
            self, timeout_s: float, tell: Callable[[str], None] = lambda text: None) -> None:
        """
        Wait until every node answers, every pose has a source and the camera delivers.

        :param tell: told once, after a while, what is still missing.
        :raises OcrrlError: something is missing after ``timeout_s``; the message names it.
        """
        begin_s, is_told = time.monotonic(), False
        image = None
        while True:
            image = image or self._image_in.take_newest()
            missing = [name for name, client in {
                'mujoco_bridge': self._parameters, 'residual_policy': self._residual,
                **self._triggers}.items() if not client.is_ready()]
            missing += [topic for topic in (*self._pose_topics, self._chunk_out)
                        if not self._node.count_publishers(topic)]
            if image is None:
                missing.append('camera images')
            if not missing:
                return
            waited_s = time.monotonic() - begin_s
            if waited_s > timeout_s:
                raise OcrrlError(f'the graph is not up after {timeout_s:.0f} s; missing: '
                                 + ', '.join(missing))
            if waited_s > _PATIENCE_S and not is_told:
                is_told = True
                tell(f'still waiting for {", ".join(missing)}; the first start of a checkout '
                     'compiles its kernels, which may take minutes')
            self._check()
            time.sleep(0.05)

    def reset(self, seed: int, episode: int) -> dict[str, Any]:
        """Put the world at an episode's start and return the bridge's answer."""
        request = SetParameters.Request(parameters=[
            Parameter(name=name, value=ParameterValue(
                type=ParameterType.PARAMETER_INTEGER, integer_value=value))
            for name, value in (('sim.seed', seed), ('sim.episode', episode))])
        answer = self._call(self._parameters, request, 'mujoco_bridge/set_parameters')
        for result in answer.results:
            if not result.successful:
                raise OcrrlError(f'mujoco_bridge refuses seed {seed}, episode {episode}: '
                                 f'{result.reason}')
        answer = json.loads(self._trigger('mujoco_bridge/sim/reset'))
        self._state_in.take_all()
        self._last_reset = episode
        return answer

    def set_residual(self, enabled: bool) -> None:
        """Switch the residual on or off."""
        answer = self._call(
            self._residual, SetBool.Request(data=enabled), 'residual_policy/set_enabled')
        if not answer.success:
            raise OcrrlError(f'residual_policy/set_enabled: {answer.message}')

    def start_episode(self) -> None:
        """Let the robot move."""
        self._trigger('episode/start')

    def end_episode(self, outcome: Outcome) -> None:
        """
        Stop the robot, note the outcome, and wait until it is at rest.

        What the braking arm is still sent would undo the next reset. The episode node may have
        timed out first.
        """
        name = f'episode/{_ENDINGS[outcome]}'
        answer = self._call(self._triggers[name], Trigger.Request(), name)
        if not answer.success and outcome != 'timeout':
            raise OcrrlError(f'{name}: {answer.message}')
        self._wait_still()

    def _wait_still(self) -> None:
        """
        Wait until no target has been sent for three ticks of the task's state.

        :raises OcrrlError: targets still come after five seconds of the task's time.
        """
        quiet = 0
        for _ in range(_STILL_TICKS):
            self.wait_status()
            heard = [target.name for target in self._targets_in if target.take() is not None]
            quiet = 0 if heard else quiet + 1
            if quiet == _QUIET_TICKS:
                return
        raise OcrrlError(f'the episode has ended, but targets still come on {", ".join(heard)}')

    def _trigger(self, name: str) -> str:
        """Call a Trigger service and return its message."""
        answer = self._call(self._triggers[name], Trigger.Request(), name)
        if not answer.success:
            raise OcrrlError(f'{name}: {answer.message}')
        return answer.message

    def _call(self, client: PolledClient, request: Any, name: str) -> Any:
        """Send a request and wait for its answer."""
        client.send(request)
        return self._wait(client.take, f'an answer of service {name}')

    def _wait(self, take: Callable[[], Any], what: str) -> Any:
        """Poll until ``take`` returns something."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            found = take()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise OcrrlError(f'waited {self._timeout_s:.0f} s in vain for {what}')
            self._check()
            time.sleep(_POLL_S)

    # -- watching -----------------------------------------------------------------------------

    def wait_status(self, after_s: float | None = None) -> GraphStatus:
        """Return the next status, or the first one whose time is past ``after_s``."""
        def take() -> GraphStatus | None:
            self._take_diagnostics()
            for message in self._state_in.take_all():
                status = _parse_status(message.data)
                fits = self._last_reset is None or status.episode == self._last_reset
                if fits and (after_s is None or status.time_s >= after_s):
                    return status
            return None

        return self._wait(take, 'mujoco_bridge/sim/task_state')

    def take_real_time_factors(self) -> list[float]:
        """Return the factors of the windows that ended since the last call."""
        return [message.data for message in self._factor_in.take_all()]

    def take_picture(self) -> np.ndarray | None:
        """Return the newest camera picture (H, W, 3) uint8, if one has arrived."""
        message = self._image_in.take_newest()
        return None if message is None else image_to_rgb(message, self._image_in.name)

    def wait_view(self) -> PinholeView:
        """Return the calibrated camera, from its info and extrinsics."""
        if self._view is None:
            info = self._wait(self._info_in.take_newest, 'camera/camera/color/camera_info')
            pose = self._wait(self._extrinsics_in.take_newest, 'camera/camera/extrinsics')
            camera = camera_info_to_intrinsics(info)
            self._view = PinholeView(
                transform_to_array(pose), (camera.fx, camera.fy, camera.cx, camera.cy))
        return self._view

    def take_actions(self) -> list[tuple[float, dict[str, float]]]:
        """Return the policy ticks that arrived: stamp in s and named values."""
        return [(from_stamp(message.header.stamp), named_vector_to_dict(message))
                for message in self._action_in.take_all(1000)]

    def take_pose_delays(self) -> list[tuple[float, float]]:
        """
        Return (time of publication, seconds from image stamp to publication) of new poses.

        Those of the task's first object, which is the one that is moved.
        """
        return [(sent_s, sent_s - from_stamp(message.header.stamp))
                for message, sent_s in self._pose_in.take_timed()
                if message.pose.covariance[0] >= 0.0]

    def _take_diagnostics(self) -> None:
        """Remember the newest values of every status."""
        for message in self._diagnostics_in.take_all():
            for status in message.status:
                self.diagnostics[status.name] = {
                    entry.key: entry.value for entry in status.values}


def _parse_status(text: str) -> GraphStatus:
    """
    Return the status that a JSON text holds.

    :raises InputError: it is no such text.
    """
    try:
        values = json.loads(text)
        return GraphStatus(**{name: values[name] for name in GraphStatus.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'mujoco_bridge/sim/task_state holds {text[:80]!r}: {error}') from error
