# SPDX-License-Identifier: Apache-2.0
"""Run an episode with its fault."""
from collections.abc import Callable
import dataclasses

from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.faults.faulty_episode import FaultyEpisode
from ocrrl_ros.evaluation.faults.plan import draw_fault
from ocrrl_ros.evaluation.faults.settings import FaultSettings
from ocrrl_ros.evaluation.rollout import Rollout
from ocrrl_ros.sim.seeding import Streams


class FaultRun:
    """Lets something fail in every episode of a rollout."""

    def __init__(self, rollout: Rollout, settings: FaultSettings, command_period_s: float):
        """Keep the parts; they serve any number of episodes."""
        self._rollout = rollout
        self._settings = settings
        self._period_s = command_period_s

    def run(self, episode: int, streams: Callable[[], Streams]) -> EpisodeRecord:
        """
        Run an episode and return its record with what the fault did.

        :param streams: gives the episode's streams anew.
        """
        drawn = streams()
        plan = draw_fault(drawn.perturbation, episode, self._settings)
        hook = FaultyEpisode(
            plan, self._settings.sizes, self._period_s, drawn.perturbation.spawn(1)[0])
        record = self._rollout.run(episode, drawn, hook=hook)
        return dataclasses.replace(record, fault=hook.record())
