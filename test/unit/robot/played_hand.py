# SPDX-License-Identifier: Apache-2.0
"""A driver of a hand that answers as it is told, in simulated time."""

from collections.abc import Callable

from ocrrl_ros.robot.gripper_commands import CommandResult, HandAction, HandCommand, Outcome

DT_S = 0.01


class PlayedHand:
    """
    Carries out commands and notes them.

    :param takes_s: seconds that a command takes.
    :param answer: outcome of a command; None: it never answers.
    :param stop_m: width at which closing fingers meet an object.
    """

    def __init__(
            self, logic, *, takes_s: float = 0.3, stop_m: float = 0.0,
            answer: Callable[[HandCommand], Outcome | None] = lambda command: Outcome.SUCCEEDED):
        self.logic, self.takes_s, self.answer, self.stop_m = logic, takes_s, answer, stop_m
        self.now_s, self.width_m, self.is_ready = 100.0, 0.08, True
        self.measures = True
        self.sent: list[tuple[float, HandCommand]] = []
        self.most_under_way = 0
        self._under_way: list[tuple[float, HandCommand]] = []

    @property
    def actions(self) -> list[str]:
        """Return what was commanded, in order."""
        return [command.action.value for _, command in self.sent]

    def tick(self, wish: float | None = None) -> None:
        """Let a hundredth of a second pass."""
        self.now_s += DT_S
        if wish is not None:
            self.logic.wish(wish, self.now_s)
        if self.measures:
            self.logic.measure(self.width_m, self.now_s)
        results = self._ended()
        command = self.logic.step(self.now_s, is_ready=self.is_ready, results=results)
        if command is not None:
            self.sent.append((self.now_s, command))
            self._under_way.append((self.now_s + self.takes_s, command))
            self.most_under_way = max(self.most_under_way, len(self._under_way))

    def run(self, seconds: float, wish: float | None = None) -> None:
        """Let time pass, wishing the same in every tick."""
        for _ in range(round(seconds / DT_S)):
            self.tick(wish)

    def status(self):
        """Return the status of now."""
        return self.logic.status(self.now_s)

    @property
    def phase(self) -> str:
        """Return the name of the present phase."""
        return self.status().phase.value

    def _ended(self) -> list[CommandResult]:
        """Return the answers that are due; the hand has moved."""
        ended = [item for item in self._under_way if item[0] <= self.now_s]
        results = []
        for item in ended:
            outcome = self.answer(item[1])
            if outcome is None:
                continue
            self._under_way.remove(item)
            if outcome is Outcome.SUCCEEDED:
                self._move(item[1])
            results.append(CommandResult(item[1].number, outcome, 'as played'))
        return results

    def _move(self, command: HandCommand) -> None:
        """Put the fingers where a command has brought them."""
        if command.action is HandAction.GRASP:
            self.width_m = max(command.width_m, self.stop_m)
        elif command.action is HandAction.MOVE:
            self.width_m = command.width_m
        elif command.action is HandAction.HOME:
            self.width_m = 0.08
