# SPDX-License-Identifier: Apache-2.0
"""Start and end a node process: profile, start-up errors, Ctrl-C, exit code."""

from __future__ import annotations

from collections.abc import Callable
import logging
import os

from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.interfaces.realtime import release_garbage
import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException, InvalidParameterValueException,
    ParameterImmutableException)
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
_PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
_FAST_DDS = ('', 'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp')
RCLError = rclpy_implementation.RCLError
_PARAMETER_ERRORS = (
    InvalidParameterTypeException, InvalidParameterValueException, ParameterImmutableException)


def use_fastdds_profile() -> str:
    """
    Point Fast DDS to ``config/fastdds.xml`` unless the operator chose a profile or another RMW.

    Must run before ``rclpy.init``. Returns the profile in force, or '' where none is.
    """
    for name in _PROFILE_VARIABLES:
        if os.environ.get(name):
            return os.environ[name]
    if os.environ.get('RMW_IMPLEMENTATION', '') not in _FAST_DDS:
        return ''
    path = str(config_path('fastdds.xml'))
    for name in _PROFILE_VARIABLES:
        os.environ[name] = path
    return path


def run_process(
        body: Callable[[], int | None], name: str, args: list[str] | None = None) -> int:
    """
    Run the body between ``rclpy.init`` and ``rclpy.shutdown`` and return the exit code.

    Ctrl-C and SIGTERM end with 0, a wrong setting with 2, other errors of this package with
    1; each error is one line. The body leaves when ``rclpy.ok()`` turns false.
    """
    use_fastdds_profile()
    rclpy.init(args=args)
    logger = rclpy.logging.get_logger(name)
    code = EXIT_DONE
    try:
        code = body() or EXIT_DONE
    except (KeyboardInterrupt, ExternalShutdownException):
        logging.getLogger(name).debug('interrupted')
    except RCLError:
        # A signal closes the context between any two lines of a loop; what is then published
        # fails, and that is the end that was asked for.
        if rclpy.ok():
            raise
    except (ConfigError, *_PARAMETER_ERRORS) as error:
        logger.fatal(str(error))
        code = EXIT_USAGE
    except OcrrlError as error:
        logger.fatal(str(error))
        code = EXIT_FAILED
    finally:
        release_garbage()
        rclpy.try_shutdown()
    return code


def loop_node(
        make_node: Callable[[], Node], name: str, args: list[str] | None = None) -> int:
    """
    Build a node that has a ``TickLoop`` as ``loop``, run its ``step`` until Ctrl-C, destroy it.

    Returns the exit code of :func:`run_process`.
    """
    def body() -> None:
        node = make_node()
        try:
            node.loop.run(node.step)
        finally:
            node.destroy_node()

    return run_process(body, name, args)
