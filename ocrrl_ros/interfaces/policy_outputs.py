# SPDX-License-Identifier: Apache-2.0
"""What the residual policy tells people and the recorder: action, state, arrows."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Point
import numpy as np
from ocrrl_ros.core.se3 import quat_to_rotvec
from ocrrl_ros.interfaces.conversions import named_vector, to_stamp
from ocrrl_ros.interfaces.gripper_state import GRIPPER_COMMAND_TOPIC
from ocrrl_ros.interfaces.input_warnings import cause_of
from ocrrl_ros.interfaces.monitor import status_message
from ocrrl_ros.interfaces.qos import LATCHED, LATEST, RELIABLE
from ocrrl_ros.policy.composition import ACTION_NAMES
from ocrrl_ros.policy.controller import ControllerState, PolicyAction, ResidualController
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from visualization_msgs.msg import Marker, MarkerArray

_AXES = ('x', 'y', 'z')
#: Corrections are millimetres; drawn at this scale they can be seen.
_ARROW_SCALE = 5.0
_GRIPPER_PERIOD_S = 1.0 / 30.0
_TIME_TOLERANCE_S = 1e-6
_LEVELS = {
    ControllerState.HOLDING: DiagnosticStatus.WARN,
    ControllerState.TAKEOVER: DiagnosticStatus.WARN,
    ControllerState.FAULT: DiagnosticStatus.ERROR}


def action_vector(action: PolicyAction) -> dict[str, float]:
    """
    Return a policy tick as named scalars.

    ``base.*`` and ``command.*`` are absolute targets (m, rotation vector in rad, opening) in the
    robot base frame; ``residual.*`` is the network's action in [-1, 1], of which gain x weight
    (loss and operator; gate and blend) acts; ``blend.*`` is the blend's part of the weight and how
    much the action is smoothed. With ``takeover`` 1 a person steers, and ``base.*`` are their
    targets.
    """
    values: dict[str, float] = {}
    for prefix, pose, opening in (
            ('base', action.base_pose, action.base_gripper),
            ('command', action.command_pose, action.command_gripper)):
        vector = np.concatenate([pose[:3], quat_to_rotvec(pose[3:]), [opening]])
        values |= {f'{prefix}.{name}': float(v) for name, v in zip(ACTION_NAMES, vector)}
    values |= {
        f'residual.{name}': float(v) for name, v in zip(ACTION_NAMES, action.action)}
    values |= {f'blend.{name}': value for name, value in vars(action.blend).items()}
    return values | {
        'weight': action.weight, 'gain': action.gain, 'takeover': float(action.is_takeover)}


def correction_arrow(action: PolicyAction) -> Marker:
    """Return the arrow from the base's target toward the corrected one, drawn longer."""
    marker = Marker(ns='correction', id=0, type=Marker.ARROW, action=Marker.ADD)
    marker.header.frame_id = 'base'
    marker.header.stamp = to_stamp(action.stamp_s)
    start = action.base_pose[:3]
    end = start + _ARROW_SCALE * (action.command_pose[:3] - start)
    marker.points = [Point(**dict(zip(_AXES, map(float, p)))) for p in (start, end)]
    marker.scale.x, marker.scale.y, marker.scale.z = 0.006, 0.012, 0.015
    marker.color.r, marker.color.g, marker.color.b, marker.color.a = 0.9, 0.3, 0.1, 1.0
    marker.pose.orientation.w = 1.0
    return marker


class PolicyOutputs:
    """Publishes ``residual_policy/{action,state,arrows}`` and the opening of the gripper."""

    def __init__(self, node: Node):
        """Create the publishers."""
        self._action = node.create_publisher(JointState, 'residual_policy/action', RELIABLE)
        self._state = node.create_publisher(
            DiagnosticStatus, 'residual_policy/state', LATCHED)
        self._arrows = node.create_publisher(MarkerArray, 'residual_policy/arrows', RELIABLE)
        self._gripper = node.create_publisher(Float64MultiArray, GRIPPER_COMMAND_TOPIC, LATEST)
        self._gripper_due_s = float('-inf')
        self._last: tuple[ControllerState, bool, str, bool, float] | None = None

    def action(self, action: PolicyAction) -> None:
        """Publish a policy tick; arrows only where somebody looks."""
        self._action.publish(named_vector(action_vector(action), action.stamp_s))
        if self._arrows.get_subscription_count():
            self._arrows.publish(MarkerArray(markers=[correction_arrow(action)]))

    def gripper(self, opening: float, now_s: float) -> None:
        """Publish an opening, 0..1, at 30 Hz; the driver adds hysteresis."""
        early_s = self._gripper_due_s - _TIME_TOLERANCE_S - now_s
        if not 0.0 < early_s <= _GRIPPER_PERIOD_S:
            self._gripper_due_s = now_s + _GRIPPER_PERIOD_S
            self._gripper.publish(Float64MultiArray(data=[opening]))

    def state(self, controller: ResidualController) -> bool:
        """Publish state and reason when they changed, and return whether they did."""
        machine = controller.machine
        # Ages in a reason change every tick; the cause does not.
        current = (
            machine.state, machine.is_latched, cause_of(machine.reason), controller.enabled,
            controller.config.residual_gain)
        if current == self._last:
            return False
        self._last = current
        level = _LEVELS.get(machine.state, DiagnosticStatus.OK)
        if machine.start_refused:
            level = DiagnosticStatus.WARN
        if machine.is_latched:
            level = DiagnosticStatus.ERROR
        self._state.publish(status_message(
            'residual_policy', level[0], machine.reason, {
                'state': machine.state.value, 'latched': machine.is_latched,
                'residual': controller.enabled, 'residual_gain': controller.config.residual_gain}))
        return True
