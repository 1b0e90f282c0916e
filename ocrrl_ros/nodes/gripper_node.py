# SPDX-License-Identifier: Apache-2.0
"""Turn the policy's gripper openings into commands of the hand's driver."""

from __future__ import annotations

import dataclasses
import sys

from diagnostic_msgs.msg import DiagnosticStatus
from ocrrl_ros.interfaces.gripper_drivers import (
    DriverName, DriverNames, make_driver, make_logic, ModeName)
from ocrrl_ros.interfaces.gripper_state import GRIPPER_COMMAND_TOPIC, opening_from_command
from ocrrl_ros.interfaces.gripper_width import FingerRelay, OpeningReader
from ocrrl_ros.interfaces.input_warnings import cause_of, InputWarnings
from ocrrl_ros.interfaces.monitor import status_message
from ocrrl_ros.interfaces.parameters import declare_config
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, LATEST
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.tick_loop import LoopConfig, TickLoop
from ocrrl_ros.robot.gripper_commands import HandPhase, HandStatus
from ocrrl_ros.robot.gripper_config import HandDriverConfig
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

NODE_NAME = 'gripper'
_LEVELS = {HandPhase.FAILED: DiagnosticStatus.ERROR, HandPhase.WAITING: DiagnosticStatus.WARN}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GripperNodeConfig:
    """Settings of the gripper node."""

    driver: DriverName = dataclasses.field(
        default='franka', metadata={'description': (
            'franka (franka_gripper), gripper_command (control_msgs/GripperCommand), '
            "width_percent (GELLO's adapter) or crisp (CRISP's adapter, remapped)")})
    mode: ModeName = dataclasses.field(
        default='auto', metadata={'description': (
            'binary opens or closes, proportional moves to widths; auto: binary for franka, '
            'proportional for the others')})
    finger_topic: str = dataclasses.field(
        default='franka_gripper/joint_states', metadata={'description': (
            'measured finger positions, passed on as gripper/joint_states; driver crisp does not '
            'read it, as its adapter publishes those')})
    names: DriverNames = DriverNames()
    hand: HandDriverConfig = HandDriverConfig()
    loop: LoopConfig = LoopConfig(rate_hz=100.0)


class GripperNode(Node):
    """
    Publishes ``gripper/state`` and offers ``gripper/home``; the logic is a ``HandLogic``.

    Nothing here waits for the hand: goals are sent in one tick, results looked for in later ones.
    """

    def __init__(self, **arguments):
        """
        Subscribe and create the driver's clients; the hand moves at the first wish.

        :raises ConfigError: a setting is wrong, or the driver's messages are not installed.
        """
        super().__init__(NODE_NAME, **arguments)
        self.config = declare_config(self, GripperNodeConfig)
        hand = self.config.hand
        self._driver = make_driver(self.config.driver, self, self.config.names)
        self._logic = make_logic(self._driver, self.config.mode, hand, self.config.driver)
        self._warnings = InputWarnings(self)
        self._wish_in = PolledSubscription(
            self, Float64MultiArray, GRIPPER_COMMAND_TOPIC, LATEST)
        self._width = (
            OpeningReader(self, hand.max_width_m) if self.config.driver == 'crisp'
            else FingerRelay(self, self.config.finger_topic, hand.max_width_m, self._warnings))
        self._state_out = self.create_publisher(DiagnosticStatus, 'gripper/state', LATCHED)
        self.create_service(Trigger, 'gripper/home', self._on_home)
        self._told: tuple[object, ...] | None = None
        self._logged = ''
        self.loop = TickLoop(self, self.config.loop)

    def step(self, now_s: float) -> None:
        """Take wishes, the width and the driver's answers; send the command that is due."""
        self._warnings.attempt(self._take_wish, now_s)
        self._warnings.attempt(self._take_width, now_s)
        command = self._logic.step(
            now_s, is_ready=self._driver.is_ready(), results=self._driver.take())
        if command is not None:
            self._driver.send(command)
        self._tell(self._logic.status(now_s))

    def _take_wish(self, now_s: float) -> None:
        """Take the newest wish."""
        message = self._wish_in.take_newest()
        if message is not None:
            self._logic.wish(opening_from_command(message), now_s)

    def _take_width(self, now_s: float) -> None:
        """Take the newest measured width."""
        width_m = self._width.take()
        if width_m is not None:
            self._logic.measure(width_m, now_s)
            self.loop.monitor.on_input('width', now_s, 1.0)
            self.loop.monitor.set_value('width_m', width_m)

    def _on_home(
            self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Home the hand as the next command; how that ends stands in ``gripper/state``."""
        problem = self._logic.ask_home()
        response.success = problem is None
        response.message = problem or 'homing is next; gripper/state tells how it ends'
        return response

    def _tell(self, status: HandStatus) -> None:
        """Publish and log the state when it has changed."""
        text = self._text_of(status)
        # A stream's target and the figures in a result change without news.
        current = (
            text, status.phase, cause_of(status.last_result), status.homed, status.wish)
        if current == self._told:
            return
        self._told = current
        level = _LEVELS.get(status.phase, DiagnosticStatus.OK)
        values = {
            'driver': self.config.driver, 'phase': status.phase.value,
            'last_result': status.last_result, 'homed': status.homed.value, 'wish': status.wish,
            'target': '' if status.target is None else status.target}
        self._state_out.publish(status_message(NODE_NAME, level[0], text, values))
        monitor = self.loop.monitor
        for name, value in values.items():
            monitor.set_value(name, value)
        is_fine = level == DiagnosticStatus.OK
        monitor.set_problem('hand', '' if is_fine else text)
        if text != self._logged:
            self._log(text, is_fine)
            self._logged = text

    def _log(self, text: str, is_fine: bool) -> None:
        """Log the state; rclpy wants one line of code for each severity."""
        if is_fine:
            self.get_logger().info(text)
        else:
            self.get_logger().warning(text)

    def _text_of(self, status: HandStatus) -> str:
        """Return the phase with what is to be said about it."""
        if status.phase is HandPhase.WAITING:
            return 'waiting for ' + ', '.join(self._driver.missing())
        return f'{status.phase.value}: {status.reason}' if status.reason else status.phase.value


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(GripperNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
