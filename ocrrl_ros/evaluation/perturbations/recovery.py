# SPDX-License-Identifier: Apache-2.0
"""
When hand and object are back on course after a disturbance: one rule for all tasks.

The course is the object's pose seen from the TCP in the undisturbed twin, from the disturbance
on. An episode has left it when its own relation is further than 10 mm or 15 degrees from every
point of the course (15 degrees: what protocol section 3 calls a wrong angle; over the object's
symmetries), or when an object that was held is not any more. It has recovered when it is back on
any point of the course, so lagging behind the twin is no fault, and holds the object again if it
did before; for 0.1 s, or until the task's success.
"""
from dataclasses import dataclass

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.evaluation.perturbations.trace import Motion

NEAR_M = 0.010
NEAR_RAD = np.deg2rad(15.0)
KEPT_S = 0.1
SAMPLE_S = 0.02
LEAVES_WITHIN_S = 0.5
"""A course that is left later than this was left for another reason."""
SEARCH_S = 5.0
"""Recoveries later than this are not looked for."""


@dataclass(frozen=True)
class Recovery:
    """
    What became of the relation of hand and object.

    :param left: whether the episode left the twin's course.
    :param time_s: from the first disturbed physics step until it was back; None if it was not.
    """

    left: bool
    time_s: float | None = None


def relation(motion: Motion, ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return tcp_T_object of some ticks as positions (T, 3) in m and rotations (T, 4)."""
    tcp_T_object = se3.pose_multiply(se3.pose_inverse(motion.tcp[ticks]), motion.item[ticks])
    return tcp_T_object[:, :3], tcp_T_object[:, 3:]


def off_course(
        disturbed: Motion, twin: Motion, ticks: np.ndarray, twin_ticks: np.ndarray,
        group: np.ndarray) -> np.ndarray:
    """
    Return for each tick (T,) how far the relation is off the course, 1 at the tolerance.

    :param group: (S, 4) symmetries of the object.
    """
    place, turn = relation(disturbed, ticks)
    course_place, course_turn = relation(twin, twin_ticks)
    gap = np.linalg.norm(place[:, None] - course_place[None], axis=2)
    alike = se3.quat_multiply(course_turn[:, None], group[None])
    dots = np.abs(np.einsum('ti,csi->tcs', turn, alike)).max(axis=2)
    angle = 2.0 * np.arccos(np.clip(dots, 0.0, 1.0))
    return np.maximum(gap / NEAR_M, angle / NEAR_RAD).min(axis=1)


def find_recovery(
        disturbed: Motion, twin: Motion, begin_s: float, group: np.ndarray, *,
        succeeded: bool) -> Recovery:
    """
    Find when an episode was back on the course of its twin.

    :param begin_s: first disturbed physics step.
    :param succeeded: whether the disturbed episode ended with success.
    """
    ticks, twin_ticks = (_samples(motion, begin_s) for motion in (disturbed, twin))
    on_course = off_course(disturbed, twin, ticks, twin_ticks, group) <= 1.0
    if disturbed.held[ticks[0]]:
        on_course &= disturbed.held[ticks]
    time_s = disturbed.time_s[ticks] - begin_s
    gone = ~on_course & (time_s <= LEAVES_WITHIN_S + 1e-9)
    if not gone.any():
        return Recovery(left=False)
    needed = round(KEPT_S / SAMPLE_S)
    run = 0
    for index in range(int(gone.argmax()), len(ticks)):
        run = run + 1 if on_course[index] else 0
        if run == needed:
            return Recovery(True, float(time_s[index - needed + 1]))
    over_s = float(disturbed.time_s[-1] - begin_s)
    if succeeded and over_s <= SEARCH_S:
        return Recovery(True, over_s)
    return Recovery(True)


def _samples(motion: Motion, begin_s: float) -> np.ndarray:
    """Return the ticks that are looked at, every SAMPLE_S from a disturbance on."""
    first = motion.first_tick(begin_s)
    last = min(len(motion), motion.first_tick(begin_s + SEARCH_S) + 1)
    step = max(1, round(SAMPLE_S / (motion.time_s[1] - motion.time_s[0])))
    return np.arange(first, last, step)
