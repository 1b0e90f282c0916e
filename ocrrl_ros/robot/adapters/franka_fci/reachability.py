# SPDX-License-Identifier: Apache-2.0
"""Say in one line whether the robot's FCI can be used, and what to do where it cannot."""

from __future__ import annotations

import dataclasses

from ocrrl_ros.core.errors import MissingDependencyError
from ocrrl_ros.core.system_packages import ABSENT, CheckResult, FAILED, OK, WARNING
from ocrrl_ros.robot.adapters.franka_fci.config import FciConfig
from ocrrl_ros.robot.adapters.franka_fci.library import INSTALL, load_pylibfranka
from ocrrl_ros.robot.adapters.franka_fci.link import FciLink, wait_for_state
from ocrrl_ros.robot.adapters.franka_fci.state import FciState, RobotMode

_NAME = 'FCI'
#: To start Python and load the library, on a slow machine.
_START_S = 30.0
_VERSION_HINT = (
    'install the pylibfranka that fits the system version of the control box (compatibility '
    'table of libfranka), or update the control box')
#: Part of the reason of a failure: what helps.
_HINTS = (
    ('incompatible library version', _VERSION_HINT),
    ('fci refused', 'activate FCI in Desk and unlock the joints'),
    ('host not found', 'give the address of the control box as robot_ip'),
    ('connection timeout', 'check cable, address and network mask: ping the control box'),
    ('udp', "let UDP from the control box pass this computer's firewall"),
    ('connecting', 'end other programs that use the FCI; it takes one at a time'),
)
_MODES = {
    RobotMode.REFLEX: 'call error recovery, or clear the error in Desk',
    RobotMode.USER_STOPPED: 'release the user stop',
    RobotMode.GUIDING: 'let go of the arm',
    RobotMode.OTHER: 'unlock the joints in Desk and activate FCI'}


def check_fci(robot_ip: str, timeout_s: float = 5.0) -> CheckResult:
    """
    Connect, take one state and disconnect, without moving anything.

    :param timeout_s: longest wait for the robot, beside the start of a process.
    """
    try:
        library = load_pylibfranka()
    except MissingDependencyError as error:
        return CheckResult(_NAME, ABSENT, str(error), INSTALL)
    config = dataclasses.replace(
        FciConfig(robot_ip=robot_ip), connect_timeout_s=timeout_s, answer_timeout_s=timeout_s)
    link = FciLink(config)
    try:
        state = wait_for_state(link, _START_S + 2.0 * timeout_s)
    finally:
        link.close()
    version = getattr(library, '__version__', 'of unknown version')
    if state is None:
        reason = link.report.reason
        return CheckResult(
            _NAME, FAILED, f'{robot_ip}, pylibfranka {version}: {reason}', _hint(reason))
    return _finding(f'{robot_ip}, pylibfranka {version}', state)


def _finding(who: str, state: FciState) -> CheckResult:
    """Return what a robot that answers says of itself."""
    errors = f', errors: {", ".join(state.errors)}' if state.errors else ''
    detail = f'{who}: the versions fit, mode {state.mode.label}{errors}'
    if state.mode in _MODES:
        return CheckResult(_NAME, WARNING, detail, _MODES[state.mode])
    return CheckResult(_NAME, OK, detail)


def _hint(reason: str) -> str:
    """Return what helps against a reason, empty where nobody knows."""
    return next((hint for part, hint in _HINTS if part in reason.lower()), '')
