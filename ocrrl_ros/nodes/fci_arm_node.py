# SPDX-License-Identifier: Apache-2.0
"""
Drive an FR3 through pylibfranka, for a robot without a real-time PC.

It stands in for franka_ros2 with CRISP: state topics of the same names, types and QoS, and
``target_joint``. The robot plans each motion to a target itself.
"""

from __future__ import annotations

import dataclasses
import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
from ocrrl_ros.core.errors import ConfigError, MissingDependencyError
from ocrrl_ros.interfaces.managed_node import ManagedConfig, ManagedNode
from ocrrl_ros.interfaces.monitor import status_message
from ocrrl_ros.interfaces.polling import PolledSubscription
from ocrrl_ros.interfaces.qos import LATCHED, topic
from ocrrl_ros.interfaces.spin import loop_node
from ocrrl_ros.interfaces.target_guard import joint_target, TargetGuard
from ocrrl_ros.interfaces.tick_loop import LoopConfig
from ocrrl_ros.nodes.fci_arm_requests import FciRequests
from ocrrl_ros.nodes.mujoco_bridge_publishers import StateTopics
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig
from ocrrl_ros.robot.adapters.franka_fci.library import load_pylibfranka
from ocrrl_ros.robot.adapters.franka_fci.link import FciLink, FciReport
from ocrrl_ros.robot.adapters.franka_fci.reading import FciReading
from ocrrl_ros.robot.adapters.franka_fci.state import FciState
from ocrrl_ros.robot.adapters.franka_fci.worker import FciPhase
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.bridge_config import BridgeRates
from sensor_msgs.msg import JointState

NODE_NAME = 'fci_arm'
#: Phases in which all is as it should be.
_FINE = (FciPhase.IDLE, FciPhase.MOVING, FciPhase.HOLDING)
#: The robot's end effector may be this far from the TCP of the URDF before that is said.
_EE_TOLERANCE_M = 2e-3
_MAX_STATE_AGE_S = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class FciRates:
    """How often each group of topics is published; the loop's rate is the most."""

    joint_states_hz: float = dataclasses.field(
        default=30.0, metadata={'description': 'joint_states (the arm alone), Hz'})
    franka_joint_states_hz: float = dataclasses.field(
        default=200.0, metadata={'description': 'franka/joint_states, Hz'})
    broadcaster_hz: float = dataclasses.field(
        default=200.0, metadata={'description': 'franka_robot_state_broadcaster/*, Hz'})
    robot_state_hz: float = dataclasses.field(
        default=200.0, metadata={'description': 'robot_state (needs franka_msgs), Hz'})
    crisp_hz: float = dataclasses.field(
        default=200.0, metadata={'description': 'current_pose and current_twist, Hz'})

    def for_topics(self) -> BridgeRates:
        """
        Return the rates as the state topics take them.

        :raises ConfigError: one is out of range.
        """
        return BridgeRates(**dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FciArmConfig(FciConfig, ManagedConfig):
    """Settings of the node."""

    rates: FciRates = FciRates()
    loop: LoopConfig = LoopConfig(rate_hz=200.0)


class FciArmNode(ManagedNode):
    """
    Publishes the arm's state and hands the newest ``target_joint`` to the robot.

    Configured, it has loaded the library; active, it holds the connection to the robot.
    """

    def __init__(self, **arguments):
        """
        Load the library; the robot is looked for in the loop.

        :raises ConfigError: a setting is wrong, or pylibfranka is missing; the message has the
            install line.
        """
        super().__init__(NODE_NAME, FciArmConfig, **arguments)
        config = self.config
        names = [item.name for item in dataclasses.fields(FciConfig)]
        self._link = FciLink(FciConfig(**{name: getattr(config, name) for name in names}))
        self._kinematics = FrankaKinematics()
        self._topics = StateTopics(
            self, config.rates.for_topics(), 1.0 / config.loop.rate_hz, with_hand=False)
        self._targets: PolledSubscription[JointState] | None = None
        self._guard = TargetGuard(self.get_logger().warning)
        self._requests = FciRequests(self, self._link, config.recovery_timeout_s)
        self._state_topic = self.create_publisher(DiagnosticStatus, '~/state', LATCHED)
        self._told: tuple[object, ...] = ()
        self._counted = 0
        self._steps = 0
        self.start()

    def configure(self) -> None:
        """
        Load the library.

        :raises ConfigError: it is missing; the message has the install line.
        """
        try:
            load_pylibfranka()
        except MissingDependencyError as error:
            raise ConfigError(str(error)) from error

    def activate(self) -> None:
        """Hear targets, and connect from the next step on."""
        target = topic('target_joint')
        self._targets = PolledSubscription(self, JointState, target.name, target.qos)
        self.loop.monitor.set_problem('phase', 'connecting')

    def deactivate(self) -> None:
        """End the motion and the connection."""
        self._link.close()

    def step_inactive(self, now_s: float) -> None:
        """Say once that there is no connection, and refuse requests."""
        self._answer()
        reason = f'no connection while the node is {self.lifecycle}'
        self._report(FciReport(phase=FciPhase.CLOSED, reason=reason), None)

    def step_active(self, now_s: float) -> None:
        """Publish the newest state, pass on the newest target, serve requests."""
        monotonic_s = time.monotonic()
        state = self._link.step(monotonic_s)
        self._guard.take(
            self._targets, lambda message: self._pass_on(message, monotonic_s), monotonic_s)
        self._answer()
        self._steps += 1
        if state is not None:
            stamp_s = now_s - (monotonic_s - state.received_s)
            reading = FciReading(state, self._kinematics)
            self._topics.publish(self._steps, stamp_s, lambda: reading)
            self._note(state, reading, stamp_s)
        self._report(self._link.report, state)

    def _answer(self) -> None:
        """Serve requests."""
        for answer in self._requests.step():
            self.get_logger().info(answer.message)

    def _pass_on(self, message: JointState, monotonic_s: float) -> None:
        """Hand a target to the robot's process, which checks it against the newest state."""
        target, _ = joint_target(message)
        if not self._link.send_target(target, monotonic_s):
            self._guard.refuse(
                self._targets.name, 'target_joint ignored: there is no connection to the robot',
                monotonic_s)

    def _note(self, state: FciState, reading: FciReading, stamp_s: float) -> None:
        """Put what the state says into the diagnosis."""
        monitor = self.loop.monitor
        monitor.on_input('state', stamp_s, _MAX_STATE_AGE_S)
        monitor.set_value('robot_mode', state.mode.label)
        monitor.set_value('success_rate', state.success_rate)
        monitor.set_value('ee_mass_kg', state.ee_mass_kg)
        monitor.set_value('load_mass_kg', state.load_mass_kg)
        offset_m = reading.ee_offset_m
        monitor.set_value('ee_offset_mm', offset_m * 1e3)
        monitor.set_problem('ee', '' if offset_m <= _EE_TOLERANCE_M else (
            f'the end effector set in Desk is {offset_m * 1e3:.0f} mm from fr3_hand_tcp; poses '
            'here are of fr3_hand_tcp, forces are at the one in Desk'))

    def _report(self, report: FciReport, state: FciState | None) -> None:
        """Say what has changed: log, ``~/state`` and diagnosis."""
        monitor = self.loop.monitor
        refused = report.counts.get('targets_refused', 0)
        if report.refusal and refused != self._counted:
            name = self._targets.name
            self._guard.refuse(name, f'{name}: {report.refusal}', time.monotonic())
        self._counted = refused
        for name, value in report.counts.items():
            monitor.set_value(name, value)
        monitor.set_value('connections_lost', self._link.losses)
        if state is None and report.phase.is_connected:
            return
        mode = 'unknown' if state is None else state.mode.label
        told = (report.phase, report.reason, mode, () if state is None else state.errors)
        if told != self._told:
            self._told = told
            self._tell(report, mode, told[-1])

    def _tell(self, report: FciReport, mode: str, errors: tuple[str, ...]) -> None:
        """Publish and log a new phase, reason, mode or error."""
        is_fine = report.phase in _FINE
        text = f'{report.phase.value}: {report.reason}'
        # On two lines: rclpy wants one severity per place.
        if is_fine:
            self.get_logger().info(text)
        else:
            self.get_logger().warning(text)
        monitor = self.loop.monitor
        monitor.set_problem('phase', '' if is_fine else text)
        monitor.set_value('phase', report.phase.value)
        level = DiagnosticStatus.OK if is_fine else DiagnosticStatus.WARN
        self._state_topic.publish(status_message(self.get_name(), level[0], text, {
            'phase': report.phase.value, 'reason': report.reason, 'robot_mode': mode,
            'errors': ','.join(errors), 'in_motion': report.in_motion}))

    def destroy_node(self) -> None:
        """End requests, the motion and the connection before the node goes."""
        self._requests.close()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C."""
    return loop_node(FciArmNode, NODE_NAME, args)


if __name__ == '__main__':
    sys.exit(main())
