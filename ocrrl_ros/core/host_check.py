# SPDX-License-Identifier: Apache-2.0
"""What matters on a computer beside a robot: kernel, limits, clock, buffers."""

from __future__ import annotations

import ctypes
from pathlib import Path
import platform
import resource
import struct

from ocrrl_ros.core.system_packages import CheckResult, OK, WARNING

UNKNOWN = 'unknown'
#: The controller manager's thread in franka_ros2 has priority 98.
RTPRIO_NEEDED = 98
MEMLOCK_NEEDED = 100 * 2 ** 20
#: A colour image of 640 x 480 has 0.9 MB; a few of them have to fit.
BUFFER_NEEDED = 4 * 2 ** 20
_TIME_ERROR = 5
_TIMEX_SIZE, _MAX_ERROR_OFFSET = 256, 24
_UNSYNCHRONISED_US = 16_000_000


def check_kernel(root: Path = Path('/')) -> CheckResult:
    """Check whether the kernel is a PREEMPT_RT one."""
    file = root / 'sys/kernel/realtime'
    name = f'{platform.release()}'
    if (file.exists() and file.read_text().strip() == '1') or 'PREEMPT_RT' in platform.version():
        return CheckResult('kernel', OK, f'{name} is a PREEMPT_RT kernel')
    return CheckResult(
        'kernel', WARNING, f'{name} is no PREEMPT_RT kernel; the computer that runs franka_ros2 '
        'needs one, fci_arm and simulation do not',
        'on that computer install a PREEMPT_RT kernel (Ubuntu Pro: pro enable realtime-kernel), '
        'or use arm_driver:=fci')


def check_limits() -> CheckResult:
    """Check the limits that a 1 kHz controller needs; root has none."""
    priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    is_enough = (
        _at_least(priority, RTPRIO_NEEDED), _at_least(locked, MEMLOCK_NEEDED))
    detail = f'rtprio {_limit(priority, 1)}, memlock {_limit(locked, 2 ** 20, " MB")}'
    if all(is_enough):
        return CheckResult('limits', OK, detail)
    return CheckResult(
        'limits', WARNING, f'{detail}; franka_ros2 needs rtprio {RTPRIO_NEEDED} and memlock '
        f'{MEMLOCK_NEEDED // 2 ** 20} MB on its computer', (
            'there, in /etc/security/limits.d/franka.conf for the user: rtprio 99, memlock '
            f'{MEMLOCK_NEEDED // 1024}; then log in again'))


def _at_least(limit: int, needed: int) -> bool:
    """Return whether a limit, maybe infinite, is enough."""
    return limit == resource.RLIM_INFINITY or limit >= needed


def _limit(limit: int, unit: int, name: str = '') -> str:
    """Return a limit as people read it."""
    return 'unlimited' if limit == resource.RLIM_INFINITY else f'{limit // unit}{name}'


def check_governor(root: Path = Path('/')) -> CheckResult:
    """Check that no core slows down when it has little to do."""
    folder = root / 'sys/devices/system/cpu'
    files = sorted(folder.glob('cpu[0-9]*/cpufreq/scaling_governor'))
    governors = sorted({file.read_text().strip() for file in files})
    if not governors:
        return CheckResult(
            'CPU governor', UNKNOWN, 'this system does not tell it (a virtual machine?)')
    if governors == ['performance']:
        return CheckResult('CPU governor', OK, f'performance on {len(files)} cores')
    return CheckResult(
        'CPU governor', WARNING, f'{", ".join(governors)} on {len(files)} cores; changes of the '
        'frequency delay control loops', 'sudo cpupower frequency-set -g performance')


def check_buffers(root: Path = Path('/')) -> CheckResult:
    """Check the sockets' largest buffers, which images from another computer need."""
    sizes = {}
    for name in ('rmem_max', 'wmem_max'):
        file = root / 'proc/sys/net/core' / name
        try:
            sizes[name] = int(file.read_text())
        except (OSError, ValueError):
            return CheckResult('network buffers', UNKNOWN, f'{file} cannot be read')
    detail = ', '.join(f'{name} {size / 2 ** 20:.1f} MB' for name, size in sizes.items())
    small = [name for name, size in sizes.items() if size < BUFFER_NEEDED]
    if not small:
        return CheckResult('network buffers', OK, detail)
    return CheckResult(
        'network buffers', WARNING, f'{detail}; images over a network need '
        f'{BUFFER_NEEDED // 2 ** 20} MB', 'sudo sysctl -w ' + ' '.join(
            f'net.core.{name}={4 * BUFFER_NEEDED}' for name in small))


def check_clock() -> CheckResult:
    """Ask the kernel whether something keeps the clock synchronised."""
    # struct timex with modes = 0 changes nothing and needs no permission.
    buffer = ctypes.create_string_buffer(_TIMEX_SIZE)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (AttributeError, OSError):
        return CheckResult('clock', UNKNOWN, 'this system does not tell it')
    return clock_result(state, struct.unpack_from('l', buffer, _MAX_ERROR_OFFSET)[0])


def clock_result(state: int, max_error_us: int) -> CheckResult:
    """
    Return the finding for what adjtimex(2) returned.

    :param max_error_us: the kernel's bound; it grows while nobody corrects the clock.
    """
    if state < 0:
        return CheckResult('clock', UNKNOWN, 'the kernel did not answer adjtimex')
    if state != _TIME_ERROR and max_error_us < _UNSYNCHRONISED_US:
        return CheckResult(
            'clock', OK, f'synchronised, by the kernel to {max_error_us / 1e3:.0f} ms at most')
    return CheckResult(
        'clock', WARNING, 'nothing keeps this clock synchronised as far as the kernel knows; with '
        'the controllers on another computer stamps will not fit',
        'sudo apt-get install -y chrony, on both computers, one as the server of the other')


def check_host() -> list[CheckResult]:
    """Run every check of the computer."""
    return [check_kernel(), check_limits(), check_governor(), check_buffers(), check_clock()]
