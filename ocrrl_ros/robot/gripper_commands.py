# SPDX-License-Identifier: Apache-2.0
"""What is said between the logic of the gripper node and the driver of a hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import enum
from typing import Protocol


class HandAction(enum.Enum):
    """What a driver can be asked for."""

    HOME = 'home'
    STOP = 'stop'
    GRASP = 'grasp'
    MOVE = 'move'


class Outcome(enum.Enum):
    """How a command ended."""

    SUCCEEDED = 'succeeded'
    #: The driver tried and says that it did not work.
    FAILED = 'failed'
    #: The driver did not take the command.
    REJECTED = 'rejected'
    #: Somebody else stopped it.
    CANCELED = 'canceled'
    #: The driver took it, or did not even answer, and no result came.
    TIMED_OUT = 'timed out'
    #: The driver went away while it was at it.
    SERVER_GONE = 'server gone'


class HandPhase(enum.Enum):
    """What the hand is doing, as far as the node knows."""

    WAITING = 'waiting'
    IDLE = 'idle'
    HOMING = 'homing'
    STOPPING = 'stopping'
    OPENING = 'opening'
    CLOSING = 'closing'
    MOVING = 'moving'
    OPEN = 'open'
    #: Closed; whether on something is not known yet.
    CLOSED = 'closed'
    HOLDING = 'holding'
    #: Closed on nothing.
    EMPTY = 'empty'
    REACHED = 'reached'
    STREAMING = 'streaming'
    FAILED = 'failed'


class Homed(enum.Enum):
    """Whether the hand knows its greatest width."""

    #: This node has not homed it; whoever started the driver may have.
    UNKNOWN = 'unknown'
    YES = 'yes'
    NO = 'no'
    NOT_OFFERED = 'not offered'


@dataclass(frozen=True, kw_only=True)
class HandCommand:
    """
    One order to a driver; home and stop leave all but the number at zero.

    ``opening`` is 0 closed .. 1 open, ``width_m`` the distance between both fingers.
    """

    number: int
    action: HandAction
    opening: float = 0.0
    width_m: float = 0.0
    speed_m_s: float = 0.0
    force_n: float = 0.0
    epsilon_inner_m: float = 0.0
    epsilon_outer_m: float = 0.0


@dataclass(frozen=True)
class CommandResult:
    """How the command of a number ended, with the driver's own words."""

    number: int
    outcome: Outcome
    detail: str = ''


@dataclass(frozen=True, kw_only=True)
class HandStatus:
    """
    What people and other programs are told.

    ``target`` is the opening that was last commanded, None before; ``last_result`` the last
    command with its outcome; ``wish`` is none, fresh or stale.
    """

    phase: HandPhase
    reason: str = ''
    target: float | None = None
    last_result: str = ''
    homed: Homed = Homed.UNKNOWN
    wish: str = 'none'


class HandLogic(Protocol):
    """From wished openings to commands, at most one of which is under way."""

    def wish(self, opening: float, now_s: float) -> None:
        """Take a wished opening, 0..1; the newest counts."""

    def measure(self, width_m: float, now_s: float) -> None:
        """Take the measured width between the fingers."""

    def step(
            self, now_s: float, *, is_ready: bool,
            results: Sequence[CommandResult] = ()) -> HandCommand | None:
        """Take the driver's answers and return the next command, if one is due."""

    def ask_home(self) -> str | None:
        """Home the hand next; return why that is not possible, or None."""

    def status(self, now_s: float) -> HandStatus:
        """Say what is going on."""
