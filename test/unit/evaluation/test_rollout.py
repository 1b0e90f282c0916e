# SPDX-License-Identifier: Apache-2.0
"""Tests of offline episodes with the scripted expert and made-up residuals."""
import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.evaluation.chunk_schedule import ChunkSchedule, RolloutConfig
from ocrrl_ros.evaluation.episode_record import EpisodeRecord, residual_statistics
from ocrrl_ros.evaluation.perturbations.hook import EpisodeHook
from ocrrl_ros.evaluation.policies import base_factory, load_policies
from ocrrl_ros.evaluation.pose_sources import LostPoses, ModelledPoses, TruthPoses
from ocrrl_ros.evaluation.rollout import Rollout
from ocrrl_ros.evaluation.seen_objects import SeenObjects
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.base_policy import BasePolicy, ChunkBatch
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.controller import PolicyAction
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.expert import ScriptedExpert
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.stand_in import IdleBase
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.world import SimWorld
import pytest
from tiny_bundles import tiny_sampler

IDS = ('cube',)


class FixedResidual:
    """A residual that always answers the same."""

    bounds = ResidualBounds()
    layout = load_task_spec('cube_lift').layout()
    acts_per = 'tick'

    def __init__(self, action):
        """Keep the action (7,)."""
        self.action = np.asarray(action, dtype=float)

    def act(self, observation):
        """Return the action."""
        return self.action[None]


class Stay(BasePolicy):
    """A base policy that stays where it is and notes when it was asked."""

    needs_images = False

    def __init__(self):
        """Start without notes."""
        self.asked_s = []

    def infer(self, inputs):
        """Return the present pose as plan."""
        self.asked_s.append(float(inputs.stamp_s[0]))
        return ChunkBatch(np.repeat(inputs.base_T_tcp[:, None], 16, axis=1), np.ones((1, 16)))


@pytest.fixture(scope='module')
def world():
    """Build one world for all tests."""
    return SimWorld(get_task('cube_lift'), load_domain('sim'), load_physics())


def make_rollout(world, *, poses=None, base=None, residual=None, seen=None):
    """Build a rollout of the expert in the world."""
    config = RolloutConfig()
    return Rollout(
        world, lambda rng: base or ScriptedExpert(), build_controller('cube_lift', residual),
        poses or TruthPoses(IDS, config.policy_period_s), kinematics=FrankaKinematics(),
        renderer=None, bounds=ResidualBounds(), config=config, seen=seen)


def run(rollout, episode=0):
    """Run an episode of the test seed."""
    return rollout.run(episode, episode_rngs('cube_lift', 'sim', 7, episode))


def without_wall(record):
    """Drop what differs between two runs of one episode."""
    return dataclasses.replace(record, wall_s=0.0)


@pytest.fixture(scope='module')
def expert_record(world):
    """Run the expert once."""
    return run(make_rollout(world))


def test_expert_lifts_the_cube_and_the_record_says_so(expert_record):
    assert expert_record.outcome
    assert expert_record.failure_mode == 'success'
    assert 2.0 < expert_record.duration_s < 15.0
    assert expert_record.pose_valid_share == 1.0
    assert expert_record.residual.mean_gain == 0.0
    assert expert_record.clip_inactive_share > 0.99


def test_an_episode_is_the_same_whatever_ran_before_it(world, expert_record):
    rollout = make_rollout(world)
    world.task.horizon_s = 0.5
    try:
        run(rollout, episode=3)
    finally:
        del world.task.horizon_s
    assert without_wall(run(rollout)) == without_wall(expert_record)


def test_a_residual_of_zero_is_exactly_the_base_alone(world, expert_record):
    record = run(make_rollout(world, residual=FixedResidual(np.zeros(7))))
    assert record.duration_s == expert_record.duration_s
    assert record.init_sha256 == expert_record.init_sha256


@pytest.fixture
def short(world):
    """Cut episodes to one second."""
    world.task.horizon_s = 1.0
    yield world
    del world.task.horizon_s


def test_without_any_pose_the_base_acts_alone(short):
    record = run(make_rollout(short, poses=LostPoses(0.02),
                              residual=FixedResidual([1.0, 0, 0, 0, 0, 0, 0])))
    assert record.pose_valid_share == 0.0
    assert not record.outcome
    assert record.failure_mode == 'no_grasp'
    assert record.residual.mean_gain == 0.0


def test_modelled_poses_are_mostly_valid_and_late(short):
    poses = ModelledPoses(IDS, PoseModelConfig(), period_s=0.02, horizon_s=15.0)
    seen = []
    poll = poses.poll

    def remember(world):
        readings = poll(world)
        seen.extend(world.time_s - reading.stamp_s for reading in readings
                    if reading.covariance[0] >= 0.0)
        return readings

    poses.poll = remember
    record = run(make_rollout(short, poses=poses))
    assert 0.3 < record.pose_valid_share < 1.0
    assert min(seen) >= 0.05


def test_base_plans_every_period_and_chunks_arrive_after_the_drawn_latency(short):
    base, config = Stay(), RolloutConfig()
    schedule = ChunkSchedule(lambda rng: base, short, FrankaKinematics(), None, config)
    short.reset(np.random.default_rng(0))
    schedule.reset(np.random.default_rng(1))
    arrivals = []
    for tick in range(200):
        now_s = 0.005 * tick
        if schedule.arrived(now_s) is not None:
            arrivals.append(now_s)
        if tick % 80 == 0:
            schedule.start(now_s)
    assert base.asked_s == pytest.approx([0.0, 0.4, 0.8])
    latencies = np.array(arrivals) - base.asked_s[:len(arrivals)]
    assert len(arrivals) >= 2
    assert np.all((latencies >= 0.08) & (latencies <= 0.205))
    assert np.ptp(latencies) > 0.0


class Hangs(EpisodeHook):
    """A base that hangs from 0.5 to 1.3 s."""

    def stalls_base(self, now_s):
        """Tell whether it hangs."""
        return 0.5 <= now_s < 1.3


def test_a_base_that_hangs_finishes_late_and_then_plans_at_once(world, monkeypatch):
    monkeypatch.setattr(world.task, 'horizon_s', 1.8, raising=False)
    base = Stay()
    record = make_rollout(world, base=base).run(
        0, episode_rngs('cube_lift', 'sim', 7, 0), hook=Hangs())
    first, second, after, last = base.asked_s
    assert (first, second, last) == pytest.approx((0.0, 0.4, 1.6))
    # That of 0.4 s was under way and comes 0.8 s later, when it is spent.
    assert 1.302 < after <= 1.405
    # The first chunk ends at 0.75 s; the next is there 0.08 to 0.2 s after it was asked for.
    assert 0.6 < record.hold_share * 1.8 < 0.9


class BlackCamera:
    """A renderer that sees nothing."""

    def set_state(self, state):
        """Look at a state."""

    def rgb(self):
        """Return a black picture."""
        return np.zeros((96, 128, 3), np.uint8)


def test_base_that_samples_plans_the_same_in_the_same_episode_and_otherwise_in_another(
        short, tmp_path):
    bundles = load_policies(short.task, str(tiny_sampler(tmp_path / 'base')), None)
    schedule = ChunkSchedule(
        base_factory(bundles, short.task), short, FrankaKinematics(), BlackCamera(),
        RolloutConfig())

    def plans(episode):
        short.reset(np.random.default_rng(0))
        schedule.reset(episode_rngs('cube_lift', 'sim', 7, episode).base)
        chunks = []
        for _ in range(2):
            schedule.start(0.0)
            chunks.append(schedule.arrived(1.0).poses)
        return np.stack(chunks)

    first, other = plans(0), plans(1)
    assert np.abs(first[0] - first[1]).max() > 1e-3
    assert np.abs(first - other).max() > 1e-3
    np.testing.assert_array_equal(first, plans(0))


def test_clocks_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match='policy_period_s is 0.012'):
        RolloutConfig(policy_period_s=0.012)
    with pytest.raises(ConfigError, match='chunk_latency_s'):
        RolloutConfig(chunk_latency_s=(0.2, 0.5))


def make_action(time_s, action, gain=1.0, weight=1.0):
    """Make a policy tick."""
    pose = np.array([0.0, 0, 0, 0, 0, 0, 1])
    return PolicyAction(
        time_s, pose, 1.0, np.asarray(action, dtype=float), gain, pose, 1.0, True, weight)


def test_residual_statistics_of_known_ticks():
    x = [1.0, 0, 0, 0, 0, 0, 0]
    back = [-0.5, 0, 0, 0, 0, 0, 0]
    found = residual_statistics(
        [make_action(0.0, x), make_action(0.5, back), make_action(1.0, x)], ResidualBounds())
    assert found.mean_translation_mm == pytest.approx((20 + 10 + 20) / 3)
    assert found.saturated_share == pytest.approx(2 / 3)
    assert found.sign_changes_per_s == pytest.approx(2 / 6)
    assert found.mean_rotation_deg == 0.0


def test_component_without_a_bound_does_not_count_as_saturated():
    turn = [0, 0, 0, 1.0, 0, 0, 0]
    shares = [residual_statistics([make_action(0.0, turn)], bounds).saturated_share
              for bounds in (ResidualBounds(), ResidualBounds(rotation_rad=0.0))]
    assert shares == [1.0, 0.0]


def test_gate_counts_in_what_was_applied_and_has_a_mean_of_its_own():
    x = [1.0, 0, 0, 0, 0, 0, 0]
    found = residual_statistics(
        [make_action(0.0, x, weight=0.5), make_action(1.0, x, gain=0.5, weight=0.0)],
        ResidualBounds())
    assert found.mean_translation_mm == pytest.approx(5.0)
    assert (found.mean_gain, found.mean_weight) == (0.75, 0.25)


def test_records_survive_json():
    record = EpisodeRecord(
        episode=3, outcome=True, failure_mode='success', duration_s=4.05, init_sha256='ab',
        wall_s=1.0, hold_share=0.0, pose_valid_share=0.9, clip_inactive_share=None)
    assert EpisodeRecord.from_mapping(record.to_mapping()) == record


def test_an_expert_on_poses_goes_where_they_say(world, short):
    class Shifted(TruthPoses):
        def poll(self, seen_world):
            return [dataclasses.replace(
                reading, base_T_object=reading.base_T_object + np.array([0, 0.1, 0, 0, 0, 0, 0]))
                for reading in super().poll(seen_world)]

    ends = []
    for poses in (TruthPoses(IDS, 0.02), Shifted(IDS, 0.02)):
        run(make_rollout(world, poses=poses, seen=SeenObjects(IDS)))
        ends.append(world.task_state().base_T_tcp[0, 1])
    assert ends[1] > ends[0] + 0.02


def test_an_expert_on_poses_waits_until_it_has_seen_every_object(world, short):
    start = world.reset(episode_rngs('cube_lift', 'sim', 7, 0).initial)
    run(make_rollout(world, poses=LostPoses(0.02), seen=SeenObjects(IDS)))
    assert np.abs(world.arm_state().q - start.q).max() < 0.01


def test_an_idle_base_stays_where_the_episode_began(world, short):
    start = world.reset(episode_rngs('cube_lift', 'sim', 7, 0).initial)
    run(make_rollout(world, base=IdleBase()))
    assert np.abs(world.arm_state().q - start.q).max() < 0.01
    assert world.opening() > 0.9
