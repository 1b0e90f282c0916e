# SPDX-License-Identifier: Apache-2.0
"""
Bring a stopped robot back to where it takes targets: one step after the other, none skipped.

Franka's order is error recovery, hardware active, controllers active (facts/franka.md section
1.4). Nothing here moves the arm: the policy goes on when a person says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import enum
from typing import Literal, Protocol

from ocrrl_ros.core.errors import ConfigError, OcrrlError

DriverName = Literal['franka_ros2', 'fci_arm', 'none']
#: What a person has to do before a robot in this mode can be recovered.
_FOR_A_PERSON = {
    'user_stopped': 'release the user stop',
    'guiding': 'let go of the guiding buttons'}


@dataclass(frozen=True, kw_only=True)
class RecoveryConfig:
    """Settings of the recovery from faults, and of the watch over the arm's controller."""

    driver: DriverName = field(
        default='franka_ros2', metadata={'description': (
            'who drives the robot: franka_ros2 (error recovery, hardware and controllers), '
            'fci_arm (its error recovery alone) or none (nothing to recover, as in simulation)')})
    error_recovery: str = field(
        default='', metadata={'description': (
            'action (franka_ros2) or service (fci_arm) of the error recovery; empty: '
            'action_server/error_recovery or fci_arm/error_recovery')})
    controller_manager: str = field(
        default='controller_manager', metadata={'description': "name of the driver's manager"})
    hardware: str = field(
        default='FrankaHardwareInterface', metadata={'description': (
            'hardware component that is made active')})
    controller: str = field(
        default='', metadata={'description': (
            'controller that moves the arm: it is made active by a recovery, and an arm whose '
            'controller is not active is not commanded (needs controller_manager_msgs). Empty: '
            'neither')})
    broadcasters: tuple[str, ...] = field(
        default=('joint_state_broadcaster', 'franka_robot_state_broadcaster'), metadata={
            'description': 'made active with the controller, those of them that are loaded'})
    step_timeout_s: float = field(
        default=15.0, metadata={'description': 'longest that a step of a recovery may take, s'})

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not 0.5 <= self.step_timeout_s <= 120.0:
            raise ConfigError(
                f'step_timeout_s is {self.step_timeout_s} s; allowed: 0.5 .. 120')
        for name in ('controller_manager', 'hardware'):
            if not getattr(self, name):
                raise ConfigError(f'{name} is empty; allowed: a name')


def person_must(robot_mode: str) -> str:
    """Return what a person has to do at a robot of this mode, or an empty string."""
    deed = _FOR_A_PERSON.get(robot_mode)
    return '' if deed is None else (
        f'robot_mode is {robot_mode}: {deed}, then call residual_policy/recover')


class RecoveryStep(Protocol):
    """One step; nothing in it waits."""

    name: str

    def begin(self) -> None:
        """
        Begin anew.

        :raises OcrrlError: it cannot be tried; the message says why.
        """

    def poll(self) -> str | None:
        """
        Return what was done, once it is, or None while it is under way.

        :raises OcrrlError: it has failed; the message says why.
        """

    def awaited(self) -> str:
        """Return what the step waits for now."""


class RecoveryState(enum.Enum):
    """How far a recovery is."""

    IDLE = 'idle'
    RUNNING = 'running'
    DONE = 'done'
    FAILED = 'failed'


class FaultRecovery:
    """
    Goes through the steps when told to, and says how far it is.

    :param steps: in their order.
    :param blocked: returns why no further step may begin, or an empty string.
    """

    def __init__(
            self, steps: Sequence[RecoveryStep], step_timeout_s: float,
            blocked: Callable[[], str] = str):
        """Do nothing before ``start``."""
        self.state = RecoveryState.IDLE
        self.progress = 'not asked for'
        """How far it is, in words."""
        self._steps = tuple(steps)
        self._step_timeout_s = step_timeout_s
        self._blocked = blocked
        self._next = 0
        self._is_begun = False
        self._began_s = 0.0
        self._done: list[str] = []

    @property
    def is_running(self) -> bool:
        """Return whether steps are under way."""
        return self.state is RecoveryState.RUNNING

    @property
    def report(self) -> str:
        """Return what became of each step so far, in words."""
        return '; '.join(self._done) or 'no step was done'

    def start(self, now_s: float) -> None:
        """Begin with the first step, whatever came of the last time."""
        self.state, self._next, self._is_begun, self._done = RecoveryState.RUNNING, 0, False, []
        self.tick(now_s)

    def tick(self, now_s: float) -> None:
        """Look after the step under way; at most one step ends or begins in a call."""
        if not self.is_running:
            return
        if self._next == len(self._steps):
            self.state, self.progress = RecoveryState.DONE, 'recovered'
            return
        step = self._steps[self._next]
        try:
            done = self._poll(step, now_s)
        except OcrrlError as error:
            self._fail(step, str(error))
            return
        if done is not None:
            self._done.append(f'{step.name}: {done}')
            self._next, self._is_begun = self._next + 1, False
        elif not 0.0 <= now_s - self._began_s <= self._step_timeout_s:
            self._fail(step, f'not within {self._step_timeout_s:g} s: {step.awaited()}')

    def _poll(self, step: RecoveryStep, now_s: float) -> str | None:
        """Begin the step or look after it; return what was done, or None."""
        if self._is_begun:
            return step.poll()
        self._began_s = now_s
        self.progress = (
            f'recovering, step {self._next + 1} of {len(self._steps)}: {step.name}')
        reason = self._blocked()
        if reason:
            self._fail(step, reason)
            return None
        step.begin()
        self._is_begun = True
        return None

    def _fail(self, step: RecoveryStep, reason: str) -> None:
        """End here: what was done stays done."""
        self.state = RecoveryState.FAILED
        self.progress = f'recovery failed in {step.name}: {reason}'
        self._done.append(f'{step.name}: failed: {reason}')
