# SPDX-License-Identifier: Apache-2.0
"""A driver with the names and manners of franka_ros2: what stops it, and how it comes back."""

import threading

from ocrrl_ros.interfaces.qos import RELIABLE
import rclpy
from rclpy.action import ActionServer
from rclpy.executors import SingleThreadedExecutor
from stand_in_control import (
    ErrorRecovery, fill_list, FrankaRobotState, ListControllers, ListHardwareComponents,
    SetHardwareComponentState, SwitchController)

HARDWARE, ARM = 'FrankaHardwareInterface', 'joint_impedance_controller'
BROADCASTERS = ('joint_state_broadcaster', 'franka_robot_state_broadcaster')
IDLE, MOVE, GUIDING, REFLEX, USER_STOPPED = 1, 2, 3, 4, 5
_STATE_S = 0.02


class PlayedDriver:
    """
    Tells its mode while its broadcaster is active, and refuses steps out of their order.

    ``calls`` notes what was asked of it, listings left out.
    """

    def __init__(self, namespace):
        """Start moving, all active."""
        self.calls, self.mode = [], MOVE
        self.hardware = {HARDWARE: 'active'}
        self.controllers = dict.fromkeys((*BROADCASTERS, ARM), 'active')
        self.listings, self.recovers = 0, True
        self.node = rclpy.create_node('played_driver', namespace=namespace)
        self._server = ActionServer(
            self.node, ErrorRecovery, 'action_server/error_recovery', self._recover)
        self.listing = self.node.create_service(
            ListControllers, 'controller_manager/list_controllers', self._list_controllers)
        for kind, name, answer in (
                (ListHardwareComponents, 'list_hardware_components', self._list_hardware),
                (SetHardwareComponentState, 'set_hardware_component_state', self._set_hardware),
                (SwitchController, 'switch_controller', self._switch)):
            self.node.create_service(kind, f'controller_manager/{name}', answer)
        self._state = self.node.create_publisher(
            FrankaRobotState, 'franka_robot_state_broadcaster/robot_state', RELIABLE)
        self.node.create_timer(_STATE_S, self._publish)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()

    def stop_by(self, mode, *, is_told=True):
        """Go into a mode as an error of the FCI does: hardware and controllers fall."""
        if is_told:
            self.mode = mode
            threading.Timer(0.3, self._fall).start()
        else:
            self._fall()
            self.mode = mode

    @property
    def has_fallen(self):
        """Return whether hardware and controllers have gone down with the error."""
        return self.hardware[HARDWARE] != 'active' and 'active' not in self.controllers.values()

    def _fall(self):
        self.hardware[HARDWARE] = 'unconfigured'
        self.controllers = dict.fromkeys(self.controllers, 'inactive')

    def _publish(self):
        if self.controllers[BROADCASTERS[1]] == 'active':
            message = FrankaRobotState()
            message.robot_mode = self.mode
            self._state.publish(message)

    def _recover(self, handle):
        self.calls.append('error_recovery')
        if self.recovers:
            self.mode = IDLE
        (handle.succeed if self.recovers else handle.abort)()
        return ErrorRecovery.Result()

    def _list_controllers(self, request, response):
        self.listings += 1
        return fill_list(response, self.controllers, are_components=False)

    def _list_hardware(self, request, response):
        return fill_list(response, self.hardware, are_components=True)

    def _set_hardware(self, request, response):
        self.calls.append(
            f'{request.name} to {request.target_state.label} ({request.target_state.id})')
        response.ok = self.mode == IDLE
        if response.ok:
            self.hardware[request.name] = request.target_state.label
        response.state.label = self.hardware[request.name]
        return response

    def _switch(self, request, response):
        names = request.activate_controllers
        self.calls.append(f'activate {", ".join(names)} ({request.strictness})')
        response.ok = self.hardware[HARDWARE] == 'active'
        if response.ok:
            self.controllers |= dict.fromkeys(names, 'active')
            self.mode = MOVE
        return response

    def close(self):
        """End the thread."""
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        self._server.destroy()
        self.node.destroy_node()
