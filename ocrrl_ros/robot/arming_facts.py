# SPDX-License-Identifier: Apache-2.0
"""What is seen before the arm may move, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Verdict = Literal['ok', 'refused', 'unknown', 'skipped', 'not needed']


@dataclass(frozen=True, kw_only=True)
class JointSample:
    """Measured joints (7,) in rad and rad/s; stamp on the sender's clock."""

    q: np.ndarray
    dq: np.ndarray
    stamp_s: float


@dataclass(frozen=True, kw_only=True)
class PoseSample:
    """A measured pose (7,) in the frame that its message names."""

    frame_T_tcp: np.ndarray
    frame: str
    stamp_s: float


@dataclass(frozen=True, kw_only=True)
class ControllerSample:
    """One controller of ros2_control, as the controller manager lists it."""

    name: str
    state: str
    claimed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PayloadSample:
    """Masses in kg that the robot knows: its end effector, and what it carries besides."""

    ee_mass_kg: float
    load_mass_kg: float


@dataclass(frozen=True, kw_only=True)
class ArmObservation:
    """
    What was seen at one time; None stands for what is not known.

    ``why_unknown`` says why, by the name of the fact.
    """

    now_s: float
    joints: JointSample | None = None
    pose: PoseSample | None = None
    """``current_pose``."""
    own_pose: PoseSample | None = None
    """The robot's own end effector, ``franka_robot_state_broadcaster/current_pose``."""
    ee_offset_m: float | None = None
    """The same as a distance from fr3_hand_tcp, which is how ``fci_arm`` tells it."""
    offsets_s: Mapping[str, float] = field(default_factory=dict)
    """Arrival minus stamp by topic: the least of the newest second."""
    controllers: tuple[ControllerSample, ...] | None = None
    parameters: Mapping[str, Any] | None = None
    """Parameters of the active controller, by name."""
    parameter_source: str = ''
    payload: PayloadSample | None = None
    publishers: Mapping[str, tuple[str, ...]] | None = None
    """Nodes that publish on each topic of targets."""
    homed: str | None = None
    """``homed`` of ``gripper/state``: yes, no, unknown or not offered."""
    mode: str | None = None
    """Mode by the robot's name for it, such as ``move``."""
    phase: str | None = None
    """Phase of ``fci_arm``."""
    why_unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is to be said about one fact."""

    fact: str
    verdict: Verdict
    detail: str
    remedy: str = ''

    @property
    def text(self) -> str:
        """Return one line that names the fact, what was found, and what helps."""
        line = f'{self.fact}: {self.detail}'
        return f'{line}; {self.remedy}' if self.remedy else line


@dataclass(frozen=True, kw_only=True)
class ArmingReport:
    """A finding for each fact, in the order of ``FACTS``."""

    findings: tuple[Finding, ...]

    def of(self, verdict: Verdict) -> tuple[Finding, ...]:
        """Return the findings with a verdict."""
        return tuple(found for found in self.findings if found.verdict == verdict)

    @property
    def refusals(self) -> list[str]:
        """Return the lines of everything that is known to be wrong."""
        return [found.text for found in self.of('refused')]

    @property
    def unknowns(self) -> list[str]:
        """Return the lines of everything that has to be known and is not."""
        return [found.text for found in self.of('unknown')]

    @property
    def blocking(self) -> list[str]:
        """Return why the arm may not move: refusals first; empty where it may."""
        return self.refusals + self.unknowns
