# SPDX-License-Identifier: Apache-2.0
"""The operator's switches: `residual_policy/{set_enabled,hold,resume}`."""

from __future__ import annotations

from collections.abc import Callable

from ocrrl_ros.core.errors import InputError
from ocrrl_ros.policy.controller import ResidualController
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

_HOLD = 'hold asked for by the operator'


class OperatorServices:
    """
    Answers the operator.

    :param now_s: returns the time of the present tick.
    :param on_hold: told the reason of a hold, before the controller is.
    :param is_recovering: returns whether a recovery is under way, which no resume cuts short.
    """

    def __init__(
            self, node: Node, controller: ResidualController, now_s: Callable[[], float],
            on_hold: Callable[[str], None], is_recovering: Callable[[], bool]):
        """Offer the services; the node's loop serves them."""
        self._controller, self._now_s, self._on_hold = controller, now_s, on_hold
        self._is_recovering = is_recovering
        node.create_service(SetBool, 'residual_policy/set_enabled', self._set_enabled)
        node.create_service(Trigger, 'residual_policy/hold', self._hold)
        node.create_service(Trigger, 'residual_policy/resume', self._resume)

    def _set_enabled(
            self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Switch the residual; without a bundle it cannot be switched on."""
        controller = self._controller
        controller.set_enabled(request.data)
        response.success = controller.enabled == request.data
        response.message = (
            f'residual is {"on" if controller.enabled else "off"}'
            if response.success else 'no residual bundle is loaded: parameter residual is none')
        return response

    def _hold(
            self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Decelerate and hold until resume."""
        self._on_hold(_HOLD)
        self._controller.hold(_HOLD)
        response.success, response.message = True, 'holding; call residual_policy/resume'
        return response

    def _resume(
            self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Leave a latched hold, or a fault whose cause is gone."""
        try:
            if self._is_recovering():
                raise InputError(f'cannot resume: {self._controller.reason}')
            self._controller.resume(self._now_s())
        except InputError as error:
            response.success, response.message = False, str(error)
            return response
        response.success = True
        response.message = f'{self._controller.state.value}: {self._controller.reason}'
        return response
