# SPDX-License-Identifier: Apache-2.0
"""
Take messages inside a real-time loop instead of letting an executor call back.

An rclpy executor needs 50-100 us per message at 1 kHz and jitters; a take costs a few
microseconds. Executors keep serving what comes at 100 Hz or less.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile

M = TypeVar('M')


class PolledGroup(CallbackGroup):
    """Callback group that no executor may run: its messages wait until they are taken."""

    def can_execute(self, entity: Any) -> bool:
        """Refuse, so that executors leave the entity out of their wait set."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Refuse to run the entity."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Accept the end of what never began."""


class PolledSubscription(Generic[M]):
    """
    Subscription whose messages are taken in the caller's loop.

    :param node: node that owns the subscription; it may also be spun by an executor.
    """

    def __init__(
            self, node: Node, message_type: type[M], name: str, qos: QoSProfile, *,
            raw: bool = False):
        """
        Create the subscription in a group that executors skip.

        :param raw: take messages as the bytes that came, for recording.
        """
        self._raw = raw
        self._subscription = node.create_subscription(
            message_type, name, self._never, qos, callback_group=PolledGroup(), raw=raw)
        self._type = message_type
        self._handle = self._subscription.handle

    @property
    def name(self) -> str:
        """Return the topic name as resolved by the node."""
        return self._subscription.topic_name

    def take(self) -> M | None:
        """Return the oldest waiting message, or None."""
        with self._handle:
            found = self._handle.take_message(self._type, self._raw)
        return None if found is None else found[0]

    def take_all(self, limit: int = 100) -> list[M]:
        """Return every waiting message, oldest first, at most ``limit``."""
        messages = []
        while len(messages) < limit:
            message = self.take()
            if message is None:
                break
            messages.append(message)
        return messages

    def take_newest(self) -> M | None:
        """Return the newest waiting message and drop the older ones."""
        messages = self.take_all()
        return messages[-1] if messages else None

    def take_received(self) -> tuple[M, float] | None:
        """
        Return the oldest waiting message and when it arrived, or None.

        The time is the system clock's, noted by the middleware; 0 where that does not tell it.
        """
        with self._handle:
            found = self._handle.take_message(self._type, self._raw)
        return None if found is None else (found[0], found[1]['received_timestamp'] * 1e-9)

    def publisher_count(self) -> int:
        """Return how many publishers the topic has."""
        return self._subscription.get_publisher_count()

    @staticmethod
    def _never(message: M) -> None:
        """Satisfy rclpy, which asks for a callback."""


class PolledServices:
    """
    Serve a node's services, its parameters among them, from the node's own loop.

    Looking for a request costs a few microseconds per service, an executor's wait set half a
    millisecond. Everything else that the node hears must be a :class:`PolledSubscription`.
    """

    def __init__(self, node: Node):
        """Serve the services that the node has now, but those that their owner polls."""
        self._services = [
            service for service in node.services
            if not isinstance(service.callback_group, PolledGroup)]
        self._next = 0

    def serve_one(self) -> None:
        """Look at the next service in turn and answer a waiting request."""
        service = self._services[self._next]
        self._next = (self._next + 1) % len(self._services)
        with service.handle:
            request, header = service.handle.service_take_request(service.srv_type.Request)
        if header is None:
            return
        response = service.callback(request, service.srv_type.Response())
        service.send_response(response, header)

    def serve_all(self) -> None:
        """Look once at every service."""
        for _ in self._services:
            self.serve_one()


class DeferredService:
    """A service whose requests are taken in the caller's loop and answered when that can."""

    def __init__(self, node: Node, service_type: Any, name: str):
        """Create the service in a group that executors and ``PolledServices`` skip."""
        self._type = service_type
        self._service = node.create_service(
            service_type, name, self._never, callback_group=PolledGroup())

    def take(self) -> tuple[Any, Any] | None:
        """Return (request, header) of the oldest waiting request, or None."""
        with self._service.handle:
            request, header = self._service.handle.service_take_request(self._type.Request)
        return None if header is None else (request, header)

    def answer(self, header: Any, **fields: Any) -> None:
        """Answer the request that came with this header."""
        self._service.send_response(self._type.Response(**fields), header)

    @staticmethod
    def _never(request: Any, response: Any) -> Any:
        """Satisfy rclpy, which asks for a callback."""
        return response


class PolledClient:
    """Call a service from a loop: send now, look for the answer later; one call at a time."""

    def __init__(self, node: Node, service_type: Any, name: str):
        """Create the client in a group that executors skip."""
        self._type = service_type
        self._client = node.create_client(service_type, name, callback_group=PolledGroup())
        self._sequence: int | None = None

    def is_ready(self) -> bool:
        """Return whether a server is there."""
        return self._client.service_is_ready()

    def send(self, request: Any = None) -> None:
        """Send a request (an empty one when None); an earlier one is forgotten."""
        message = self._type.Request() if request is None else request
        handle = self._client.handle
        with handle:
            self._sequence = handle.send_request(message)

    def take(self) -> Any:
        """Return the response to the last request, or None while there is none."""
        handle = self._client.handle
        while True:
            with handle:
                header, response = handle.take_response(self._type.Response)
            if header is None:
                return None
            if header.request_id.sequence_number == self._sequence:
                return response
