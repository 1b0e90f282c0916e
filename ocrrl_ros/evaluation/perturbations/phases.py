# SPDX-License-Identifier: Apache-2.0
"""When a planned disturbance begins, told from the simulator's truth."""
import numpy as np
from ocrrl_ros.evaluation.perturbations.schedule import Plan
from ocrrl_ros.evaluation.perturbations.settings import AFTER, BEFORE, DURING
from ocrrl_ros.sim.tasks import Task, TaskState


def is_held(task: Task, state: TaskState) -> bool:
    """Tell whether both fingers touch the first object; one is enough where nothing is grasped."""
    touched = state.finger_contact[0, 0]
    return bool(touched.all() if task.objects[0].is_free else touched.any())


class PhaseWatch:
    """
    Waits for the moment of a plan.

    before: TCP and object are first as near as drawn, and no finger touches. during: the same
    with smaller distances, or one finger touches; not both. after: held without a break for the
    drawn time. Without a phase: the drawn time of the episode.
    """

    def __init__(self, plan: Plan, task: Task):
        """Start an episode."""
        self._plan = plan
        self._task = task
        self._held_since_s: float | None = None

    def has_come(self, state: TaskState, now_s: float) -> bool:
        """Take the truth of a command tick and tell whether the moment has come."""
        plan, held = self._plan, is_held(self._task, state)
        if not held:
            self._held_since_s = None
        elif self._held_since_s is None:
            self._held_since_s = now_s
        if plan.phase == AFTER:
            return held and now_s - self._held_since_s >= plan.moment - 1e-9
        if plan.phase in (BEFORE, DURING):
            distance_m = np.linalg.norm(state.object_poses[0, 0, :3] - state.base_T_tcp[0, :3])
            touched, near = state.finger_contact[0, 0].any(), distance_m < plan.moment
            if plan.phase == BEFORE:
                return bool(near and not touched)
            return bool((near or touched) and not held)
        return now_s >= plan.moment - 1e-9
