# SPDX-License-Identifier: Apache-2.0
"""Put a wrong number into every place of a message that holds one, found by reflection."""

from __future__ import annotations

from collections.abc import Callable
import copy
import math
import re
import time
from typing import Any

from ocrrl_ros.interfaces.recording import message_class
from rclpy.node import NodeNameNonExistentError
from ros_harness import NodeProcess, Probe

#: What a broken sender sends in place of a number.
WRONG = (math.nan, math.inf, -math.inf, 1e30, -1e30)
_TRIES, _BEATS_AFTER, _SETTLED_S = 5, 50, 1.0
#: A node that has never run here compiles first.
_COMPILING_S = 240.0
Place = tuple[str | int, ...]


def places(message: Any) -> list[Place]:
    """Return where a message holds floating-point numbers, as attribute names and indices."""
    found: list[Place] = []
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if kind in ('double', 'float'):
            found.append((name,))
        elif kind.startswith(('double', 'float', 'sequence<double', 'sequence<float')):
            found += [(name, index) for index in range(len(value))]
        elif hasattr(value, 'get_fields_and_field_types'):
            found += [(name, *place) for place in places(value)]
        elif isinstance(value, (list, tuple)):
            found += [(name, index, *place) for index, item in enumerate(value)
                      if hasattr(item, 'get_fields_and_field_types')
                      for place in places(item)]
    return found


def put(message: Any, place: Place, wrong: float) -> Any:
    """Return a copy of a message with a wrong number at a place."""
    changed = copy.deepcopy(message)
    holder = changed
    for step in place[:-1]:
        holder = holder[step] if isinstance(step, int) else getattr(holder, step)
    if isinstance(place[-1], int):
        holder[place[-1]] = wrong
    else:
        setattr(holder, place[-1], wrong)
    return changed


def place_text(place: Place) -> str:
    """Write a place as one would in Python."""
    return ''.join(f'[{step}]' if isinstance(step, int) else f'.{step}' for step in place)[1:]


class Sweep:
    """
    Sends every wrong number in every place of whatever a node listens to.

    The topics are asked of the running node, so that a new input cannot be forgotten.

    :param seeds: returns a good message of a topic, stamped now, by name below the namespace.
    :param send: publishes a message on a topic, with whatever else must come with it.
    """

    def __init__(
            self, probe: Probe, node: NodeProcess, name: str, namespace: str,
            seeds: dict[str, Callable[[], Any]], send: Callable[[str, Any], None]):
        """Find the node's topics."""
        self._node, self._seeds, self._send = node, seeds, send
        self.topics: dict[str, list[Place]] = {}
        self._ask(probe, name, namespace)

    def _ask(self, probe: Probe, name: str, namespace: str) -> None:
        """Ask which topics the node hears, and find the numbers of each."""
        probe.until(
            lambda: set(self._seeds) <= {topic for topic, _ in self.heard(
                probe, name, namespace)}, _COMPILING_S, f'{sorted(self._seeds)} heard by {name}')
        # What else it hears was made beside these and is known as soon.
        time.sleep(_SETTLED_S)
        for topic, kind in self.heard(probe, name, namespace):
            if places_of_kind(kind):
                assert topic in self._seeds, f'{name} hears {topic}, of which there is no seed'
                self.topics[topic] = places(self._seeds[topic]())

    @staticmethod
    def heard(probe: Probe, name: str, namespace: str) -> list[tuple[str, str]]:
        """Return names below the namespace and types of what the node hears, if it is there."""
        try:
            rows = probe.node.get_subscriber_names_and_types_by_node(name, f'/{namespace}')
        except NodeNameNonExistentError:
            return []
        prefix = f'/{namespace}/' if namespace else '/'
        return [(topic.removeprefix(prefix), kinds[0]) for topic, kinds in rows]

    def run(self, topic: str, beat: Callable[[], None]) -> None:
        """
        Send all wrong messages of one topic, with a beat after each.

        :param beat: lets the node take the message and keeps its other inputs alive.
        """
        for place in self.topics[topic]:
            for wrong in WRONG:
                self._send(topic, put(self._seeds[topic](), place, wrong))
                beat()
                assert self._node.process.poll() is None, self._node.log

    def run_until_named(self, topic: str, beat: Callable[[], None]) -> None:
        """Run, again where a busy machine let the node miss it, until the topic is named."""
        for _ in range(_TRIES):
            self.run(topic, beat)
            for _ in range(_BEATS_AFTER):
                if self.warned(topic):
                    return
                beat()
        raise AssertionError(f'{topic} is not named: {self._node.log[-3000:]}')

    def warned(self, topic: str) -> bool:
        """Return whether the node has warned of something that names the topic."""
        return any('WARN' in line and topic in line for line in self._node.log.splitlines())


def places_of_kind(kind: str) -> bool:
    """Return whether a message of ``package/msg/Type`` can hold a floating-point number."""
    return _holds_numbers(message_class(kind))


def _holds_numbers(message: type) -> bool:
    """Look for a floating-point field, however deep."""
    for field in message.get_fields_and_field_types().values():
        inner = re.sub(r'^sequence<(.*?)(, \d+)?>$|\[\d+\]$', r'\1', field)
        if inner.startswith(('double', 'float')):
            return True
        if '/' in inner and _holds_numbers(message_class(inner.replace('/', '/msg/'))):
            return True
    return False
