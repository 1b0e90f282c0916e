# SPDX-License-Identifier: Apache-2.0
"""
A simulated world behind the ROS interface of a Franka Research 3, its hand and a camera.

This process runs the physics at 1 kHz; a second one renders. In real time each step has an
absolute deadline; with ``use_sim_time`` the node advances ``/clock`` in lockstep with its
participants. Falling behind shows in ``mujoco_bridge/real_time_factor`` and ``/diagnostics``;
no physics step is ever skipped.
"""

from __future__ import annotations

import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.interfaces.locality import stay_on_this_host
from ocrrl_ros.interfaces.lockstep import LockstepServer
from ocrrl_ros.interfaces.monitor import DiagnosticsPublisher, LoopMonitor
from ocrrl_ros.interfaces.parameters import declare_config
from ocrrl_ros.interfaces.polling import PolledServices
from ocrrl_ros.interfaces.qos import RELIABLE
from ocrrl_ros.interfaces.realtime import DeadlineLoop, enter_realtime, freeze_garbage
from ocrrl_ros.interfaces.spin import run_process
from ocrrl_ros.nodes.mujoco_bridge_camera import CameraLink, require_display
from ocrrl_ros.nodes.mujoco_bridge_description import RobotDescription
from ocrrl_ros.nodes.mujoco_bridge_franka import HandActions, OptionalInterfaces
from ocrrl_ros.nodes.mujoco_bridge_hand import HandServices
from ocrrl_ros.nodes.mujoco_bridge_inputs import TargetInputs
from ocrrl_ros.nodes.mujoco_bridge_publishers import StateTopics
from ocrrl_ros.nodes.mujoco_bridge_simulation import SimulationTopics
from ocrrl_ros.robot.robot_config import load_robot
from ocrrl_ros.sim.bridge_arm import ArmDriver
from ocrrl_ros.sim.bridge_config import BridgeConfig, EpisodeSelection, WorldSelection
from ocrrl_ros.sim.bridge_timing import RealTimeFactor, StampClock
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.world import SimWorld
import rclpy
from rclpy.node import Node
from std_msgs.msg import Float64

_REPORT_EVERY_S = 0.02
_REANNOUNCE_S = 0.2
_POLL_S = 0.0001


class MujocoBridgeNode(Node):
    """Owns the world and everything that is published about it."""

    def __init__(self, arguments: list[str], **node_options: object):
        """
        Build the world, start the renderer and hold the start posture.

        :param arguments: command line, of which the renderer gets the ROS part.
        """
        super().__init__('mujoco_bridge', **node_options)
        selection = declare_config(self, WorldSelection, prefix='sim', exclusive=False)
        episode = declare_config(
            self, EpisodeSelection, prefix='sim', exclusive=False, read_only=False)
        self.config = config = declare_config(self, BridgeConfig)
        if config.view:
            require_display()
        domain = load_domain(selection.domain)
        self.world = SimWorld(get_task(selection.task), domain, load_physics())
        self.uses_sim_time = self.get_parameter('use_sim_time').value
        self.camera: CameraLink | None = None
        self._steps = 0
        self._arm: ArmDriver | None = None
        self._sim = SimulationTopics(
            self, self.world, rate_hz=config.rates.task_hz, on_reset=self._on_reset)
        self._sim.reset(episode)
        self._arm = ArmDriver(self.world, load_robot())
        step_s = config.command_tick_s if self.uses_sim_time else self.world.timestep_s
        self.monitor = LoopMonitor(self.get_name(), step_s)
        self._robot_description = RobotDescription(self.context, self.get_namespace())
        self._topics = StateTopics(
            self, config.rates, self.world.timestep_s, self._robot_description.transforms)
        self._hand = HandServices(self, self.world)
        self.clock_map = StampClock()
        self._inputs = TargetInputs(
            self, self._arm.commander, self._hand.command, config.arm_controller,
            self.clock_map.stamp_s)
        self._optional = OptionalInterfaces(
            HandActions(
                self._hand.command,
                lambda: float(self.world.arm_state().finger_positions.sum()),
                lambda: self.physics_s),
            self._arm.commander, lambda: self.physics_s, context=self.context,
            namespace=self.get_namespace(),
            takes_trajectories=config.arm_controller in ('any', 'joint_trajectory'))
        self._factor_topic = self.create_publisher(Float64, '~/real_time_factor', RELIABLE)
        self._factor = RealTimeFactor()
        self._diagnostics = DiagnosticsPublisher(self, [self._status])
        if config.camera or config.view:
            self.camera = CameraLink(
                selection, state_size=1 + self.world.model.nq, rate_hz=domain.camera.rate_hz,
                delay_s=domain.camera.delay_s, step_s=self.world.timestep_s, view=config.view,
                every_frame=bool(self.uses_sim_time), ros_arguments=arguments)
        self._served = (PolledServices(self), PolledServices(self._robot_description.node))

    @property
    def physics_s(self) -> float:
        """Return physics time since the start of the node; resets do not set it back."""
        return self._steps * self.world.timestep_s

    def advance(self, steps: int) -> None:
        """Take targets, step the physics, publish what is due."""
        self._inputs.take(
            self.physics_s, lambda: self._arm.reading().base_T_tcp, everything=steps > 1)
        self.world.estimates_torque = self._topics.shows_contact
        try:
            for _ in range(steps):
                self._arm.act(self.physics_s)
                self._steps += 1
                self.world.step(1)
        except OcrrlError as error:
            self.get_logger().error(f'{error}; the episode starts over and counts as failed')
            self._sim.on_divergence()
        self.publish()

    def publish(self) -> None:
        """Publish states, images' states and the task's state that are due now."""
        physics_s = self.physics_s
        delay_s = self.world.time_s - self.world.arm_state().stamp_s
        self._topics.publish(
            self._steps, self.clock_map.stamp_s(physics_s - delay_s), self._arm.reading)
        self._sim.update(self.clock_map.stamp_s(physics_s))
        if self.camera is not None:
            self.camera.capture(
                self._steps, physics_s, self.clock_map.stamp_s(physics_s), self._sim.selection,
                self.world.render_state)
            self.camera.release(physics_s)

    def serve(self, *, everything: bool) -> None:
        """Answer requests to both nodes: look at every service, or at one in turn."""
        if everything:
            for services in self._served:
                services.serve_all()
        else:
            self._served[self._steps % len(self._served)].serve_one()

    def report(self, wall_s: float, lost_s: float = 0.0) -> None:
        """
        Publish the real-time factor and diagnostics once per second of wall time.

        :param lost_s: time that the loop has given up to catch up with.
        """
        self.monitor.set_value('lost_s', lost_s)
        factor = self._factor.update(wall_s, self.physics_s)
        if factor is not None:
            self._factor_topic.publish(Float64(data=factor))
            if self.camera is not None:
                self.camera.check_alive()
        self._diagnostics.publish_if_due(wall_s, self.clock_map.stamp_s(self.physics_s))

    def close(self) -> None:
        """End the renderer, the actions and the second node."""
        self._optional.close()
        self._robot_description.close()
        if self.camera is not None:
            self.camera.close()

    def _on_reset(self, selection: EpisodeSelection) -> None:
        """Drop old targets and hold, at the start of an episode."""
        if self._arm is None:
            return
        self._arm.hold()
        self._inputs.drop()
        self._hand.on_reset()
        if self.camera is not None:
            self.camera.on_reset()

    def _status(self, stamp_s: float) -> DiagnosticStatus:
        """Return the loop's status: real-time factor, refused targets, clips of CRISP."""
        clips = self._arm.clips
        for name, value in (
                ('real_time_factor', self._factor.last),
                ('refused_targets', self._inputs.refused),
                ('arm_mode', self._arm.commander.mode.value),
                ('stamp_corrections', self.clock_map.corrections),
                ('joint_target_ticks', clips.ticks),
                ('error_clip_share', clips.error_share),
                ('torque_rate_clip_share', clips.torque_rate_share)):
            self.monitor.set_value(name, value)
        return self.monitor.status(stamp_s)


def run_realtime(node: MujocoBridgeNode) -> None:
    """Step 1 ms per millisecond of wall time until the context ends."""
    # No arm waits for a simulated one: the 0.8 GB of locked memory are for the command loop.
    scheduling = enter_realtime(node.config.realtime_priority, locks_memory=False)
    node.get_logger().info(f'physics at 1 kHz in real time, {scheduling.message}')
    node.monitor.set_value('scheduler', f'{scheduling.policy} {scheduling.priority}')
    step_s = node.world.timestep_s
    report_every = round(_REPORT_EVERY_S / step_s)
    loop = DeadlineLoop(step_s)
    freeze_garbage()
    node.clock_map.offset_s = time.time() - node.physics_s
    count = 0
    while rclpy.ok():
        now_s = loop.wait()
        node.monitor.tick(now_s)
        node.advance(1)
        node.serve(everything=False)
        count += 1
        if count % report_every == 0:
            node.clock_map.follow(node.physics_s, loop.system_deadline_s())
            node.report(now_s, loop.lost_s)


def run_lockstep(node: MujocoBridgeNode) -> None:
    """Advance ``/clock`` tick by tick; without participants at the pace of real time."""
    config = node.config
    server = LockstepServer(node, config.lockstep_participants)
    names = ', '.join(config.lockstep_participants) or 'nobody, at the pace of real time'
    node.get_logger().info(f'simulated time in lockstep with: {names}')
    pace = None if config.lockstep_participants else DeadlineLoop(config.command_tick_s)
    steps = round(config.command_tick_s / node.world.timestep_s)
    while rclpy.ok():
        if pace is not None:
            pace.wait()
        node.monitor.tick(time.monotonic())
        node.advance(steps)
        if node.camera is not None:
            node.camera.wait_published(rclpy.ok)
        _await_participants(node, server)
        node.serve(everything=True)
        node.report(time.monotonic(), pace.lost_s if pace is not None else 0.0)


def _await_participants(node: MujocoBridgeNode, server: LockstepServer) -> None:
    """Announce the clock and wait until every participant has handled it."""
    clock_s = node.physics_s
    started_s = announced_s = time.monotonic()
    warned_s = started_s
    server.announce(clock_s)
    while rclpy.ok():
        missing = server.missing(clock_s)
        if not missing:
            return
        now_s = time.monotonic()
        if now_s - announced_s > _REANNOUNCE_S:
            announced_s = now_s
            server.announce(clock_s)
            node.serve(everything=True)
        if now_s - warned_s > node.config.lockstep_warning_s:
            warned_s = now_s
            node.get_logger().warning(
                f'lockstep waits since {now_s - started_s:.0f} s at {clock_s:.3f} s for: '
                f'{", ".join(missing)}')
        time.sleep(_POLL_S)


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C; the exit code is 2 for wrong settings and 1 for failures."""
    arguments = sys.argv if args is None else args
    stay_on_this_host()

    def body() -> None:
        node = MujocoBridgeNode(arguments)
        try:
            if node.camera is not None:
                node.camera.wait_ready(node.config.renderer_timeout_s, rclpy.ok)
            if node.uses_sim_time:
                run_lockstep(node)
            else:
                run_realtime(node)
        finally:
            node.close()
            node.destroy_node()

    return run_process(body, 'mujoco_bridge', arguments)


if __name__ == '__main__':
    sys.exit(main())
