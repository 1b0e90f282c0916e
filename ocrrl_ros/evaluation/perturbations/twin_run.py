# SPDX-License-Identifier: Apache-2.0
"""Run an episode twice from one seed, undisturbed and disturbed, and measure the difference."""
from collections.abc import Callable
from dataclasses import replace
import math

from ocrrl_ros.core.symmetry import symmetry_group
from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.perturbations.hook import DisturbedEpisode
from ocrrl_ros.evaluation.perturbations.reaction import (
    change_of_way, common_end, displacement, find_reaction, moved_after_s, Reaction)
from ocrrl_ros.evaluation.perturbations.record import DisturbanceRecord
from ocrrl_ros.evaluation.perturbations.recovery import find_recovery
from ocrrl_ros.evaluation.perturbations.schedule import draw_plan, Plan
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceSettings, STALL
from ocrrl_ros.evaluation.perturbations.trace import Motion, same_until
from ocrrl_ros.evaluation.rollout import Rollout
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.seeding import Streams
from ocrrl_ros.sim.tasks import Task

SETTLED_S = 0.15
"""After a disturbance has acted, things have moved as far as it moves them."""
DISPLACED_M = 0.005
DISPLACED_DEG = 5.0
"""Less than both needs no answer; such episodes are counted apart."""


class TwinRun:
    """Disturbs the episodes of a rollout, each beside its undisturbed twin."""

    def __init__(self, rollout: Rollout, task: Task, settings: DisturbanceSettings):
        """Keep the parts; they serve any number of episodes."""
        self._rollout = rollout
        self._settings = settings
        self._kinematics = FrankaKinematics()
        self._group = symmetry_group(load_object(task.object_ids[0]).symmetry)

    def run(self, episode: int, streams: Callable[[], Streams]) -> EpisodeRecord:
        """
        Run both and return the disturbed one's record with what was measured.

        Where the moment of the disturbance never comes, the twin's record is the episode's.

        :param streams: gives the episode's streams anew.
        """
        plan, sizes = draw_plan(streams().perturbation, self._settings), self._settings.sizes
        twin = DisturbedEpisode(plan, sizes, acts=False)
        calm = self._rollout.run(episode, streams(), hook=twin)
        known = {'kind': plan.kind, 'phase': plan.phase, 'size': plan.size,
                 'undisturbed_outcome': calm.outcome, 'undisturbed_duration_s': calm.duration_s,
                 'undisturbed_hold_share': calm.hold_share}
        if twin.begin_s is None:
            return replace(calm, disturbance=DisturbanceRecord(time_s=None, **known))
        disturbed = DisturbedEpisode(plan, sizes)
        record = self._rollout.run(episode, streams(), hook=disturbed)
        found = self._measure(plan, disturbed, twin, record.outcome)
        return replace(
            record, wall_s=calm.wall_s + record.wall_s,
            disturbance=DisturbanceRecord(**known, **found))

    def _measure(self, plan: Plan, disturbed: DisturbedEpisode, twin: DisturbedEpisode,
                 succeeded: bool) -> dict:
        """Return the fields of the record that compare the two runs."""
        begin_s = twin.begin_s
        motions = disturbed.trace.motion(), twin.trace.motion()
        found = {'time_s': begin_s, 'force_n': disturbed.force_n,
                 'twin_identical': same_until(*motions, begin_s)}
        if plan.kind == STALL or not found['twin_identical']:
            return found
        lasts_s = getattr(self._settings.sizes, f'{plan.kind}_s') + SETTLED_S
        moved_m, turned_rad = displacement(*motions, begin_s, lasts_s)
        found |= {'displacement_mm': 1e3 * moved_m, 'turn_deg': math.degrees(turned_rad),
                  'moved_s': moved_after_s(*motions, begin_s)}
        if moved_m < DISPLACED_M and found['turn_deg'] < DISPLACED_DEG:
            return found
        published, decided = self._reactions(plan, *motions, begin_s)
        recovery = find_recovery(*motions, begin_s, self._group, succeeded=succeeded)
        return found | {
            'reaction': published.outcome, 'reaction_s': published.time_s,
            'decision': decided.outcome, 'decision_s': decided.time_s,
            'left_course': recovery.left, 'recovery_s': recovery.time_s}

    def _reactions(self, plan: Plan, disturbed: Motion, twin: Motion,
                   begin_s: float) -> tuple[Reaction, Reaction]:
        """Return the answers of the published and of the composed target."""
        first, last = common_end(disturbed, twin, begin_s)
        change = change_of_way(disturbed, twin, first, last)
        pairs = (
            [motion.command_poses(self._kinematics, first, last) for motion in (disturbed, twin)],
            [motion.target[first:last] for motion in (disturbed, twin)])
        return tuple(find_reaction(
            disturbed.time_s[first:last], *targets, change, begin_s=begin_s,
            counts_turns=plan.kind == 'twist') for targets in pairs)
