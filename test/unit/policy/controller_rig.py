# SPDX-License-Identifier: Apache-2.0
"""A controller with a clock, a perfect arm and made-up networks, for tests of the controller."""

import numpy as np
from ocrrl_ros.core.se3 import pose
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.controller import ControllerConfig
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics

READY = np.array(READY_POSITION)
KINEMATICS = FrankaKinematics()
START = KINEMATICS.forward(READY)
TICK_S = 0.005


class FakeResidual:
    """Answers with one action and remembers what it saw."""

    bounds = ResidualBounds()
    layout = load_task_spec('cube_lift').layout()

    def __init__(self, action=(1.0, 0, 0, 0, 0, 0, -1.0), acts_per='tick'):
        """Take the action (7,) to answer with."""
        self.acts_per = acts_per
        self.action = np.array(action)
        self.observations = []

    def act(self, observation):
        """Return the action."""
        self.observations.append(observation)
        return self.action[None]


class FakeGate:
    """Answers with one weight and counts the episodes."""

    def __init__(self, weight):
        """Take the weight to answer with."""
        self.answer = weight
        self.resets = 0

    def reset(self):
        """Count."""
        self.resets += 1

    def weight(self, observation, now_s):
        """Return the weight."""
        return np.array([self.answer])


class Rig:
    """A controller with a clock and a perfect arm."""

    def __init__(self, residual=None, start=True, gate=None, **config):
        """Build and, by default, start an episode at 10 s."""
        self.controller = build_controller(
            'cube_lift', residual, ControllerConfig(**config), gate=gate)
        self.now_s = 10.0
        self.command = None
        self.actions = []
        self.see_arm()
        if start:
            self.controller.start_episode(self.now_s)

    def see_arm(self, q=None):
        """Report a measured state of now."""
        follows = q is None and self.command is not None
        q = self.command.q if follows else READY if q is None else q
        self.controller.on_joint_state(
            q, self.command.dq if follows else np.zeros(7), self.now_s)

    def see_cube(self):
        """Report a cube of now below the hand."""
        cube = pose(START[:3] + [0.0, 0.0, -0.4], np.array([0.0, 0.0, 0.0, 1.0]))
        self.controller.on_object_pose('cube', cube, np.zeros(36), self.now_s)

    def plan(self, offset=(0.0, 0.0, -0.03), stamp_s=None, opening=1.0):
        """Deliver a chunk that moves straight by the offset over its 16 points."""
        steps = np.linspace(0, 1, 16)[:, None]
        poses = pose(START[:3] + steps * np.array(offset), np.tile(START[3:], (16, 1)))
        stamp_s = self.now_s if stamp_s is None else stamp_s
        chunk = ActionChunk(stamp_s, 0.05, poses, np.full(16, opening))
        return self.controller.on_chunk(chunk, self.now_s)

    def run(self, duration_s, see_arm=True):
        """Tick for a while."""
        for tick in range(round(duration_s / TICK_S)):
            if see_arm:
                self.see_arm()
            if tick % 4 == 0:
                action = self.controller.policy_tick(self.now_s)
                if action is not None:
                    self.actions.append(action)
            command = self.controller.command_tick(TICK_S)
            self.command = command if command is not None else self.command
            self.now_s += TICK_S
        return self.controller

    def tcp(self):
        """Return the commanded TCP pose."""
        return KINEMATICS.forward(self.command.q)
