# SPDX-License-Identifier: Apache-2.0
"""Tests of what is measured against the undisturbed twin, on made-up motions."""
import dataclasses

import numpy as np
from ocrrl_ros.core.se3 import quat_from_rotvec
from ocrrl_ros.core.symmetry import symmetry_group
from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.perturbations.pairs import compare_recoveries
from ocrrl_ros.evaluation.perturbations.reaction import (
    displacement, ENDED, find_reaction, moved_after_s, NONE, REACTED)
from ocrrl_ros.evaluation.perturbations.record import DisturbanceRecord
from ocrrl_ros.evaluation.perturbations.recovery import find_recovery
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceSettings, STALL
from ocrrl_ros.evaluation.perturbations.summary import (
    reaction_figures, recovery_figures, summarise_disturbances)
from ocrrl_ros.evaluation.perturbations.trace import Motion, same_until
import pytest

DT_S, BEGIN_S = 0.005, 1.0
IDENTITY = np.array([0.0, 0, 0, 0, 0, 0, 1])


def make_motion(ticks=800):
    """Make a motion in which nothing happens: the hand is 100 mm above the object."""
    poses = np.tile(IDENTITY, (ticks, 1))
    tcp = poses.copy()
    tcp[:, 2] = 0.1
    return Motion(time_s=DT_S * np.arange(ticks), command_q=np.zeros((ticks, 7)), target=tcp,
                  tcp=tcp.copy(), item=poses, held=np.zeros(ticks, dtype=bool))


def shifted(motion, name, start_s, offset, end_s=np.inf):
    """Return a motion in which an array is moved by (x, y, z) between two times."""
    array = getattr(motion, name).copy()
    array[(motion.time_s >= start_s) & (motion.time_s < end_s), :3] += offset
    return dataclasses.replace(motion, **{name: array})


def turned(motion, name, start_s, yaw_deg):
    """Return a motion in which an array is turned about the vertical from a time on."""
    array = getattr(motion, name).copy()
    array[motion.time_s >= start_s, 3:] = quat_from_rotvec(
        np.array([0.0, 0.0, np.deg2rad(yaw_deg)]))
    return dataclasses.replace(motion, **{name: array})


def reaction(target_offset, at_s, change=(0.04, 0.0, 0.0), ticks=800, counts_turns=False,
             yaw_deg=0.0):
    """Find the answer of a target that jumps at a time, to a changed way to the object."""
    twin = make_motion(ticks)
    moved = turned(shifted(twin, 'target', at_s, target_offset), 'target', at_s, yaw_deg)
    ways = np.zeros((ticks, 3))
    ways[twin.time_s > BEGIN_S] = change
    return find_reaction(twin.time_s, moved.target, twin.target, ways, begin_s=BEGIN_S,
                         counts_turns=counts_turns)


def test_an_answer_is_a_target_that_moves_towards_the_object():
    found = reaction((0.003, 0.0, 0.0), 1.15)
    assert found.outcome == REACTED
    assert found.time_s == pytest.approx(0.15)


@pytest.mark.parametrize('offset', [(0.0019, 0, 0), (0, 0.03, 0), (-0.03, 0, 0)])
def test_too_little_across_or_away_is_no_answer(offset):
    assert reaction(offset, 1.15).outcome == NONE


def test_an_answer_before_or_after_its_time_does_not_count():
    assert reaction((0.003, 0, 0), 2.02).outcome == NONE
    assert reaction((0.003, 0, 0), 0.5).time_s > 0.0


def test_an_episode_that_ends_before_its_answer_says_so():
    assert reaction((0.0, 0, 0), 9.0, ticks=300).outcome == ENDED
    assert reaction((0.003, 0, 0), 1.2, ticks=300).outcome == REACTED


def test_a_turned_target_answers_a_twist_alone():
    assert reaction((0, 0, 0), 1.3, yaw_deg=3.0).outcome == NONE
    found = reaction((0, 0, 0), 1.3, yaw_deg=-3.0, counts_turns=True)
    assert found.time_s == pytest.approx(0.3)
    assert reaction((0, 0, 0), 1.3, yaw_deg=1.5, counts_turns=True).outcome == NONE


def test_a_way_that_hardly_changed_has_no_direction():
    assert reaction((0.003, 0, 0), 1.15, change=(0.0005, 0, 0)).outcome == NONE


def test_ticks_without_a_target_are_no_answer():
    twin = make_motion()
    moved = twin.target.copy()
    moved[220:240] = np.nan
    ways = np.tile([0.04, 0.0, 0.0], (800, 1))
    found = find_reaction(twin.time_s, moved, twin.target, ways, begin_s=BEGIN_S,
                          counts_turns=True)
    assert found.outcome == NONE


def test_displacement_is_the_largest_change_soon_after():
    twin = make_motion()
    moved = shifted(shifted(twin, 'item', 1.1, (0.03, 0, 0)), 'item', 1.5, (0.05, 0, 0))
    far_m, turn_rad = displacement(turned(moved, 'item', 1.1, 30.0), twin, BEGIN_S, 0.2)
    assert far_m == pytest.approx(0.03)
    assert np.rad2deg(turn_rad) == pytest.approx(30.0)


def test_there_is_something_to_answer_from_2_mm_or_2_degrees_on():
    twin = make_motion()
    slow = shifted(shifted(twin, 'item', 1.1, (0.0015, 0, 0)), 'item', 1.3, (0.0015, 0, 0))
    assert moved_after_s(slow, twin, BEGIN_S) == pytest.approx(0.3)
    assert moved_after_s(turned(twin, 'item', 1.2, 3.0), twin, BEGIN_S) == pytest.approx(0.2)
    assert moved_after_s(twin, twin, BEGIN_S) is None


def recover(moved, twin=None, group='cube', succeeded=False):
    """Find the recovery of a motion."""
    return find_recovery(moved, twin or make_motion(), BEGIN_S, symmetry_group(group),
                         succeeded=succeeded)


def test_an_object_that_stays_near_never_left_the_course():
    assert not recover(shifted(make_motion(), 'item', BEGIN_S, (0.008, 0, 0))).left


def test_the_hand_recovers_when_it_has_followed():
    moved = shifted(make_motion(), 'item', 1.1, (0.04, 0, 0))
    assert recover(moved).left
    assert recover(moved).time_s is None
    followed = shifted(moved, 'tcp', 1.8, (0.035, 0, 0))
    assert recover(followed).time_s == pytest.approx(0.8, abs=0.02)


def test_passing_by_is_no_recovery():
    moved = shifted(make_motion(), 'item', 1.1, (0.04, 0, 0))
    for start_s in (1.8, 2.0, 2.2):
        moved = shifted(moved, 'tcp', start_s, (0.04, 0, 0), end_s=start_s + 0.06)
    assert recover(moved).time_s is None


def test_lagging_behind_the_twin_is_no_fault():
    twin = make_motion()
    going = twin.tcp.copy()
    going[:, 2] = 0.1 - np.clip(0.1 * (twin.time_s - 1.0), 0.0, 0.1)
    twin = dataclasses.replace(twin, tcp=going)
    late = going.copy()
    late[:, 2] = 0.1 - np.clip(0.1 * (twin.time_s - 1.5), 0.0, 0.1)
    moved = dataclasses.replace(twin, tcp=late)
    assert not recover(moved, twin).left


def test_a_cube_turned_by_a_quarter_is_the_same_and_one_turned_by_30_degrees_is_not():
    motion = make_motion()
    assert not recover(turned(motion, 'item', 1.0, 90.0)).left
    assert recover(turned(motion, 'item', 1.0, 30.0)).left
    assert not recover(turned(motion, 'item', 1.0, 30.0), group='revolution').left


def test_what_was_held_must_be_held_again():
    held = dataclasses.replace(make_motion(), held=np.ones(800, dtype=bool))
    grip = held.held.copy()
    grip[(held.time_s > 1.1) & (held.time_s < 1.7)] = False
    found = recover(dataclasses.replace(held, held=grip), held)
    assert found.left
    assert found.time_s == pytest.approx(0.7, abs=0.025)


def test_success_ends_the_search_as_a_recovery():
    moved = shifted(make_motion(), 'item', 1.1, (0.04, 0, 0))
    assert recover(moved, succeeded=True).time_s == pytest.approx(799 * DT_S - BEGIN_S)


def test_a_twin_must_be_the_same_to_the_last_bit_until_the_disturbance():
    twin = make_motion()
    assert same_until(shifted(twin, 'item', 1.005, (1e-15, 0, 0)), twin, BEGIN_S)
    assert not same_until(shifted(twin, 'item', 0.995, (1e-15, 0, 0)), twin, BEGIN_S)


def make_record(reaction_s=None, outcome='reacted', **changes):
    """Make the record of one disturbance."""
    return DisturbanceRecord(**{
        'kind': 'push', 'phase': 'before', 'size': 0.04, 'time_s': 1.0, 'reaction': outcome,
        'reaction_s': reaction_s, 'decision': outcome, 'decision_s': reaction_s,
        'left_course': True, **changes})


def test_no_answer_counts_as_a_late_one_and_an_early_end_apart():
    items = [make_record(0.1)] * 18 + [make_record(outcome='none')] * 2 + [
        make_record(outcome='ended'), make_record(outcome='')]
    found = reaction_figures(items, 'reaction')
    assert (found['n'], found['none'], found['ended'], found['not_displaced']) == (20, 2, 1, 1)
    assert (found['median_s'], found['p95_s']) == (0.1, None)


def test_recoveries_are_counted_among_those_that_left_the_course():
    items = [make_record(0.1, recovery_s=0.4), make_record(0.1, recovery_s=1.2),
             make_record(0.1), make_record(0.1, left_course=False)]
    found = recovery_figures(items)
    assert (found['n'], found['within_1s'], found['ever'], found['kept_course']) == (3, 1, 2, 1)
    assert (found['within_2s'], found['within_3s']) == (2, 2)


def episode_of(outcome, disturbance):
    """Make the record of an episode."""
    return EpisodeRecord(
        episode=0, outcome=outcome, failure_mode='success' if outcome else 'slip',
        duration_s=5.0, init_sha256='a', wall_s=0.1, hold_share=0.0, pose_valid_share=1.0,
        clip_inactive_share=None, disturbance=disturbance)


def test_success_is_compared_with_the_twins_of_disturbed_episodes():
    records = [episode_of(False, make_record(0.1, undisturbed_outcome=True)),
               episode_of(True, make_record(0.1, undisturbed_outcome=True)),
               episode_of(True, make_record(time_s=None, undisturbed_outcome=True))]
    found = summarise_disturbances(DisturbanceSettings(kinds=('push',)), {}, records)
    assert (found['disturbed'], found['moment_never_came']) == (2, 1)
    assert found['success']['difference'] == -0.5
    assert found['undisturbed']['successes'] == 3
    assert set(found['reaction']) == {'all', 'object', 'push'}
    stalled = summarise_disturbances(DisturbanceSettings(kinds=(STALL,)), {}, records)
    assert 'reaction' not in stalled


def test_records_with_a_disturbance_survive_json():
    record = episode_of(True, make_record(0.1))
    assert EpisodeRecord.from_mapping(record.to_mapping()) == record


def test_recoveries_of_two_policies_are_paired_by_plan():
    def result(*items):
        return {'disturbance': {'episodes': [dataclasses.asdict(item) for item in items]}}

    soon, late = make_record(0.1, recovery_s=0.5), make_record(0.1, recovery_s=2.0)
    other = make_record(0.1, size=0.05, recovery_s=0.5)
    kept = make_record(0.1, left_course=False)
    found = compare_recoveries(result(soon, soon, other, soon), result(late, soon, soon, kept))
    assert (found.counts.n, found.counts.only_first, found.counts.both) == (2, 1, 1)
    assert compare_recoveries({}, result(soon)) is None
