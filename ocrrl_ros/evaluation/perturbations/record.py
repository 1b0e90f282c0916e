# SPDX-License-Identifier: Apache-2.0
"""What is kept of an episode's disturbance."""
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DisturbanceRecord:
    """One disturbance, its answer, and the undisturbed twin of the episode."""

    kind: str
    phase: str
    """before, during or after the grasp; empty for a stall."""
    size: float
    """As planned: m (push, slide), degrees (twist), N (poke), s (stall), 0 (drop)."""
    time_s: float | None
    """First disturbed physics step; None when its moment never came."""
    force_n: float = 0.0
    displacement_mm: float = 0.0
    """Largest change of the way from TCP to object before anything answers."""
    turn_deg: float = 0.0
    """Largest turn of the object against the twin's in the same time."""
    moved_s: float | None = None
    """From the first disturbed physics step until there was something to answer: the way had
    changed by 2 mm or the object had turned by 2 degrees."""
    reaction: str = ''
    """Of the published joint target: reacted, none (within 1 s), ended; empty: not asked."""
    reaction_s: float | None = None
    decision: str = ''
    """The same of the policy's composed target, before shaping."""
    decision_s: float | None = None
    left_course: bool = False
    recovery_s: float | None = None
    undisturbed_outcome: bool = False
    undisturbed_duration_s: float = 0.0
    undisturbed_hold_share: float = 0.0
    twin_identical: bool = True
    """Whether both runs were the same to the last bit until the disturbance began."""
