# SPDX-License-Identifier: Apache-2.0
"""What may look at an offline episode and interfere with it, tick by tick."""
from ocrrl_ros.evaluation.perturbations.injector import Injector
from ocrrl_ros.evaluation.perturbations.phases import is_held, PhaseWatch
from ocrrl_ros.evaluation.perturbations.schedule import Plan
from ocrrl_ros.evaluation.perturbations.settings import DisturbanceConfig
from ocrrl_ros.evaluation.perturbations.trace import MotionTrace
from ocrrl_ros.policy.controller import Command, PolicyAction
from ocrrl_ros.sim.world import SimWorld


class EpisodeHook:
    """Does nothing: an episode without disturbance."""

    def hand(self, opening: float, now_s: float) -> float:
        """Return the opening that the hand is given in place of the commanded one."""
        return opening

    def stalls_base(self, now_s: float) -> bool:
        """Tell whether the base neither plans nor delivers in this tick."""
        return False

    def before_steps(
            self, world: SimWorld, command: Command | None, action: PolicyAction | None) -> None:
        """
        See a command tick before its physics steps.

        :param command: published in this tick.
        :param action: of the last policy tick.
        """


class DisturbedEpisode(EpisodeHook):
    """Records an episode and disturbs it as planned, or only notes when it would have."""

    def __init__(self, plan: Plan, sizes: DisturbanceConfig, *, acts: bool = True):
        """
        Wait for the plan's moment.

        :param acts: False for the undisturbed twin.
        """
        self._plan = plan
        self._injector = Injector(plan, sizes)
        self._acts = acts
        self._watch: PhaseWatch | None = None
        self.begin_s: float | None = None
        """Time of the first disturbed physics step; in a twin the time when it would be."""
        self.trace = MotionTrace()

    @property
    def force_n(self) -> float:
        """Return the force that was applied, N."""
        return self._injector.force_n

    def hand(self, opening: float, now_s: float) -> float:
        """Open the hand while a drop lasts."""
        return self._injector.hand(opening, now_s)

    def stalls_base(self, now_s: float) -> bool:
        """Silence the base while a stall lasts."""
        return self._injector.stalls_base(now_s)

    def before_steps(
            self, world: SimWorld, command: Command | None, action: PolicyAction | None) -> None:
        """Record the tick; begin the disturbance when its moment has come."""
        state, now_s = world.task_state(), world.time_s
        self.trace.add(now_s, state, is_held(world.task, state), command, action)
        if self._watch is None:
            self._watch = PhaseWatch(self._plan, world.task)
        if self.begin_s is None and self._watch.has_come(state, now_s):
            self.begin_s = now_s
            if self._acts:
                self._injector.begin(world)
