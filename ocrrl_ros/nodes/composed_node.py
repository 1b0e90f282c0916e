# SPDX-License-Identifier: Apache-2.0
"""
Several looped nodes in one process, each on a thread of its own.

``composed base_policy,residual_policy base_policy:threads:=2 --ros-args -r __ns:=/left``. One
process saves memory; Python runs one thread at a time, so a command loop at 1 kHz is steadier in
a process of its own (docs/notes/realtime.md).
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import importlib
import itertools
import sys
import threading

from ocrrl_ros.interfaces.graph_plan import composed_names
from ocrrl_ros.interfaces.spin import run_process
import rclpy
from rclpy.node import Node

_JOIN_S = 0.1


def node_class(name: str) -> Callable[..., Node]:
    """Return the class of a node by its executable's name: x_y lives in x_y_node as XYNode."""
    module = importlib.import_module(f'ocrrl_ros.nodes.{name}_node')
    return getattr(module, ''.join(word.title() for word in name.split('_')) + 'Node')


def node_arguments(name: str, arguments: list[str]) -> list[str]:
    """
    Return the ROS arguments of one node: its own parameters, then the process's files.

    ``-p node:parameter:=value`` of ROS does not know namespaces; hence ``node:parameter:=value``
    in front of ``--ros-args``.
    """
    end = arguments.index('--ros-args') if '--ros-args' in arguments else len(arguments)
    own = [text.removeprefix(f'{name}:') for text in arguments[:end]
           if text.startswith(f'{name}:')]
    files = [path for flag, path in itertools.pairwise(arguments) if flag == '--params-file']
    words = [word for text in own for word in ('-p', text)]
    words += [word for path in files for word in ('--params-file', path)]
    return ['--ros-args', *words] if words else []


def run_together(nodes: list[Node]) -> None:
    """
    Run every node's loop until the context ends, and destroy the nodes.

    The first error of a node ends all of them and is raised here.
    """
    errors: list[BaseException] = []

    def run(node: Node) -> None:
        try:
            node.loop.run(node.step)
        except BaseException as error:  # noqa: B902 - raised again by the main thread
            errors.append(error)
            rclpy.try_shutdown()

    threads = [
        threading.Thread(target=run, args=(node,), name=node.get_name()) for node in nodes]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(_JOIN_S)
    finally:
        rclpy.try_shutdown()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def main(args: list[str] | None = None) -> int:
    """Run the nodes that the first argument names until Ctrl-C."""
    arguments = sys.argv if args is None else args

    def body() -> None:
        names = composed_names(arguments[1] if len(arguments) > 1 else '')
        with contextlib.ExitStack() as stack:
            nodes = []
            for name in names:
                nodes.append(node_class(name)(
                    cli_args=node_arguments(name, arguments[2:])))
                stack.callback(nodes[-1].destroy_node)
            run_together(nodes)

    return run_process(body, 'composed', arguments)


if __name__ == '__main__':
    sys.exit(main())
