# SPDX-License-Identifier: Apache-2.0
"""The operators of all tasks do them, never twice alike, with errors of a human size."""

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.data.rig import TICK_S
from ocrrl_ros.policy.target_follower import TargetFollower
from ocrrl_ros.robot.command_shaping import CommandShaper
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.place_operator import operator_for
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task, known_tasks, SuccessCounter
from ocrrl_ros.sim.teleoperator import OperatorView
from ocrrl_ros.sim.world import SimWorld
import pytest

COMMAND_S = 0.005


class Booth:
    """A world, an arm that follows 20 Hz targets, and nobody filming."""

    def __init__(self, name, seed, attempt):
        """Start an attempt of the operator."""
        self.task = get_task(name)
        domain = load_domain('proxy')
        self.world = SimWorld(self.task, domain, load_physics(), estimates_torque=False)
        streams = episode_rngs(name, 'proxy', seed, attempt)
        self.world.reset(streams.initial)
        self.operator = operator_for(self.task, streams.base, tick_s=TICK_S)
        self.kinematics = FrankaKinematics()
        self.follower = TargetFollower(self.kinematics, CommandShaper())
        self.follower.seed(self.world.arm_state().q)
        self.targets = []

    def tick(self):
        """Let the operator and the arm act for one tick."""
        state = self.world.arm_state()
        command = self.operator.act(OperatorView(
            self.kinematics.forward(state.q), state.opening,
            self.world.object_pose(self.task.object_ids[0]), self.world.task_state()))
        self.targets.append(command.base_T_tcp)
        self.world.set_gripper(command.gripper)
        self.follower.aim(command.base_T_tcp, np.zeros(6), TICK_S)
        for _ in range(round(TICK_S / COMMAND_S)):
            q, _ = self.follower.sample(COMMAND_S)
            self.world.set_joint_target(q)
            self.world.step(round(COMMAND_S / self.world.timestep_s))

    def finish(self):
        """Return whether the task was done in time."""
        counter = SuccessCounter(1, self.task.hold_ticks)
        for _ in range(round(self.task.horizon_s / TICK_S)):
            self.tick()
            if counter.update(self.task.success_now(self.world.task_state()))[0]:
                return True
        return False


@pytest.mark.parametrize('name', known_tasks())
def test_operator_does_the_task_in_the_world_that_stands_in_for_reality(name):
    assert Booth(name, 500, 1).finish()


@pytest.mark.parametrize('name', known_tasks())
def test_same_generator_gives_the_same_strokes_and_another_gives_others(name):
    tracks = []
    for seed, attempt in ((500, 2), (500, 2), (501, 2)):
        booth = Booth(name, seed, attempt)
        for _ in range(60):
            booth.tick()
        tracks.append(np.array(booth.targets))
    np.testing.assert_array_equal(tracks[0], tracks[1])
    assert np.abs(tracks[0] - tracks[2]).max() > 0.005


@pytest.mark.parametrize('name', ['stack_cube', 'close_drawer'])
def test_operator_of_a_scene_refuses_to_see_one_object_alone(name):
    task = get_task(name)
    operator = operator_for(task, np.random.default_rng(0), tick_s=TICK_S)
    pose = np.array([0.3, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0])
    with pytest.raises(InputError, match='scene'):
        for _ in range(200):
            operator.act(OperatorView(pose, 1.0, pose))
