# SPDX-License-Identifier: Apache-2.0
"""
What the residual policy is doing, and what it may do next.

One state, one reason, one latch. Every event is a method; `TRANSITIONS` says from which states it
is heard and is the whole table of docs/safety.md. An event that is not heard changes nothing and
returns False, so that a late or repeated event can never undo a stronger one.
"""

from __future__ import annotations

import enum


class ControllerState(enum.Enum):
    """What is published on `residual_policy/state`."""

    IDLE = 'idle'
    """No episode: nothing is commanded once the arm is at rest."""
    HOMING = 'homing'
    """An episode was asked for, and the arm is on its way home."""
    RUNNING_BASE = 'running_base'
    """The base policy moves the arm alone, or is waited for."""
    RUNNING_RESIDUAL = 'running_residual'
    """The base policy moves the arm, corrected by the residual."""
    TAKEOVER = 'takeover'
    """A person moves the arm through `teleop/target_pose`."""
    HOLDING = 'holding'
    """The arm has braked and waits: for fresh input, or, latched, for `resume`."""
    FAULT = 'fault'
    """The arm may not be commanded: its cause must go, then `recover` and `resume`."""

    @property
    def is_running(self) -> bool:
        """Say whether somebody's targets move the arm."""
        return self in _RUNNING


_RUNNING = (
    ControllerState.RUNNING_BASE, ControllerState.RUNNING_RESIDUAL, ControllerState.TAKEOVER)
_BEFORE = (ControllerState.IDLE, ControllerState.HOMING)
_ACTIVE = (*_RUNNING, ControllerState.HOLDING)
_ANY_BUT_FAULT = (*_BEFORE, *_ACTIVE)

#: From which states an event is heard. A latched `HOLDING` hears only `latch`, `fault`, `end` and
#: `resume`; `end` leaves a latch and a fault as they are.
TRANSITIONS: dict[str, tuple[ControllerState, ...]] = {
    'refuse': _BEFORE, 'home': _BEFORE, 'start': _BEFORE,
    'run': _ACTIVE, 'hold': _ACTIVE,
    'latch': _ANY_BUT_FAULT, 'fault': tuple(ControllerState),
    'recover': (ControllerState.FAULT,),
    'end': _ANY_BUT_FAULT, 'resume': (ControllerState.HOLDING, ControllerState.FAULT)}
_HEARD_LATCHED = ('latch', 'fault', 'end', 'resume')


class StateMachine:
    """The state of one arm's policy."""

    def __init__(self) -> None:
        """Start idle."""
        self.state = ControllerState.IDLE
        self.reason = 'no episode yet'
        self.is_latched = False
        """Whether `HOLDING` lasts until `resume`."""
        self.start_refused = False
        """Whether the reason is why an episode did not start."""

    def refuse(self, reason: str) -> bool:
        """Stay idle although an episode was asked for."""
        heard = self._go('refuse', ControllerState.IDLE, reason)
        self.start_refused = heard or self.start_refused
        return heard

    def home(self, reason: str) -> bool:
        """Bring the arm home first."""
        return self._go('home', ControllerState.HOMING, reason)

    def start(self, reason: str) -> bool:
        """Let an episode begin."""
        return self._go('start', ControllerState.RUNNING_BASE, reason)

    def run(self, state: ControllerState, reason: str) -> bool:
        """
        Move the arm.

        :param state: who moves it, one of the running states.
        """
        assert state.is_running
        return self._go('run', state, reason)

    def hold(self, reason: str) -> bool:
        """Wait for what is missing; the next fresh input goes on."""
        return self._go('hold', ControllerState.HOLDING, reason)

    def latch(self, reason: str) -> bool:
        """Wait for `resume`, whatever comes; a later latch keeps the first one's reason."""
        if self.is_latched:
            return False
        heard = self._go('latch', ControllerState.HOLDING, reason)
        self.is_latched = heard or self.is_latched
        return heard

    def fault(self, reason: str) -> bool:
        """Stop commanding; a later fault keeps the first one's reason."""
        if self.state is ControllerState.FAULT:
            return False
        self.is_latched = False
        return self._go('fault', ControllerState.FAULT, reason)

    def recover(self, reason: str) -> bool:
        """Say how far the recovery from a fault is; only `resume` ends the fault."""
        return self._go('recover', ControllerState.FAULT, reason)

    def end(self, reason: str) -> bool:
        """End the episode; who asked for a hold must still resume, and a fault stays."""
        if self.is_latched:
            return False
        return self._go('end', ControllerState.IDLE, reason)

    def resume(self, *, in_episode: bool) -> bool:
        """Leave a latched hold or a fault whose cause is gone."""
        if self.state is ControllerState.HOLDING and not self.is_latched:
            return False
        target = ControllerState.RUNNING_BASE if in_episode else ControllerState.IDLE
        heard = self._go('resume', target, (
            'waiting for the base policy' if in_episode else 'resumed: an episode may start'))
        self.is_latched = self.is_latched and not heard
        return heard

    def _go(self, event: str, state: ControllerState, reason: str) -> bool:
        """Enter a state where the event is heard, and return whether it is."""
        if self.state not in TRANSITIONS[event]:
            return False
        if self.is_latched and event not in _HEARD_LATCHED:
            return False
        self.state, self.reason, self.start_refused = state, reason, False
        return True
