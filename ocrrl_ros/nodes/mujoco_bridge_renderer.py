# SPDX-License-Identifier: Apache-2.0
"""
The camera of the simulated world, in its own process.

It takes states from shared memory, renders, adds the domain's depth noise and publishes with
the names, encodings and frames of realsense2_camera. What it says about the camera (CameraInfo,
extrinsics) is what software is told, calibration error included.
"""

from __future__ import annotations

import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.conversions import transform_stamped
from ocrrl_ros.interfaces.image_conversions import OPTICAL_FRAME
from ocrrl_ros.interfaces.monitor import DiagnosticsPublisher, LoopMonitor
from ocrrl_ros.interfaces.qos import LATCHED, topic
from ocrrl_ros.interfaces.rgbd_outbox import RgbdOutbox
from ocrrl_ros.interfaces.shared_memory import StateReader
from ocrrl_ros.interfaces.spin import run_process
from ocrrl_ros.nodes.mujoco_bridge_camera import SNAPSHOT_HEAD
from ocrrl_ros.perception.frame import CameraModel
from ocrrl_ros.robot.fr3 import BASE_FRAME
from ocrrl_ros.sim.depth_noise import DepthNoise
from ocrrl_ros.sim.domain import Domain, load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.scene import build_model
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task
import rclpy
from rclpy.node import Node

_POSE_TOPIC = 'camera/camera/extrinsics/base_to_color'
# Where the viewer's window looks first: arm and table from the front.
_VIEW_CENTER_M, _VIEW_DISTANCE_M = (0.4, 0.0, 0.2), 1.6


class CameraPose:
    """Publishes base_T_camera as software is told it; on /tf_static too where tf2 exists."""

    def __init__(self, node: Node, domain: Domain):
        """Publish once, latched."""
        pose = transform_stamped(domain.camera.told_pose(), BASE_FRAME, OPTICAL_FRAME)
        self._pose = node.create_publisher(type(pose), _POSE_TOPIC, topic(_POSE_TOPIC).qos)
        self._pose.publish(pose)
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            return  # not among the wheels; a full ROS 2 installation has it
        self._tf = node.create_publisher(TFMessage, '/tf_static', LATCHED)
        self._tf.publish(TFMessage(transforms=[pose]))


class RendererProcess:
    """Take a state, render it, wait for its release, publish."""

    def __init__(
            self, task_name: str, domain: Domain, reader: StateReader, *, view: bool,
            every_frame: bool):
        """
        Build the scene and open GL.

        :param every_frame: render without subscribers too, so that the sensor's random numbers
            do not depend on when they come (lockstep).
        """
        self._task_name, self._domain, self._reader = task_name, domain, reader
        self._every_frame = every_frame
        self._reset_number = -1.0
        self._noise: DepthNoise | None = None
        model = build_model(get_task(task_name), domain, load_physics())
        camera = domain.camera
        self._renderer = SceneRenderer(model, camera.width, camera.height)
        self._viewer = Viewer(model) if view else None
        self._node = rclpy.create_node('mujoco_bridge_renderer')
        self._images = RgbdOutbox(self._node)
        self._camera_pose = CameraPose(self._node, domain)
        self._told = CameraModel(intrinsics=camera.told_intrinsics())
        self._monitor = LoopMonitor('mujoco_bridge_renderer', 1.0 / camera.rate_hz)
        self._diagnostics = DiagnosticsPublisher(self._node, [self._status])
        self._published = 0
        self._stamp_s = 0.0

    def run(self) -> None:
        """Serve until the physics process or the context ends."""
        self._warm_up()
        self._reader.ready()
        try:
            while rclpy.ok():
                snapshot = self._reader.wait(0.2)
                if snapshot is not None:
                    self._serve(snapshot)
                    self._reader.finish()
                self._diagnostics.publish_if_due(time.monotonic(), self._now_s())
        except EOFError:
            return  # the physics process has ended, so has the camera
        finally:
            self._renderer.close()
            self._node.destroy_node()

    def _warm_up(self) -> None:
        """Render once: the first picture compiles shaders and kernels, which takes long."""
        self._renderer.rgb()
        noise = self._depth_noise(np.random.default_rng(0))
        noise.apply(self._renderer.depth())

    def _depth_noise(self, rng: np.random.Generator) -> DepthNoise:
        """Return the depth error of this domain's camera."""
        camera = self._domain.camera
        return DepthNoise(camera.depth_noise, rng, camera.true_intrinsics())

    def _serve(self, snapshot: np.ndarray) -> None:
        """Render and publish one snapshot."""
        stamp_s, seed, episode, reset_number = snapshot[:SNAPSHOT_HEAD]
        self._stamp_s = float(stamp_s)
        if reset_number != self._reset_number:
            self._reset_number = reset_number
            streams = episode_rngs(
                self._task_name, self._domain.name, int(seed), int(episode))
            self._noise = self._depth_noise(streams.sensor)
        self._renderer.set_state(snapshot[SNAPSHOT_HEAD:])
        rgb = depth_mm = None
        if self._every_frame or self._images.color_is_heard:
            rgb = self._renderer.rgb()
        if self._every_frame or self._images.depth_is_heard:
            depth_mm = self._noise.apply(self._renderer.depth())
        if self._viewer is not None:
            self._viewer.show(snapshot[SNAPSHOT_HEAD:])
        while rclpy.ok() and not self._reader.wait_released(0.1):
            continue
        self._images.publish(self._stamp_s, rgb, depth_mm, self._told, self._told)
        self._monitor.tick(time.monotonic())
        self._published += rgb is not None or depth_mm is not None

    def _now_s(self) -> float:
        """Return ROS time; in lockstep nobody serves this node's clock, but states have stamps."""
        if self._every_frame:
            return self._stamp_s
        return self._node.get_clock().now().nanoseconds * 1e-9

    def _status(self, stamp_s: float) -> DiagnosticStatus:
        """Return frame periods, frames published, and states that came too fast to render."""
        self._monitor.set_value('frames', self._published)
        self._monitor.set_value('skipped', self._reader.skipped)
        return self._monitor.status(stamp_s)


class Viewer:
    """MuJoCo's window on the state that the renderer was given last."""

    def __init__(self, model: object):
        """Open the window."""
        import mujoco
        import mujoco.viewer
        self._model, self._data = model, mujoco.MjData(model)
        self._forward = mujoco.mj_forward
        # Without the panels: their buttons belong to a simulation that runs in the window.
        self._window = mujoco.viewer.launch_passive(
            model, self._data, show_left_ui=False, show_right_ui=False)
        camera = self._window.cam
        camera.lookat[:] = _VIEW_CENTER_M
        camera.distance, camera.azimuth, camera.elevation = _VIEW_DISTANCE_M, 145.0, -20.0

    def show(self, state: np.ndarray) -> None:
        """Show [time s, qpos]; a closed window stays closed."""
        if not self._window.is_running():
            return
        with self._window.lock():
            self._data.qpos[:] = state[1:]
            self._forward(self._model, self._data)
        self._window.sync()


def main() -> int:
    """Run the renderer process as the bridge starts it."""
    arguments = sys.argv[1:]
    if len(arguments) < 7:
        raise InputError('the renderer is started by mujoco_bridge, not by hand')
    task, domain, memory_fd, wake_fd, slot_size, view, every_frame = arguments[:7]

    def body() -> None:
        reader = StateReader(int(memory_fd), int(wake_fd), int(slot_size))
        RendererProcess(
            task, load_domain(domain), reader, view=bool(int(view)),
            every_frame=bool(int(every_frame))).run()

    return run_process(body, 'mujoco_bridge_renderer', sys.argv)


if __name__ == '__main__':
    sys.exit(main())
