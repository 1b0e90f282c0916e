# SPDX-License-Identifier: Apache-2.0
"""
Compare the training path with the evaluation path (protocol section 1).

Training: `ResidualVecEnv`, 20 Hz policy ticks, 2 ms physics. Evaluation: `Rollout`, 50 Hz policy
ticks, 1 ms physics, as the bridge. Both get the same chunks from the same start states at the same
latency; what differs is measured: the TCP's way, and the error-free expert's success. A row of
its own says how far the Cartesian law of the bridge (sink `crisp_pose`) goes another way than the
joint law.
"""
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.evaluation.chunk_schedule import RolloutConfig
from ocrrl_ros.evaluation.evaluate import evaluate, EvaluateConfig, Progress
from ocrrl_ros.evaluation.pose_sources import LostPoses
from ocrrl_ros.evaluation.rollout import Rollout
from ocrrl_ros.evaluation.statistics import compare_paired
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy, ChunkBatch
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.bridge_arm import ArmDriver
from ocrrl_ros.sim.bridge_commands import ArmMode
from ocrrl_ros.sim.domain import Domain, load_domain
from ocrrl_ros.sim.expert import ScriptedExpert
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.pose_model_config import PoseModelConfig
from ocrrl_ros.sim.seeding import episode_rngs
from ocrrl_ros.sim.tasks import get_task, InitialState, Task, TaskState
from ocrrl_ros.sim.vec_config import TICK_S, VecEnvConfig
from ocrrl_ros.sim.vec_env import ResidualVecEnv
from ocrrl_ros.sim.world import SimWorld

LATENCY_S = 0.10
REPLAN_TICKS = 13
COMPARED_TICKS = 14
POSITION_GOAL_M = 0.002
ROTATION_GOAL_RAD = np.deg2rad(1.0)
SUCCESS_GOAL = 0.01


@dataclass(frozen=True, kw_only=True)
class ParityConfig:
    """What to compare."""

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    domain: str = field(default='sim', metadata={'description': 'domain name or file'})
    chunks: int = field(default=100, metadata={'description': 'chunks sent through both paths'})
    episodes: int = field(
        default=1000, metadata={'description': 'expert episodes in each path; 0 for none'})
    seed: int = field(default=10_500, metadata={'description': 'development seed'})
    workers: int = field(default=0, metadata={'description': 'processes; 0: one per core'})

    def __post_init__(self) -> None:
        """Refuse empty comparisons."""
        if self.chunks < 1 or self.episodes < 0:
            raise ConfigError(f'chunks is {self.chunks} and episodes {self.episodes}; allowed: '
                              'chunks >= 1, episodes >= 0')


class ScriptedStarts:
    """
    A task whose start states are given, and which remembers the states it judges.

    Everything else is the task's own.
    """

    def __init__(self, task: Task, starts: Sequence[InitialState]):
        """Hand out the starts in order; start over behind the last."""
        self._task = task
        self._starts = starts
        self.started = 0
        self.judged: list[TaskState] = []

    def __getattr__(self, name: str) -> Any:
        """Forward to the task."""
        return getattr(self._task, name)

    def sample_initial(self, rng: np.random.Generator, domain: Domain) -> InitialState:
        """Return the next start."""
        start = self._starts[self.started % len(self._starts)]
        self.started += 1
        return start

    def success_now(self, state: TaskState) -> np.ndarray:
        """Remember the state and judge it as the task does."""
        self.judged.append(state)
        return self._task.success_now(state)


class GivenWays(BasePolicy):
    """
    Plans along given ways, one per robot, whenever it is asked.

    The two paths ask at different times; both get the same targets at the same times.
    """

    needs_images = False

    def __init__(self, ways: np.ndarray):
        """Keep the targets (N, T, 7) of N robots at 20 Hz from time zero; the last one stays."""
        self._ways = ways

    def infer(self, inputs: BaseInputs) -> ChunkBatch:
        """Return the chunks of the robots that ask."""
        rows = inputs.rows if inputs.rows is not None else np.arange(len(inputs))
        first = np.rint(np.asarray(inputs.stamp_s) / self.step_s).astype(int)
        points = np.minimum(first[:, None] + np.arange(self.horizon), self._ways.shape[1] - 1)
        return ChunkBatch(self._ways[rows[:, None], points], np.ones(points.shape))


def draw_starts(task: Task, domain: Domain, seed: int, count: int) -> list[InitialState]:
    """Draw the start states that `evaluate` gives to the same seed."""
    return [task.sample_initial(episode_rngs(task.name, domain.name, seed, i).initial, domain)
            for i in range(count)]


def draw_ways(starts: Sequence[InitialState], rng: np.random.Generator) -> np.ndarray:
    """
    Draw a chunk's targets (N, 16, 7) per start: up to 12 cm and 0.4 rad on a minimum-jerk profile.

    They begin at the start pose and reach 0.3 m/s and 1 rad/s, faster than the expert.
    """
    kinematics = FrankaKinematics()
    share = np.linspace(0.0, 1.0, BasePolicy.horizon)
    profile = share ** 3 * (10.0 - 15.0 * share + 6.0 * share ** 2)
    poses = np.empty((len(starts), BasePolicy.horizon, 7))
    for row, start in enumerate(starts):
        begin = kinematics.forward(start.q)
        way, turn = rng.uniform(-1.0, 1.0, (2, 3))
        position = begin[:3] + profile[:, None] * 0.12 * way / max(1.0, np.linalg.norm(way))
        rotvec = profile[:, None] * 0.4 * turn / max(1.0, np.linalg.norm(turn))
        poses[row] = se3.pose(position, se3.quat_multiply(
            np.broadcast_to(begin[3:], (len(share), 4)), se3.quat_from_rotvec(rotvec)))
    return poses


def _create_training_env(task: Any, domain: Domain, base: BasePolicy, num_envs: int, *,
                         latency_s: tuple[float, float], replan_ticks: int) -> ResidualVecEnv:
    """Build the training environment without randomisation."""
    config = VecEnvConfig(num_envs=num_envs, threads=0, models=1, randomize=False,
                          chunk_latency_s=latency_s, replan_ticks=replan_ticks)
    sensor = load_yaml(PoseModelConfig, config_path('pose_model.yaml'))
    return ResidualVecEnv(
        task, domain, load_physics(), base, load_task_spec(task.name).layout(), sensor, config,
        np.random.default_rng(0))


def training_way(task: Task, domain: Domain, starts: Sequence[InitialState],
                 ways: np.ndarray) -> np.ndarray:
    """Return the TCP poses (N, T, 7) of the training path at 20 Hz, from 50 ms on."""
    scripted = ScriptedStarts(task, starts)
    env = _create_training_env(scripted, domain, GivenWays(ways), len(starts),
                               latency_s=(LATENCY_S, LATENCY_S), replan_ticks=REPLAN_TICKS)
    try:
        env.reset()
        for _ in range(COMPARED_TICKS):
            env.step(np.zeros((len(starts), env.action_dim)))
    finally:
        env.close()
    return np.stack([state.base_T_tcp for state in scripted.judged[:COMPARED_TICKS]], axis=1)


class PoseDrivenWorld(SimWorld):
    """A world whose arm gets poses of the commanded joints, as from `crisp_pose`."""

    def reset_to(self, initial: InitialState) -> None:
        """Go to a start state, holding it."""
        super().reset_to(initial)
        self._driver = ArmDriver(self)

    def set_joint_target(self, q: np.ndarray, dq: np.ndarray | None = None) -> None:
        """Command the pose that the TCP has at joint positions q (7,)."""
        self._driver.commander.on_pose_target(self._driver.kinematics.forward(q))

    def step(self, n: int = 1) -> None:
        """Advance by n physics steps, in each of which the Cartesian law sets the torques."""
        for _ in range(n):
            if self._driver.commander.mode is ArmMode.CARTESIAN:
                self._driver.act(self.time_s)
            super().step(1)


def evaluation_way(task: Task, domain: Domain, starts: Sequence[InitialState],
                   targets: np.ndarray, world_type: type[SimWorld] = SimWorld) -> np.ndarray:
    """Return the TCP poses (N, T, 7) of the evaluation path at the same times."""
    ways = []
    scripted = ScriptedStarts(task, starts)
    scripted.horizon_s = COMPARED_TICKS * TICK_S
    world = world_type(scripted, domain, load_physics())
    config = RolloutConfig(chunk_latency_s=(LATENCY_S, LATENCY_S),
                           replan_period_s=REPLAN_TICKS * TICK_S)
    row = 0
    rollout = Rollout(
        world, lambda rng: GivenWays(targets[row:row + 1]),
        build_controller(task.name), LostPoses(config.policy_period_s),
        kinematics=FrankaKinematics(), renderer=None, bounds=ResidualBounds(), config=config)
    for row in range(len(starts)):
        scripted.judged.clear()
        rollout.run(row, episode_rngs(task.name, domain.name, 0, row))
        ways.append(np.concatenate([state.base_T_tcp for state in scripted.judged[1:]]))
    return np.stack(ways)


def compare_ways(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Return the rms and largest difference of two sets of TCP ways (N, T, 7)."""
    distance = np.linalg.norm(first[..., :3] - second[..., :3], axis=-1)
    angle = np.rad2deg(se3.quat_angle(first[..., 3:], second[..., 3:]))
    rms_mm = float(1e3 * np.sqrt(np.mean(distance ** 2)))
    rms_deg = float(np.sqrt(np.mean(angle ** 2)))
    return {'chunks': len(first), 'ticks': first.shape[1], 'tcp_rms_mm': rms_mm,
            'tcp_rms_deg': rms_deg, 'tcp_max_mm': float(1e3 * distance.max()),
            'tcp_max_deg': float(angle.max()),
            'passed': bool(
                rms_mm <= 1e3 * POSITION_GOAL_M and rms_deg <= np.rad2deg(ROTATION_GOAL_RAD))}


def training_outcomes(task: Task, domain: Domain, starts: Sequence[InitialState],
                      num_envs: int = 50) -> np.ndarray:
    """Return the expert's outcome (N,) bool in the training path, one per start."""
    scripted = ScriptedStarts(task, starts)
    count = min(num_envs, len(starts))
    env = _create_training_env(scripted, domain, ScriptedExpert(), count,
                               latency_s=(0.08, 0.20), replan_ticks=8)
    outcomes = np.zeros(len(starts), dtype=bool)
    known = np.zeros(len(starts), dtype=bool)
    try:
        env.reset()
        episode = np.arange(count)
        while not known.all():
            result = env.step(np.zeros((count, env.action_dim)))
            ended = np.flatnonzero(result.terminated | result.truncated)
            # The environment has restarted these rows already, in this order.
            first = scripted.started - len(ended)
            for offset, row in enumerate(ended):
                if episode[row] < len(starts):
                    outcomes[episode[row]] = result.success[row]
                    known[episode[row]] = True
                episode[row] = first + offset
    finally:
        env.close()
    return outcomes


def bench_parity(config: ParityConfig, progress: Progress | None = None) -> dict[str, Any]:
    """
    Run both comparisons.

    :param progress: called after every expert episode of the evaluation path.
    """
    task, domain = get_task(config.task), load_domain(config.domain)
    starts = draw_starts(task, domain, config.seed, config.chunks)
    targets = draw_ways(starts, np.random.default_rng(config.seed))
    evaluated_way = evaluation_way(task, domain, starts, targets)
    result: dict[str, Any] = {
        'task': task.name, 'domain': domain.name, 'config': asdict(config),
        'joint_impedance': compare_ways(
            training_way(task, domain, starts, targets), evaluated_way),
        'cartesian_impedance': compare_ways(
            evaluation_way(task, domain, starts, targets, PoseDrivenWorld), evaluated_way)}
    passed = result['joint_impedance']['passed']
    if config.episodes:
        starts = draw_starts(task, domain, config.seed, config.episodes)
        trained = training_outcomes(task, domain, starts)
        evaluated = evaluate(EvaluateConfig(
            task=config.task, domain=config.domain, policy='base', base='expert', poses='truth',
            episodes=config.episodes, seed=config.seed, workers=config.workers), progress)
        paired = compare_paired(trained, evaluated['outcomes'])
        result['expert'] = {
            'episodes': config.episodes, 'training_rate': float(trained.mean()),
            'evaluation_rate': evaluated['rate'], 'difference': paired.difference,
            'interval95': list(paired.interval95), 'p_value': paired.p_value}
        passed = passed and abs(paired.difference) <= SUCCESS_GOAL + 1e-12
    return {**result, 'passed': bool(passed)}
