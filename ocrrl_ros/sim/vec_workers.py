# SPDX-License-Identifier: Apache-2.0
"""A training environment spread over worker processes, one per core."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
import signal
import traceback
from typing import Any

import numpy as np
from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.sim.vec_contract import StepResult, VecEnv
from ocrrl_ros.sim.vec_recipe import EnvRecipe

_JOIN_S = 10.0
_ANNOUNCED = ('obs_dim', 'critic_obs_dim', 'action_dim', 'image_shape', 'image_columns')
"""What every worker says of its environments first."""


class WorkerVecEnv(VecEnv):
    """
    Presents the environments of several processes as one.

    Inverse kinematics and shaping are Python, so threads would not help; and the learner keeps
    its own core while `begin_step` is under way. Rows keep their order: worker by worker.
    """

    def __init__(self, recipe: EnvRecipe, workers: int):
        """
        Start the workers and wait until all have compiled their worlds.

        :raises OcrrlError: a worker failed; the message carries its own.
        """
        context = multiprocessing.get_context('spawn')
        self._pipes: list[Connection] = []
        self._processes = []
        self._rows: list[slice] = []
        start = 0
        for shard, part in enumerate(recipe.split(workers)):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, part, shard), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
            self._rows.append(slice(start, start + part.env.num_envs))
            start += part.env.num_envs
        self.num_envs = start
        sizes = self._gather()
        for name, value in zip(_ANNOUNCED, sizes[0]):
            setattr(self, name, value)

    def reset(self) -> np.ndarray:
        """Start new episodes everywhere."""
        return np.concatenate(self._ask('reset'))

    def step(self, action: np.ndarray) -> StepResult:
        """Advance one tick."""
        self.begin_step(action)
        return self.finish_step()

    def begin_step(self, action: np.ndarray) -> None:
        """Let all workers start a tick."""
        for pipe, rows in zip(self._pipes, self._rows):
            pipe.send(('step', action[rows]))

    def finish_step(self) -> StepResult:
        """Wait for all workers and join their results."""
        parts = self._gather()
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ('critic_obs', 'final_critic_obs', 'reward', 'terminated', 'truncated',
                         'success')}
        info = {
            name: np.concatenate([part.info[name] for part in parts]) for name in parts[0].info}
        return StepResult(**joined, info=info)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all workers."""
        return {'workers': self._ask('state_dict')}

    def load_state_dict(self, state: dict[str, Any]) -> np.ndarray:
        """Continue from a saved state of as many workers."""
        if len(state['workers']) != len(self._pipes):
            raise OcrrlError(
                f'saved with {len(state["workers"])} workers; this run has {len(self._pipes)}')
        for pipe, part in zip(self._pipes, state['workers']):
            pipe.send(('load_state_dict', part))
        return np.concatenate(self._gather())

    def images(self) -> np.ndarray:
        """Return the pictures of all workers."""
        return np.concatenate(self._ask('images'))

    def timings(self) -> dict[str, float]:
        """Return the mean seconds per worker by part."""
        parts = self._ask('timings')
        return {
            name: float(np.mean([part.get(name, 0.0) for part in parts])) for name in parts[0]}

    def close(self) -> None:
        """End the workers."""
        for pipe, process in zip(self._pipes, self._processes):
            try:
                pipe.send(('close', None))
            except OSError:
                continue
            finally:
                process.join(_JOIN_S)
                if process.is_alive():
                    process.terminate()
            pipe.close()

    def _ask(self, command: str) -> list[Any]:
        """Send a command without arguments to all workers and return their answers."""
        for pipe in self._pipes:
            pipe.send((command, None))
        return self._gather()

    def _gather(self) -> list[Any]:
        """Return one answer per worker, or raise what a worker reported."""
        answers = []
        for index, pipe in enumerate(self._pipes):
            try:
                is_error, answer = pipe.recv()
            except (EOFError, OSError) as error:
                raise OcrrlError(f'environment worker {index} ended unexpectedly') from error
            if is_error:
                raise OcrrlError(f'environment worker {index} failed: {answer}')
            answers.append(answer)
        return answers


def _serve(pipe: Connection, recipe: EnvRecipe, shard: int) -> None:
    """Build an environment and obey commands until told to close; Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        env = recipe.build(shard)
        pipe.send((False, tuple(getattr(env, name) for name in _ANNOUNCED)))
        while True:
            command, argument = pipe.recv()
            if command == 'close':
                env.close()
                return
            method = getattr(env, command)
            pipe.send((False, method() if argument is None else method(argument)))
    except EOFError:
        return
    except Exception:  # whatever it is, the parent must hear of it
        pipe.send((True, traceback.format_exc(limit=-3)))


def make_env(recipe: EnvRecipe, workers: int) -> VecEnv:
    """Return the environment in this process (0 workers) or spread over worker processes."""
    return recipe.build() if workers == 0 else WorkerVecEnv(recipe, workers)
