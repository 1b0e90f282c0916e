# SPDX-License-Identifier: Apache-2.0
"""
When the commands answer a disturbance: against those of the undisturbed twin of the same seed.

A disturbance changes the way from the TCP to the object. The answer is the first tick whose target
lies more than 2 mm from the twin's of the same tick along that change, both seen in that tick;
for a twist, which leaves the object where it is, also one turned by more than 2 degrees, in either
sense because a symmetric object may be grasped either way.
"""
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.evaluation.perturbations.trace import Motion

MOVED_M = 0.002
TURNED_RAD = np.deg2rad(2.0)
SEEN_M = 0.001
"""A smaller change of the way to the object has no direction."""
LIMIT_S = 1.0
REACTED, NONE, ENDED = 'reacted', 'none', 'ended'


@dataclass(frozen=True)
class Reaction:
    """
    What the commands did.

    :param outcome: REACTED; NONE within LIMIT_S; ENDED when either episode ended before.
    :param time_s: from the first disturbed physics step to the answer; None without.
    """

    outcome: str
    time_s: float | None = None


def change_of_way(disturbed: Motion, twin: Motion, first: int, last: int) -> np.ndarray:
    """Return the change (last - first, 3) of the vector from TCP to object, base frame, m."""
    ticks = slice(first, last)
    return ((disturbed.item[ticks, :3] - disturbed.tcp[ticks, :3])
            - (twin.item[ticks, :3] - twin.tcp[ticks, :3]))


def find_reaction(
        time_s: np.ndarray, target: np.ndarray, twin_target: np.ndarray, change: np.ndarray, *,
        begin_s: float, counts_turns: bool, limit_s: float = LIMIT_S) -> Reaction:
    """
    Find the first answer in the targets of common ticks, the first at or after ``begin_s``.

    :param time_s: (T,).
    :param target: (T, 7) target poses of the disturbed episode; rows may be NaN.
    :param twin_target: (T, 7) of the twin.
    :param change: (T, 3) change of the way from TCP to object.
    :param counts_turns: whether a turned target is an answer, too.
    """
    size = np.linalg.norm(change, axis=1)
    direction = change / np.maximum(size, 1e-12)[:, None]
    along = ((target[:, :3] - twin_target[:, :3]) * direction).sum(axis=1)
    # Comparisons with NaN are false: a tick without a target is no answer.
    answers = (size > SEEN_M) & (along > MOVED_M)
    if counts_turns:
        answers |= angle_rad(target[:, 3:], twin_target[:, 3:]) > TURNED_RAD
    answers &= (time_s > begin_s + 1e-9) & (time_s <= begin_s + limit_s + 1e-9)
    if answers.any():
        return Reaction(REACTED, float(time_s[int(answers.argmax())] - begin_s))
    whole = len(time_s) > 0 and time_s[-1] >= begin_s + limit_s - 1e-9
    return Reaction(NONE if whole else ENDED)


def angle_rad(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the angle (...) between rotations (..., 4), rad."""
    dot = np.abs((one * two).sum(axis=-1))
    return 2.0 * np.arccos(np.clip(dot, 0.0, 1.0))


def common_end(disturbed: Motion, twin: Motion, begin_s: float) -> tuple[int, int]:
    """Return the first tick of a disturbance and the end of the ticks that decide on it."""
    first = disturbed.first_tick(begin_s)
    last = min(len(disturbed), len(twin), disturbed.first_tick(begin_s + LIMIT_S) + 1)
    return first, last


def displacement(
        disturbed: Motion, twin: Motion, begin_s: float, within_s: float) -> tuple[float, float]:
    """
    Return how far the disturbance moved things, before anything answers.

    :param within_s: time after ``begin_s`` that counts.
    :return: largest change of the way from TCP to object, m, and of the object's turn, rad.
    """
    first = disturbed.first_tick(begin_s)
    last = min(len(disturbed), len(twin), disturbed.first_tick(begin_s + within_s) + 1)
    change = np.linalg.norm(change_of_way(disturbed, twin, first, last), axis=1)
    turn = angle_rad(disturbed.item[first:last, 3:], twin.item[first:last, 3:])
    return float(change.max(initial=0.0)), float(turn.max(initial=0.0))


def moved_after_s(disturbed: Motion, twin: Motion, begin_s: float) -> float | None:
    """Return when there was 2 mm or 2 degrees to answer, from a disturbance on; None if never."""
    first, last = common_end(disturbed, twin, begin_s)
    change = np.linalg.norm(change_of_way(disturbed, twin, first, last), axis=1)
    turn = angle_rad(disturbed.item[first:last, 3:], twin.item[first:last, 3:])
    moved = (change > MOVED_M) | (turn > TURNED_RAD)
    return float(disturbed.time_s[first + int(moved.argmax())] - begin_s) if moved.any() else None
