# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench env`."""
from dataclasses import dataclass, field
import time
from typing import Any

from ocrrl_ros.core.errors import ConfigError
from rich.console import Console
from rich.table import Table

GOAL_STEPS_S = 3000.0


@dataclass(frozen=True, kw_only=True)
class BenchEnv:
    """Measure training environment steps per second and where the time goes."""

    task: str = field(default='cube_lift', metadata={'description': 'task name'})
    base: str = field(
        default='stand_in', metadata={'description': 'scripted base stand_in or expert, or a '
                                      'base bundle (renders and infers)'})
    envs: int = field(default=64, metadata={'description': 'environments'})
    workers: int | None = field(
        default=None, metadata={'description': 'environment processes; default: one per core'})
    ticks: int = field(default=200, metadata={'description': 'ticks measured'})
    warmup_ticks: int = field(default=20, metadata={'description': 'ticks before measuring'})
    learner: bool = field(
        default=False, metadata={'description': 'take the updates of TD3 meanwhile'})

    def __post_init__(self) -> None:
        """Refuse counts that measure nothing."""
        if self.ticks < 1 or self.envs < 1:
            raise ConfigError(f'ticks is {self.ticks} and envs {self.envs}; allowed: >= 1')

    def run(self, console: Console) -> dict[str, Any]:
        """Measure and print a table."""
        from ocrrl_ros.evaluation.provenance import (
            available_cores, describe_machine, read_git_state)
        from ocrrl_ros.sim.vec_recipe import EnvRecipe, load_environment
        from ocrrl_ros.sim.vec_workers import make_env
        workers = available_cores() if self.workers is None else self.workers
        env = load_environment(self.envs)
        recipe = EnvRecipe(
            task=self.task, base=self.base, env=env if self.learner else env.plain())
        env = make_env(recipe, workers)
        try:
            measured = self._measure_learning(env) if self.learner else self._measure(env)
        finally:
            env.close()
        git = read_git_state()
        result = {
            'task': self.task, 'base': self.base, 'envs': self.envs, 'workers': workers,
            'ticks': self.ticks, 'learner': self.learner, **measured,
            'machine': describe_machine(), 'git': git.commit, 'git_dirty': git.dirty}
        if self.base == 'stand_in' and not self.learner:
            result |= {'goal_env_steps_per_s': GOAL_STEPS_S,
                       'passed': result['env_steps_per_s'] >= GOAL_STEPS_S}
        self._show(console, result)
        return result

    def _measure(self, env: Any) -> dict[str, Any]:
        """Step the environments with small random residuals."""
        import numpy as np
        rng = np.random.default_rng(0)
        env.reset()
        for _ in range(self.warmup_ticks):
            env.step(rng.uniform(-0.2, 0.2, (env.num_envs, env.action_dim)))
        before, started = env.timings(), time.perf_counter()
        for _ in range(self.ticks):
            env.step(rng.uniform(-0.2, 0.2, (env.num_envs, env.action_dim)))
        wall = time.perf_counter() - started
        return self._summary(env, before, wall, {})

    def _measure_learning(self, env: Any) -> dict[str, Any]:
        """Train for as many ticks; nothing is kept."""
        import tempfile

        from ocrrl_ros.learning.off_policy_trainer import OffPolicyConfig, OffPolicyTrainer
        from ocrrl_ros.learning.residual_trainer import prepare_torch
        prepare_torch(1)
        warmup = max(1, self.warmup_ticks) * env.num_envs
        config = OffPolicyConfig(
            steps=warmup + self.ticks * env.num_envs, warmup_steps=warmup,
            critic_only_updates=1, checkpoint_period_steps=10 ** 9)
        with tempfile.TemporaryDirectory() as folder:
            trainer = OffPolicyTrainer(env, config, 0, folder)
            state: dict[str, Any] = {}

            def watch(steps: int, total: int, row: dict[str, float]) -> None:
                if steps == warmup:
                    state['before'], state['started'] = env.timings(), time.perf_counter()
                if steps >= total:
                    state['wall'] = time.perf_counter() - state['started']

            trainer._on_progress = watch
            trainer.run()
        return self._summary(
            env, state['before'], state['wall'], {'learner': trainer.learner_s})

    def _summary(
        self, env: Any, before: dict[str, float], wall: float, further: dict[str, float],
    ) -> dict[str, Any]:
        """Return rate and mean milliseconds per tick by part."""
        parts = {
            name: 1000.0 * (value - before.get(name, 0.0)) / self.ticks
            for name, value in env.timings().items()}
        parts |= {name: 1000.0 * value / self.ticks for name, value in further.items()}
        return {
            'env_steps_per_s': self.ticks * env.num_envs / wall, 'wall_s': wall,
            'physics_alone_steps_per_s': 1000.0 * env.num_envs / parts['physics'],
            'ms_per_tick': 1000.0 * wall / self.ticks, 'ms_per_tick_by_part': parts}

    def _show(self, console: Console, result: dict[str, Any]) -> None:
        """Print the figures."""
        table = Table('part', 'ms per tick and worker')
        for name, value in sorted(
                result['ms_per_tick_by_part'].items(), key=lambda item: -item[1]):
            table.add_row(name.replace('_', ' '), f'{value:.2f}')
        table.caption = (
            f'{result["env_steps_per_s"]:.0f} environment steps/s: {self.envs} environments, '
            f'{result["workers"]} workers, {result["ms_per_tick"]:.1f} ms per tick. Physics '
            f'alone would allow {result["physics_alone_steps_per_s"]:.0f}.')
        console.print(table)
