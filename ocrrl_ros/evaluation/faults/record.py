# SPDX-License-Identifier: Apache-2.0
"""What is kept of an episode's fault."""
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class FaultRecord:
    """One fault, what the commands did, and what was shown."""

    name: str
    begin_s: float
    lasts_s: float
    met: bool
    """Whether the episode still ran when the fault began."""
    commands: int
    """Published commands of the episode, all of them judged."""
    violations: dict[str, int] = field(default_factory=dict)
    """How many commands broke each limit, guard or the continuity; only what is not 0."""
    states: tuple[str, ...] = ()
    """States with their reasons from the fault's begin on, in order, each once, less numbers."""
    refusals: tuple[str, ...] = ()
    """Why messages were refused, each reason once, less numbers."""
    refused: int = 0
    """How many messages were."""
    recovery_s: float | None = None
    """From the fault's end until the policy moved the arm; None when it never did again."""
    is_stopped: bool = False
    """Whether the episode ended in a state that only a person's `resume` ends."""
