# SPDX-License-Identifier: Apache-2.0
"""What `ocrrl doctor --robot` says of the computer, from files that a test writes."""
from pathlib import Path
import resource

from ocrrl_ros.core import host_check
from ocrrl_ros.core.host_check import (
    check_buffers, check_clock, check_governor, check_kernel, check_limits, clock_result, UNKNOWN)
from ocrrl_ros.core.system_packages import OK, WARNING
import pytest


def write(root: Path, name: str, text: str) -> None:
    """Write a file of the system below a folder."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{text}\n')


@pytest.mark.parametrize(('version', 'realtime', 'state'), [
    ('#1 SMP PREEMPT_DYNAMIC', None, WARNING), ('#1 SMP PREEMPT_DYNAMIC', '0', WARNING),
    ('#1 SMP PREEMPT_DYNAMIC', '1', OK), ('#1 SMP PREEMPT_RT', None, OK)])
def test_a_real_time_kernel_is_known_by_its_file_or_its_name(
        version: str, realtime: str | None, state: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Preemption alone is not enough."""
    monkeypatch.setattr(host_check.platform, 'version', lambda: version)
    if realtime is not None:
        write(tmp_path, 'sys/kernel/realtime', realtime)
    assert check_kernel(tmp_path).state == state


@pytest.mark.parametrize(('priority', 'locked', 'state'), [
    (98, 100 * 2 ** 20, OK), (97, 100 * 2 ** 20, WARNING), (98, 99 * 2 ** 20, WARNING),
    (resource.RLIM_INFINITY, resource.RLIM_INFINITY, OK)])
def test_limits_that_a_controller_needs(
        priority: int, locked: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both count, and no limit is enough."""
    limits = {resource.RLIMIT_RTPRIO: priority, resource.RLIMIT_MEMLOCK: locked}
    monkeypatch.setattr(
        host_check.resource, 'getrlimit', lambda kind: (limits[kind], limits[kind]))
    result = check_limits()
    assert result.state == state
    assert bool(result.remedy) == (state == WARNING)


@pytest.mark.parametrize(('governors', 'state'), [
    ((), UNKNOWN), (('performance', 'performance'), OK), (('performance', 'powersave'), WARNING)])
def test_every_core_has_to_be_fast(
        governors: tuple[str, ...], state: str, tmp_path: Path) -> None:
    """One that saves power is named."""
    for index, governor in enumerate(governors):
        write(tmp_path, f'sys/devices/system/cpu/cpu{index}/cpufreq/scaling_governor', governor)
    result = check_governor(tmp_path)
    assert result.state == state
    assert state != WARNING or 'powersave' in result.detail


@pytest.mark.parametrize(('sizes', 'state', 'remedy'), [
    ({'rmem_max': 4 * 2 ** 20, 'wmem_max': 4 * 2 ** 20}, OK, ''),
    ({'rmem_max': 212992, 'wmem_max': 4 * 2 ** 20}, WARNING, 'net.core.rmem_max=16777216'),
    ({'rmem_max': 4 * 2 ** 20}, UNKNOWN, '')])
def test_buffers_hold_some_images(
        sizes: dict[str, int], state: str, remedy: str, tmp_path: Path) -> None:
    """The remedy names the small one alone."""
    for name, size in sizes.items():
        write(tmp_path, f'proc/sys/net/core/{name}', str(size))
    result = check_buffers(tmp_path)
    assert result.state == state
    assert remedy in result.remedy and 'wmem' not in result.remedy


@pytest.mark.parametrize(('state', 'error_us', 'expected'), [
    (0, 20_000, OK), (5, 20_000, WARNING), (0, 16_000_000, WARNING), (-1, 0, UNKNOWN)])
def test_a_clock_that_nobody_corrects_is_warned_of(
        state: int, error_us: int, expected: str) -> None:
    """By the kernel's state, or a bound that has grown to its end."""
    assert clock_result(state, error_us).state == expected


def test_this_computers_clock_can_be_asked() -> None:
    """Whatever the answer is."""
    assert check_clock().state in (OK, WARNING)
