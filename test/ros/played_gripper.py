# SPDX-License-Identifier: Apache-2.0
"""Servers with the names and manners of franka_gripper, around a hand that is simulated."""

import threading
import time

from ocrrl_ros.interfaces.qos import LATEST
import rclpy
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from sensor_msgs.msg import JointState
from stand_in_actions import Grasp, GripperCommand, Homing, Move
from std_srvs.srv import Trigger

_BEAT_S = 0.01
_STATE_S = 1.0 / 15.0
#: Faster than the real hand, so that tests take less time.
_SPEED_M_S = 0.4


class PlayedGripper:
    """
    Accepts every goal at once, each in a thread of its own, and never takes one back.

    ``calls`` notes what came: the name, and the fields of the goal. ``most_at_once`` is how many
    goals were ever carried out together.
    """

    def __init__(self, stop_m=0.0):
        """Start with an open hand whose fingers meet an object at ``stop_m``."""
        self.stop_m, self.width_m, self.is_stuck = stop_m, 0.08, False
        self.calls, self.most_at_once, self._at_once = [], 0, 0
        self._stop, self._closing = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self.node = rclpy.create_node('franka_gripper_played')
        group = ReentrantCallbackGroup()
        self._servers = [
            ActionServer(
                self.node, kind, f'franka_gripper/{name}', execute, callback_group=group,
                cancel_callback=lambda handle: CancelResponse.ACCEPT)
            for name, kind, execute in (
                ('move', Move, self._move), ('grasp', Grasp, self._grasp),
                ('homing', Homing, self._home),
                ('gripper_action', GripperCommand, self._gripper_command))]
        self.node.create_service(
            Trigger, 'franka_gripper/stop', self._on_stop, callback_group=group)
        self._state = self.node.create_publisher(
            JointState, 'franka_gripper/joint_states', LATEST)
        self.node.create_timer(_STATE_S, self._publish, callback_group=group)
        self._executor = MultiThreadedExecutor(num_threads=4)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()

    @property
    def names(self):
        """Return the names of what was called."""
        return [name for name, _ in self.calls]

    def _publish(self):
        message = JointState(name=['fr3_finger_joint1', 'fr3_finger_joint2'],
                             position=[0.5 * self.width_m] * 2)
        message.header.stamp = self.node.get_clock().now().to_msg()
        self._state.publish(message)

    def _on_stop(self, request, response):
        self.calls.append(('stop', {}))
        self._stop.set()
        response.success = True
        return response

    def _travel(self, handle, width_m):
        """Bring the fingers to a width; return whether nobody stopped them."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self._stop.clear()
        step_m = _SPEED_M_S * _BEAT_S
        while abs(self.width_m - width_m) > 1e-6 or self.is_stuck:
            if handle.is_cancel_requested or self._stop.wait(_BEAT_S) or self._closing.is_set():
                break
            if not self.is_stuck:
                self.width_m += min(max(width_m - self.width_m, -step_m), step_m)
        with self._lock:
            self._at_once -= 1
        return abs(self.width_m - width_m) <= 1e-6

    def _end(self, handle, kind, is_success, error=''):
        """Return the result, as the state of the goal."""
        if handle.is_cancel_requested:
            handle.canceled()
        else:
            (handle.succeed if is_success else handle.abort)()
        result = kind.Result()
        result.success, result.error = is_success, '' if is_success else error
        return result

    def _move(self, handle):
        goal = handle.request
        self.calls.append(('move', {'width': goal.width, 'speed': goal.speed}))
        return self._end(
            handle, Move, self._travel(handle, goal.width), 'the fingers did not move')

    def _grasp(self, handle):
        goal = handle.request
        self.calls.append(('grasp', {
            'width': goal.width, 'speed': goal.speed, 'force': goal.force,
            'inner': goal.epsilon.inner, 'outer': goal.epsilon.outer}))
        arrived = self._travel(handle, max(goal.width, self.stop_m))
        inside = goal.width - goal.epsilon.inner < self.width_m < goal.width + goal.epsilon.outer
        return self._end(handle, Grasp, arrived and inside, 'nothing was there')

    def _home(self, handle):
        self.calls.append(('homing', {}))
        arrived = self._travel(handle, 0.0) and self._travel(handle, 0.08)
        return self._end(handle, Homing, arrived, 'the fingers did not move')

    def _gripper_command(self, handle):
        command = handle.request.command
        self.calls.append(('gripper_action', {
            'position': command.position, 'max_effort': command.max_effort}))
        arrived = self._travel(handle, 2.0 * command.position)
        result = self._end(handle, GripperCommand, arrived)
        result.position, result.reached_goal = self.width_m, arrived
        return result

    def close(self, *, is_sudden=False):
        """Take the servers off the graph; suddenly: what is under way never has a result."""
        if is_sudden:
            self._executor.shutdown(timeout_sec=0.1)
        self._closing.set()
        time.sleep(2 * _BEAT_S)
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        for server in self._servers:
            server.destroy()
        self.node.destroy_node()
