# SPDX-License-Identifier: Apache-2.0
"""
Nodes whose start is expensive or dangerous: lifecycle nodes, served by their own loop.

What such a node loads, connects to and drops is in five methods of a subclass; states, services,
refusals and the diagnosis are here.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import traceback
from typing import Any, Literal

from lifecycle_msgs.srv import ChangeState
from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.interfaces.parameters import declare_config
from ocrrl_ros.interfaces.tick_loop import TickLoop
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

Lifecycle = Literal['unconfigured', 'inactive', 'active', 'finalized']
_SUCCESS, _FAILURE, _ERROR = (
    TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ManagedConfig:
    """What the settings of every managed node have."""

    autostart: bool = dataclasses.field(default=True, metadata={
        'description': 'configure and activate at the start; if not, wait for `ros2 lifecycle`'})


class _Created:
    """What a node publishes and hears beyond what it did when this was made."""

    def __init__(self, node: Node):
        """Note what is there."""
        self._node = node
        self._kept = {*node.publishers, *node.subscriptions}

    def destroy(self) -> None:
        """Destroy what has come since."""
        for subscription in set(self._node.subscriptions) - self._kept:
            self._node.destroy_subscription(subscription)
        for publisher in set(self._node.publishers) - self._kept:
            self._node.destroy_publisher(publisher)


class ManagedNode(LifecycleNode):
    """
    A lifecycle node of ROS 2 with a ``TickLoop`` as ``loop``.

    A subclass calls ``start`` at the end of its constructor and has ``configure``, ``activate``,
    ``step_active``, ``deactivate`` and ``cleanup``; the last two also follow on a refusal and on
    the node's end, and must bear that there is nothing to undo. Publishers and subscriptions that
    ``configure`` and ``activate`` create are destroyed with the state: what was sent to an
    inactive node is not found when it is active again.

    Where ``autostart`` is set, what is refused at the start is raised, and ends the process. On
    request a refusal is logged and shown in the diagnosis, and the node stays as it was.
    """

    def __init__(self, name: str, config_class: type, **arguments: Any):
        """
        Declare the parameters, read-only for the life of the node, as ``config``.

        :param config_class: dataclass with ``autostart`` (``ManagedConfig``) and ``loop``.
        :raises ConfigError: a setting is wrong, whatever ``autostart`` says.
        """
        super().__init__(name, **arguments)
        self.config = declare_config(self, config_class)
        self.loop = TickLoop(self, self.config.loop)
        self.lifecycle: Lifecycle = 'unconfigured'
        """The state that the last transition has led to."""
        self._is_requested = False
        self._error: Exception | None = None
        self._now_s = 0.0
        self._loaded: _Created | None = None
        self._heard: _Created | None = None
        self._guard_requests()
        self.loop.monitor.set_source('lifecycle', lambda: self.lifecycle)
        self._enter('unconfigured')

    def start(self) -> None:
        """
        Configure and activate where ``autostart`` is set.

        :raises Exception: what ``configure`` or ``activate`` has raised; the node is destroyed.
        """
        if not self.config.autostart:
            return
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() is not _SUCCESS:
                self.destroy_node()
                raise self._error

    def configure(self) -> None:
        """
        Load what the node works with.

        :raises OcrrlError: it cannot be had; the node stays unconfigured.
        """

    def activate(self) -> None:
        """
        Begin to work, before the first ``step_active``.

        :raises OcrrlError: that is not possible; the node stays inactive.
        """

    def step_active(self, now_s: float) -> None:
        """Do the work of one step, seconds of the node's clock; what it raises ends the node."""

    def step_inactive(self, now_s: float) -> None:
        """Do what is left to do in a step of a node that is not active."""

    def deactivate(self) -> None:
        """Let go of what ``activate`` has taken."""

    def cleanup(self) -> None:
        """Drop what ``configure`` has loaded."""

    def step(self, now_s: float) -> None:
        """Work while active; in any state the loop goes on and lockstep is answered."""
        self._now_s = now_s
        (self.step_active if self.lifecycle == 'active' else self.step_inactive)(now_s)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load; a refusal leaves the node unconfigured."""
        self._loaded = _Created(self)
        return self._attempt('configure', self.configure, 'inactive', self._unload)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin; a refusal, on request also one of the first step, leaves the node inactive."""
        self._heard = _Created(self)
        return self._attempt('activate', self._begin, 'active', self._stop)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the work."""
        return self._attempt('deactivate', self._stop, 'inactive')

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drop what was loaded."""
        return self._attempt('clean up', self._unload, 'unconfigured')

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything for good; the process stays and tells so until it is ended."""
        return self._attempt('shut down', self._release, 'finalized')

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Be unconfigured after an error that is none of the expected ones."""
        error = self._error
        if self._attempt('undo', self._release, 'unconfigured') is not _SUCCESS:
            self._enter('finalized')
            return _FAILURE
        self._error = error
        self._show_problem(error)
        return _SUCCESS

    def destroy_node(self) -> None:
        """Let go of everything before the node goes."""
        self._release()
        # rclpy leaves it, its services and with them the node to the garbage collector.
        self._state_machine.destroy_when_not_in_use()
        super().destroy_node()

    def _begin(self) -> None:
        """Activate; who asks for it is told, too, what only the first step finds out."""
        self.activate()
        if self._is_requested:
            self.step_active(self._now_s)

    def _stop(self) -> None:
        """Deactivate and hear nothing more."""
        self.deactivate()
        if self._heard is not None:
            self._heard.destroy()
            self._heard = None
        self.loop.monitor.forget()

    def _unload(self) -> None:
        """Clean up and publish nothing more of what was loaded."""
        self.cleanup()
        if self._loaded is not None:
            self._loaded.destroy()
            self._loaded = None

    def _release(self) -> None:
        """Stop and unload."""
        self._stop()
        self._unload()

    def _attempt(
            self, what: str, action: Callable[[], None], state: Lifecycle,
            undo: Callable[[], None] | None = None) -> TransitionCallbackReturn:
        """
        Carry out a transition, and tell of its failure: rclpy would say nothing.

        :param undo: what brings the node back after a refusal; without it any is an error.
        """
        try:
            action()
        except Exception as error:
            self._error = error
            is_refusal = undo is not None and isinstance(error, OcrrlError)
            if self._is_requested:
                self.get_logger().error(
                    f'cannot {what}: {error}' if is_refusal else
                    f'cannot {what}: {"".join(traceback.format_exception(error))}')
            if not is_refusal:
                return _ERROR
            undo()
            self._enter(self.lifecycle)
            self._show_problem(error)
            return _FAILURE
        self._enter(state)
        return _SUCCESS

    def _enter(self, state: Lifecycle) -> None:
        """Be in a state, and show it."""
        self.lifecycle = state
        monitor = self.loop.monitor
        monitor.set_problem(
            'lifecycle', '' if state == 'active' else f'{state}: nothing is published')
        monitor.set_problem('transition', '')

    def _show_problem(self, error: Exception | None) -> None:
        """Show what went wrong in every diagnosis, until something else is tried."""
        self.loop.monitor.set_problem('transition', '' if error is None else str(error))

    def _guard_requests(self) -> None:
        """Serve ``~/change_state`` so that no request ends the node or looks like a late loop."""
        service = next(item for item in self.services if item.srv_type is ChangeState)
        serve = service.callback

        def change_state(
                request: ChangeState.Request, response: ChangeState.Response) -> Any:
            self._is_requested = True
            before = self.lifecycle
            try:
                response = serve(request, response)
            except rclpy_implementation.RCLError:
                name = request.transition.label or request.transition.id
                self.get_logger().warning(f'no transition {name} in state {self.lifecycle}')
                response.success = False
            has_loaded = (before == 'unconfigured') != (self.lifecycle == 'unconfigured')
            self.loop.resume(collect=has_loaded)
            return response

        service.callback = change_state
