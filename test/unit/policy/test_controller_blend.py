# SPDX-License-Identifier: Apache-2.0
"""The controller takes its residual back where poses are unsure, and smooths what oscillates."""

from controller_rig import FakeGate, FakeResidual, Rig, START
import numpy as np
from ocrrl_ros.core.resources import bundle_path
from ocrrl_ros.core.se3 import pose
from ocrrl_ros.policy.assembly import build_controller, load_gated_residual
from ocrrl_ros.policy.blend import BlendConfig, BlendFactors

UNSURE = np.diag([0.1 ** 2] * 6).ravel()


class SwingingResidual(FakeResidual):
    """Answers with an action whose sign changes every second time."""

    def act(self, observation):
        """Return the action or its opposite."""
        self.observations.append(observation)
        return self.action[None] * (1.0 if len(self.observations) // 2 % 2 else -1.0)


def running(residual=None, covariance=None, gate=None, **config):
    """Start an episode that sees the cube and stays where it is."""
    rig = Rig(residual or FakeResidual(), gate=gate, **config)
    rig.see_cube()
    if covariance is not None:
        see(rig, covariance)
    rig.plan((0.0, 0.0, 0.0))
    return rig


def see(rig, covariance):
    """Report the cube a moment later, with a covariance."""
    cube = pose(START[:3] + [0.0, 0.0, -0.4], np.array([0.0, 0.0, 0.0, 1.0]))
    rig.controller.on_object_pose('cube', cube, covariance, rig.now_s + 1e-6)


def test_certain_poses_and_a_steady_residual_leave_the_commands_bit_for_bit():
    commands = {}
    for enabled in (True, False):
        rig = running(blend=BlendConfig(enabled=enabled), gate=FakeGate(0.7))
        commands[enabled] = []
        for _ in range(60):
            rig.run(0.01)
            rig.see_cube()
            commands[enabled].append(rig.command.q)
        assert all(action.blend == BlendFactors() for action in rig.actions)
        assert rig.actions[-1].weight == 0.7
    assert (np.array(commands[True]) == np.array(commands[False])).all()


def test_unsure_poses_leave_the_base_bit_for_bit_and_say_so():
    rig = running(covariance=UNSURE, gate=FakeGate(0.5))
    rig.run(0.6)
    action = rig.actions[-1]
    assert (action.command_pose == action.base_pose).all()
    assert (action.weight, action.blend.poses, action.blend.novelty) == (0.0, 0.0, 1.0)
    assert action.gain > 0.0


def test_sure_poses_bring_the_residual_back():
    rig = running(covariance=UNSURE)
    rig.run(0.5)
    see(rig, np.zeros(36))
    for _ in range(12):
        rig.run(0.1)
        rig.plan((0.0, 0.0, 0.0))
        rig.see_cube()
    assert rig.actions[-1].weight == 1.0
    assert any(0.0 < action.weight < 1.0 for action in rig.actions)


def test_an_oscillating_residual_is_smoothed_unless_that_is_switched_off():
    moved = {}
    for enabled in (True, False):
        rig = running(SwingingResidual((0.8, 0, 0, 0, 0, 0, 0)),
                      blend=BlendConfig(enabled=enabled))
        for _ in range(20):
            rig.run(0.1)
            rig.see_cube()
            rig.plan((0.0, 0.0, 0.0))
        late = np.array([action.command_pose[0] for action in rig.actions[-25:]])
        moved[enabled] = late.max() - late.min()
        assert rig.actions[-1].blend.smoothing == float(enabled)
    assert moved[True] < 0.2 * moved[False]


def test_a_new_episode_starts_without_what_was_told_before():
    rig = running(covariance=UNSURE)
    rig.run(0.5)
    rig.controller.stop_episode()
    rig.controller.start_episode(rig.now_s)
    rig.see_cube()
    rig.plan((0.0, 0.0, 0.0))
    rig.run(0.3)
    assert rig.actions[-1].weight == 1.0


def test_shipped_residual_is_taken_back_by_what_it_was_never_trained_on():
    residual, gate = load_gated_residual(bundle_path('models/residual_cube_lift'), 'cube_lift')
    rig = Rig()
    rig.controller = build_controller('cube_lift', residual, gate=gate)
    rig.see_arm()
    rig.controller.start_episode(rig.now_s)
    far = pose(np.array([0.5, 3.0, 0.02]), np.array([0.0, 0.0, 0.0, 1.0]))
    for _ in range(20):
        rig.plan((0.0, 0.0, 0.0))
        rig.controller.on_object_pose('cube', far, np.zeros(36), rig.now_s)
        rig.run(0.1)
    assert rig.actions[-1].weight == 0.0
    assert rig.actions[-1].blend.novelty == 0.0 and rig.actions[-1].blend.poses == 1.0
