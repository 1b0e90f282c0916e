# SPDX-License-Identifier: Apache-2.0
"""Start and end a node process: profile, start-up errors, Ctrl-C, exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import logging
import os
import signal
import time
import traceback
from types import FrameType

from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.interfaces.realtime import release_garbage
from ocrrl_ros.interfaces.security import is_secured
import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException, InvalidParameterValueException,
    ParameterImmutableException)
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
#: A bug, EX_SOFTWARE of sysexits.h: unlike a refusal it may not come again after a restart.
EXIT_CRASHED = 70
_PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
#: Many times what it takes to close a context after a signal.
_CLOSING_S = 1.0
_FAST_DDS = ('', 'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp')
#: Threads of Mesa and BLAS that fight the loops over few cores.
_SPARING = {'LP_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
_RCL_ERROR = rclpy_implementation.RCLError
_PARAMETER_ERRORS = (
    InvalidParameterTypeException, InvalidParameterValueException, ParameterImmutableException)


def fastdds_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variables that point Fast DDS to a profile of ours.

    ``config/fastdds.xml``, or ``fastdds_local.xml`` where the discovery range is this host and no
    other host is named as a peer. Empty where the operator chose a profile, or another RMW.
    """
    if any(environment.get(name) for name in _PROFILE_VARIABLES):
        return {}
    if environment.get('RMW_IMPLEMENTATION', '') not in _FAST_DDS:
        return {}
    is_local = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE') == 'LOCALHOST'
    is_local = is_local and not environment.get('ROS_STATIC_PEERS')
    path = str(config_path('fastdds_local.xml' if is_local else 'fastdds.xml'))
    return dict.fromkeys(_PROFILE_VARIABLES, path)


def use_fastdds_profile() -> str:
    """
    Set :func:`fastdds_environment` in this process; must run before ``rclpy.init``.

    Returns the profile in force, or '' where none is.
    """
    os.environ.update(fastdds_environment(os.environ))
    return next((os.environ[name] for name in _PROFILE_VARIABLES if os.environ.get(name)), '')


def sparing_environment() -> dict[str, str]:
    """Return the variables that keep a node's libraries to one thread, less the operator's own."""
    return {name: value for name, value in _SPARING.items() if name not in os.environ}


def run_process(
        body: Callable[[], int | None], name: str, args: list[str] | None = None) -> int:
    """
    Run the body between ``rclpy.init`` and ``rclpy.shutdown`` and return the exit code.

    Ctrl-C and SIGTERM end with 0, a wrong setting with 2, other errors of this package with
    1; each of these errors is one line. Any other exception is a traceback and ends with
    ``EXIT_CRASHED``. The body leaves when ``rclpy.ok()`` turns false.
    """
    use_fastdds_profile()
    try:
        start_ros(args)
    except ConfigError as error:
        rclpy.logging.get_logger(name).fatal(str(error))
        return EXIT_USAGE
    try:
        return _outcome(body, name)
    finally:
        release_garbage()
        rclpy.try_shutdown()


def start_ros(args: list[str] | None = None, context: rclpy.Context | None = None) -> None:
    """
    Call ``rclpy.init``, and say in one line why ROS does not start where it is to be secured.

    :raises ConfigError: a variable of SROS2 is written wrongly, the keys of the enclave are not
        there, or the middleware cannot secure anything.
    """
    secured = is_secured(os.environ)
    try:
        rclpy.init(args=args, context=context)
    except RuntimeError as error:
        if not secured:
            raise
        raise ConfigError(_refusal(error)) from error


def _refusal(error: Exception) -> str:
    """Return in one line what ROS refuses where it is to be secured."""
    reason = ' '.join(str(error).split(', at /')[0].split())
    return f'ROS_SECURITY_ENABLE is true, and ROS refuses: {reason}; see docs/security.md'


def _outcome(body: Callable[[], int | None], name: str) -> int:
    """Run the body, report what ended it, and return the exit code."""
    logger = rclpy.logging.get_logger(name)
    try:
        return body() or EXIT_DONE
    except (KeyboardInterrupt, ExternalShutdownException):
        logging.getLogger(name).debug('interrupted')
        return EXIT_DONE
    except (ConfigError, *_PARAMETER_ERRORS) as error:
        logger.fatal(str(error))
        return EXIT_USAGE
    except OcrrlError as error:
        logger.fatal(str(error))
        return EXIT_FAILED
    except Exception as error:
        if isinstance(error, RuntimeError) and _is_closing():
            return EXIT_DONE
        if isinstance(error, _RCL_ERROR) and is_secured(os.environ):
            # A topic that the enclave is not granted, or a middleware that secures nothing.
            logger.fatal(_refusal(error))
            return EXIT_FAILED
        traceback.print_exc()
        return EXIT_CRASHED


def _is_closing() -> bool:
    """
    Return whether the context is closed or, after a signal, about to be.

    A signal closes the context from a thread between any two lines of a loop; what is then
    published fails, and that is the end that was asked for. A call that the signal itself
    interrupts in the middle fails a moment earlier.
    """
    deadline_s = time.monotonic() + _CLOSING_S
    while rclpy.ok() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return not rclpy.ok()


class _Interruption:
    """Handler of Ctrl-C: KeyboardInterrupt, until it is deferred to the end of the loop."""

    def __init__(self) -> None:
        """Interrupt at once."""
        self.is_deferred = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGINT."""
        if not self.is_deferred:
            raise KeyboardInterrupt


def loop_node(
        make_node: Callable[[], Node], name: str, args: list[str] | None = None) -> int:
    """
    Build a node that has a ``TickLoop`` as ``loop``, run its ``step`` until Ctrl-C, destroy it.

    Returns the exit code of :func:`run_process`. Ctrl-C interrupts the building anywhere; the
    loop and the destruction, which may have a file to close, run to their own end.
    """
    def body() -> None:
        node = make_node()
        interruption.is_deferred = True
        try:
            node.loop.run(node.step)
        finally:
            node.destroy_node()

    interruption = _Interruption()
    # Before rclpy.init, whose handler closes the context and then calls this one.
    signal.signal(signal.SIGINT, interruption)
    return run_process(body, name, args)
