# SPDX-License-Identifier: Apache-2.0
"""
Ways home by name: own commands, or a goal for another controller (facts/franka.md section 8).

The others stream nothing: the controller that they ask must be active, which claims the arm and
leaves CRISP's without it (``ros2 control switch_controllers``).
"""

from __future__ import annotations

from collections.abc import Callable
import importlib.util
import threading
from typing import Any, Literal, Protocol

import numpy as np
from ocrrl_ros.core.errors import InputError, MissingDependencyError
from ocrrl_ros.interfaces.chunk_conversions import to_duration
from ocrrl_ros.interfaces.optional import optional
from ocrrl_ros.interfaces.polled_action import GoalEnd, PolledActionClient
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.homing import (
    HomingConfig, HomingMotion, HomingPlan, HomingPlanner, HomingState, JointHoming)
from ocrrl_ros.robot.robot_config import RobotConfig
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

HomingName = Literal['none', 'own', 'follow_joint_trajectory', 'moveit']
_POINT_STEP_S = 0.1
_ANSWER_S = 2.0


def home_trajectory(plan: HomingPlan) -> JointTrajectory:
    """Return a checked way home as a trajectory: a point every 0.1 s and the one at rest."""
    message = JointTrajectory(joint_names=list(ARM_JOINT_NAMES))
    every = max(1, round(_POINT_STEP_S / (plan.times_s[1] - plan.times_s[0])))
    last = len(plan.times_s) - 1
    for i in [*range(every, last, every), last]:
        message.points.append(JointTrajectoryPoint(
            positions=plan.q[i].tolist(), velocities=plan.dq[i].tolist(),
            time_from_start=to_duration(float(plan.times_s[i]))))
    message.points[-1].velocities = [0.0] * len(ARM_JOINT_NAMES)
    return message


class _Delegated:
    """A motion that another controller carries out: no commands of its own."""

    def __init__(self) -> None:
        """Wait for ``start``."""
        self.state, self.reason = HomingState.IDLE, 'not started'

    def limit_speed(self, scale: float) -> None:
        """Do nothing: whoever carries the motion out has a speed of its own."""

    def stop(self, reason: str) -> None:
        """End the motion; each kind knows how."""
        raise NotImplementedError

    def cut(self, reason: str) -> None:
        """End the motion; whoever carries it out knows whether the arm listens."""
        self.stop(reason)

    def preview(self, dt_s: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """
        Return nothing.

        :raises InputError: there are no commands to look ahead from.
        """
        raise InputError('homing by another controller has no commands of its own')

    def _fail(self, reason: str) -> None:
        """End the motion for this reason."""
        self.state, self.reason = HomingState.FAILED, reason

    def _arrive(self, q: np.ndarray | None, q_home: np.ndarray, tolerance_rad: float) -> None:
        """Compare the measured joints (7,) with home."""
        error = np.inf if q is None else np.abs(q - q_home).max()
        if error <= tolerance_rad:
            self.state, self.reason = HomingState.DONE, 'at home'
        else:
            self._fail(f'homing ended {error:.3f} rad from home, allowed: {tolerance_rad} rad')


class TrajectoryHoming(_Delegated):
    """The planner's checked way as a goal of FollowJointTrajectory."""

    def __init__(self, planner: HomingPlanner, action: PolledActionClient, make_goal: Callable):
        """
        Keep the client.

        :param make_goal: takes ``trajectory`` and returns a goal of the action.
        """
        super().__init__()
        self._planner, self._action, self._make_goal = planner, action, make_goal
        self._sent_s = self._end_s = 0.0

    def limit_speed(self, scale: float) -> None:
        """Let later ways be no faster than 0 < scale <= 1 of the shaped joint speed."""
        self._planner.limit_speed(scale)

    @property
    def is_busy(self) -> bool:
        """Return whether the server has not ended the goal yet."""
        return self._action.is_busy

    def start(self, q: np.ndarray, now_s: float) -> bool:
        """Plan from measured joint positions (7,) in rad and send the goal."""
        if self.is_busy:
            return False
        if not self._action.is_ready():
            self._fail(f'no action server {self._action.name}; is its controller loaded?')
            return False
        try:
            plan = self._planner.plan(q)
        except InputError as error:
            self._fail(str(error))
            return False
        self._action.send(self._make_goal(trajectory=home_trajectory(plan)))
        self._sent_s = now_s
        self._end_s = now_s + float(plan.times_s[-1]) + self._planner.config.settle_s
        self.state, self.reason = HomingState.MOVING, f'moving home by {self._action.name}'
        return True

    def stop(self, reason: str) -> None:
        """Cancel the goal."""
        if self.state is HomingState.MOVING:
            self._action.cancel()
            self._fail(reason)

    def tick(self, now_s: float, q: np.ndarray | None) -> None:
        """Follow the goal; there is no command."""
        if not self.is_busy:
            return
        goal = self._action.take()
        if self.state is not HomingState.MOVING:
            if self.is_busy and now_s > self._end_s + _ANSWER_S:
                self._action.forget()
        elif goal is not None:
            self._take_end(goal, q)
        elif not self._action.is_accepted and now_s - self._sent_s > _ANSWER_S:
            self.stop(f'{self._action.name} has not answered for {_ANSWER_S} s')
        elif self._action.is_accepted and now_s > self._end_s:
            self.stop(f'{self._action.name} has not ended in time')

    def _take_end(self, goal: GoalEnd, q: np.ndarray | None) -> None:
        """Say how the motion ended."""
        if goal.end == 'succeeded':
            self._arrive(q, self._planner.q_home, self._planner.config.tolerance_rad)
        elif goal.end == 'rejected':
            self._fail(f'{self._action.name} has rejected the goal; is its controller active?')
        else:
            text = getattr(goal.result, 'error_string', '')
            self._fail(f'{self._action.name} has {goal.end} the goal{text and ": "}{text}')


class MoveItSession(Protocol):
    """What is needed of MoveIt; each call may block."""

    def move(self, q_home: np.ndarray) -> str | None:
        """Plan and execute to joint positions (7,) in rad; return why it failed, or None."""

    def stop(self) -> None:
        """End what is being executed."""


class MoveItHoming(_Delegated):
    """
    MoveIt plans, with its own collision checks, and executes, in a thread of its own.

    :param make_session: called in that thread, once; starting MoveIt takes seconds.
    """

    def __init__(self, make_session: Callable[[], MoveItSession], config: HomingConfig):
        """Wait for ``start``."""
        super().__init__()
        self._make_session, self._config = make_session, config
        self._session: MoveItSession | None = None
        self._thread: threading.Thread | None = None
        self._problem: str | None = None
        self._is_stopped = False

    @property
    def is_busy(self) -> bool:
        """Return whether MoveIt is at work."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, q: np.ndarray, now_s: float) -> bool:
        """Have MoveIt move from wherever it sees the arm."""
        if self.is_busy:
            return False
        self._problem, self._is_stopped = None, False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.state, self.reason = HomingState.MOVING, 'moving home by MoveIt'
        self._thread.start()
        return True

    def stop(self, reason: str) -> None:
        """End the execution."""
        if self.state is HomingState.MOVING:
            self._is_stopped = True
            if self._session is not None:
                self._session.stop()
            self._fail(reason)

    def tick(self, now_s: float, q: np.ndarray | None) -> None:
        """Look whether MoveIt has ended; there is no command."""
        if self.state is not HomingState.MOVING or self.is_busy:
            return
        if self._problem is not None:
            self._fail(self._problem)
        else:
            self._arrive(q, np.array(self._config.q_home), self._config.tolerance_rad)

    def _work(self) -> None:
        """Run MoveIt; whatever it raises is a reason."""
        try:
            if self._session is None:
                self._session = self._make_session()
            if not self._is_stopped:
                self._problem = self._session.move(np.array(self._config.q_home))
        except Exception as error:
            self._problem = f'MoveIt: {error}'


class _MoveItPy:
    """moveit_py with the group fr3_arm; its parameters are those of the node ``moveit_py``."""

    def __init__(self) -> None:
        """Start MoveIt."""
        from moveit.core.robot_state import RobotState
        from moveit.planning import MoveItPy
        self._robot = MoveItPy(node_name='moveit_py')
        self._arm = self._robot.get_planning_component('fr3_arm')
        self._make_state = RobotState

    def move(self, q_home: np.ndarray) -> str | None:
        """Plan and execute."""
        state = self._make_state(self._robot.get_robot_model())
        # set_joint_group_positions is reported to crash (moveit2 issue 3718).
        state.joint_positions = dict(zip(ARM_JOINT_NAMES, map(float, q_home)))
        self._arm.set_start_state_to_current_state()
        self._arm.set_goal_state(robot_state=state)
        plan = self._arm.plan()
        if not plan:
            return 'MoveIt has found no way home'
        self._robot.execute(plan.trajectory, controllers=[])
        return None

    def stop(self) -> None:
        """End what is being executed."""
        self._robot.get_trajectory_execution_manager().stop_execution()


def make_homing(
        name: HomingName, node: Node, robot: RobotConfig, config: HomingConfig,
        controller: str) -> HomingMotion | None:
    """
    Return the way home of this name, or None for ``none``.

    :param controller: whose follow_joint_trajectory is asked.
    :raises MissingDependencyError: what it needs is not installed.
    :raises ConfigError: home lies where the arm cannot be.
    """
    if name == 'none':
        return None
    if name == 'own':
        return JointHoming(HomingPlanner(robot, config))
    if name == 'moveit':
        if importlib.util.find_spec('moveit') is None:
            raise MissingDependencyError(
                'moveit_py (homing: moveit)', 'apt install ros-jazzy-moveit-py')
        return MoveItHoming(_MoveItPy, config)
    actions: Any = optional('control_msgs.action')
    if actions is None:
        raise MissingDependencyError(
            'control_msgs (homing: follow_joint_trajectory)',
            'apt install ros-jazzy-control-msgs')
    kind = actions.FollowJointTrajectory
    return TrajectoryHoming(
        HomingPlanner(robot, config),
        PolledActionClient(node, kind, f'{controller}/follow_joint_trajectory'), kind.Goal)
