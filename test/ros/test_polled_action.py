# SPDX-License-Identifier: Apache-2.0
"""
Goals sent from a loop reach a real rclpy action server, and their ends come back.

The wheels hold one package with actions, test_msgs: its Fibonacci stands for any action.
"""

import threading

from ocrrl_ros.interfaces.polled_action import PolledActionClient
import pytest
import rclpy
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor

actions = pytest.importorskip(
    'test_msgs.action', reason='test_msgs is missing: pip install ros-test-msgs==2.0.3, or '
    'apt-get install ros-jazzy-test-msgs')
Fibonacci = actions.Fibonacci
NAME = 'counting'


class Server:
    """Counts up to the order of a goal; 13 is rejected, 17 fails, 99 waits to be cancelled."""

    def __init__(self):
        self.orders, self.cancels, self._closing = [], 0, threading.Event()
        self.node = rclpy.create_node('counting_server')
        self._server = ActionServer(
            self.node, Fibonacci, NAME, self._execute, callback_group=ReentrantCallbackGroup(),
            goal_callback=self._on_goal, cancel_callback=self._on_cancel)
        self._executor = MultiThreadedExecutor(num_threads=3)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()

    def _on_goal(self, goal):
        return GoalResponse.REJECT if goal.order == 13 else GoalResponse.ACCEPT

    def _on_cancel(self, handle):
        self.cancels += 1
        return CancelResponse.ACCEPT

    def _execute(self, handle):
        self.orders.append(handle.request.order)
        while handle.request.order == 99 and not handle.is_cancel_requested:
            if self._closing.wait(0.01):
                break
        if handle.is_cancel_requested:
            handle.canceled()
            return Fibonacci.Result()
        feedback = Fibonacci.Feedback(sequence=[1])
        handle.publish_feedback(feedback)
        (handle.abort if handle.request.order == 17 else handle.succeed)()
        return Fibonacci.Result(sequence=list(range(handle.request.order)))

    def close(self):
        self._closing.set()
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        self._server.destroy()
        self.node.destroy_node()


@pytest.fixture
def client(probe):
    found = PolledActionClient(probe.node, Fibonacci, NAME)
    yield found
    found.destroy()


@pytest.fixture
def server(ros):
    found = Server()
    yield found
    found.close()


def end_of(probe, client, order):
    """Send a goal and return how it ended."""
    probe.until(client.is_ready, what='the server')
    client.send(Fibonacci.Goal(order=order))
    return probe.until(client.take, what='an end')


def test_a_goal_succeeds_and_its_result_comes_back(probe, client, server):
    for order in (3, 5, 4):
        end = end_of(probe, client, order)
        assert (end.end, list(end.result.sequence)) == ('succeeded', list(range(order)))
    assert server.orders == [3, 5, 4]
    assert client.take() is None


def test_a_rejected_goal_and_one_that_fails_are_told_apart(probe, client, server):
    assert end_of(probe, client, 13) == end_of(probe, client, 13)
    rejected, failed = end_of(probe, client, 13), end_of(probe, client, 17)
    assert (rejected.end, rejected.result) == ('rejected', None)
    assert (failed.end, len(failed.result.sequence)) == ('aborted', 17)
    assert end_of(probe, client, 2).end == 'succeeded'


def begin(probe, client, server):
    """Send a goal that lasts, and wait until the server is at it and its result asked for."""
    probe.until(client.is_ready, what='the server')
    client.send(Fibonacci.Goal(order=99))
    probe.until(lambda: client.take() or server.orders == [99], what='the first goal')


def test_a_goal_is_cancelled_once_it_is_under_way(probe, client, server):
    assert not client.cancel()
    begin(probe, client, server)
    assert client.cancel()
    assert probe.until(client.take, what='an end').end == 'canceled'
    assert server.cancels == 1 and not client.cancel()


def test_a_newer_goal_has_an_end_of_its_own(probe, client, server):
    begin(probe, client, server)
    end = end_of(probe, client, 6)
    assert (end.end, len(end.result.sequence)) == ('succeeded', 6)
    assert server.cancels == 0 and client.take() is None


def test_a_server_that_goes_is_noticed(probe, client, ros):
    assert not client.is_ready()
    first = Server()
    assert end_of(probe, client, 2).end == 'succeeded'
    first.close()
    probe.until(lambda: not client.is_ready(), what='its absence')
    second = Server()
    try:
        assert end_of(probe, client, 3).end == 'succeeded'
    finally:
        second.close()
