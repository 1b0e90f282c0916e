# SPDX-License-Identifier: Apache-2.0
"""
Play franka_ros2 with CRISP toward whoever looks: topics, parameters, controller manager.

franka_msgs and controller_manager_msgs are no wheels. Here messages of the wheels carry their
fields as JSON, so that everything but the types themselves goes over DDS as it would.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
import numpy as np
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.arming_observer import ArmingObserver, OptionalTypes
from ocrrl_ros.interfaces.conversions import joint_state, pose_stamped
from ocrrl_ros.interfaces.monitor import status_message
from ocrrl_ros.interfaces.polling import PolledServices
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import rclpy
from ros_harness import Probe
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

Q = np.array(READY_POSITION)
TCP = FrankaKinematics().forward(Q)
CONTROLLER = 'joint_impedance_controller'
BROADCASTER = 'franka_robot_state_broadcaster'
_WEIGHTS = (150.0, 150.0, 150.0, 150.0, 50.0, 30.0, 10.0)
#: Parameters of CRISP's joint role with the law of training, and some that nobody asks for.
JOINT_ROLE = {
    'joints': list(ARM_JOINT_NAMES), 'nullspace.stiffness': 5.0, 'nullspace.damping': -1.0,
    'nullspace.projector_type': 'none', 'nullspace.max_tau': 40.0, 'max_delta_tau': 0.5,
    'limit_torques': True, 'stop_commands': False, 'use_gravity_compensation': False,
    'use_friction': True, 'filter.q': 0.5,
    **{f'task.{gain}_{part}_{axis}': value for gain, value in (('k', 0.0), ('d', -1.0))
       for part in ('pos', 'rot') for axis in 'xyz'},
    **{f'nullspace.weights.{joint}.value': weight
       for joint, weight in zip(ARM_JOINT_NAMES, _WEIGHTS)}}


def stand_in_types() -> OptionalTypes:
    """Return types whose fields are those of FrankaRobotState and ListControllers."""
    def inertia(name: str) -> property:
        return property(lambda self: SimpleNamespace(
            inertia=SimpleNamespace(m=json.loads(self.data)[name])))

    String.robot_mode = property(lambda self: json.loads(self.data)['robot_mode'])
    String.inertia_ee, String.inertia_load = inertia('ee'), inertia('load')
    Trigger.Response.controller = property(lambda self: [
        SimpleNamespace(**fields) for fields in json.loads(self.message)])
    return OptionalTypes(robot_state=String, list_controllers=Trigger)


def controller(
        name: str, state: str = 'active', kind: str | None = 'effort') -> dict[str, object]:
    """Return one controller as the manager lists it."""
    is_claiming = state == 'active' and kind is not None
    claimed = [f'{joint}/{kind}' for joint in ARM_JOINT_NAMES] if is_claiming else []
    return {'name': name, 'state': state, 'claimed_interfaces': claimed}


class PlayedRobot:
    """An arm at rest; what it says may be changed at any time."""

    def __init__(self, parameters: dict[str, object] | None = None):
        """Start with an arm with which all is well."""
        self.stamp_offset_s = 0.0
        self.pose, self.own_pose, self.frame = TCP.copy(), TCP.copy(), 'base'
        self.state = {'robot_mode': 2, 'ee': 0.73, 'load': 0.0}
        self.controllers = [
            controller('joint_state_broadcaster', kind=None), controller(CONTROLLER)]
        self.is_silent = self.is_manager_deaf = False
        self._nodes = {name: rclpy.create_node(name) for name in (
            BROADCASTER, CONTROLLER, 'controller_manager', 'gripper')}
        node = self._nodes[BROADCASTER]
        self._joints_out = node.create_publisher(
            JointState, 'franka/joint_states', qos.RELIABLE)
        self._pose_out = node.create_publisher(PoseStamped, 'current_pose', qos.RELIABLE)
        self._own_pose_out = node.create_publisher(
            PoseStamped, f'{BROADCASTER}/current_pose', qos.LATEST_BEST_EFFORT)
        self._state_out = node.create_publisher(
            String, f'{BROADCASTER}/robot_state', qos.RELIABLE)
        for name, value in (JOINT_ROLE | (parameters or {})).items():
            self._nodes[CONTROLLER].declare_parameter(name, value)
        self._nodes['controller_manager'].create_service(
            Trigger, 'controller_manager/list_controllers', self._on_list)
        self._gripper_out = self._nodes['gripper'].create_publisher(
            DiagnosticStatus, 'gripper/state', qos.LATCHED)
        self.tell_homed('yes')
        self._services = {name: PolledServices(found) for name, found in self._nodes.items()}

    def _on_list(self, request: object, response: object) -> object:
        """List the controllers."""
        response.message = json.dumps(self.controllers)
        return response

    def tell_homed(self, homed: str) -> None:
        """Say whether the hand is homed."""
        self._gripper_out.publish(status_message('gripper', 0, 'idle', {'homed': homed}))

    def beat(self) -> None:
        """Publish everything once and serve what was asked."""
        for name, services in self._services.items():
            if not (self.is_manager_deaf and name == 'controller_manager'):
                services.serve_all()
        if self.is_silent:
            return
        stamp_s = self.now_s() - self.stamp_offset_s
        self._joints_out.publish(joint_state(
            ARM_JOINT_NAMES, Q, np.zeros(7), stamp_s=stamp_s))
        self._pose_out.publish(pose_stamped(self.pose, self.frame, stamp_s))
        self._own_pose_out.publish(pose_stamped(self.own_pose, 'base', stamp_s))
        self._state_out.publish(String(data=json.dumps(self.state)))

    def now_s(self) -> float:
        """Return the time on the clock of the stamps."""
        return self._nodes[BROADCASTER].get_clock().now().nanoseconds * 1e-9

    def lose(self, name: str) -> None:
        """Take a node away."""
        del self._services[name]
        self._nodes.pop(name).destroy_node()

    def close(self) -> None:
        """Take every node away."""
        for node in self._nodes.values():
            node.destroy_node()


def wait_for(
        probe: Probe, observer: ArmingObserver, robot: PlayedRobot | None,
        facts: set[str]) -> list[str]:
    """Let both live until exactly these facts are in the way, and return the lines."""
    lines: list[str] = []

    def stands() -> bool:
        nonlocal lines
        if robot is not None:
            robot.beat()
        now_s = probe.node.get_clock().now().nanoseconds * 1e-9
        observer.step(now_s)
        lines = observer.refusals(now_s)
        return {line.split(':')[0] for line in lines} == facts

    try:
        probe.until(stands, timeout_s=30.0)
    except AssertionError as error:
        raise AssertionError(f'expected {facts or "nothing"} in the way, found {lines}') from error
    return lines
