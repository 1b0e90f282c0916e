# SPDX-License-Identifier: Apache-2.0
"""Memory is locked where there is no limit on it, and nowhere else."""
import ctypes
import errno
from pathlib import Path
import resource

from ocrrl_ros.core import memory_lock
from ocrrl_ros.core.memory_lock import lock_memory, lock_problem
import pytest

INFINITE = resource.RLIM_INFINITY
EIGHT_MB = 8 * 2 ** 20
NOBODY, MAY_LOCK, MAY_RAISE = 0, 1 << 14, 1 << 24


class FakeSystem:
    """The C library and the limits of a process, in place of this one's."""

    def __init__(self, folder: Path, limits: tuple[int, int], capabilities: int, error: int):
        """Keep the limits (soft, hard) in bytes, and the error that ``mlockall`` ends with."""
        self.limits, self.error = limits, error
        self.flags: list[int] = []
        self.status = folder / 'status'
        self.status.write_text(f'Name:\tpython\nCapEff:\t{capabilities:016x}\nSeccomp:\t0\n')

    def mlockall(self, flags: int) -> int:
        """Note the flags and answer as the C library does."""
        self.flags.append(flags)
        ctypes.set_errno(self.error)
        return -1 if self.error else 0

    def setrlimit(self, kind: int, limits: tuple[int, int]) -> None:
        """Take new limits."""
        assert kind == resource.RLIMIT_MEMLOCK
        self.limits = limits


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Give a function that puts a fake system in place of this one."""
    def place(limits: tuple[int, int], capabilities: int = NOBODY, error: int = 0) -> FakeSystem:
        fake = FakeSystem(tmp_path, limits, capabilities, error)
        monkeypatch.setattr(memory_lock.ctypes, 'CDLL', lambda name, **_: fake)
        monkeypatch.setattr(memory_lock.resource, 'getrlimit', lambda kind: fake.limits)
        monkeypatch.setattr(memory_lock.resource, 'setrlimit', fake.setrlimit)
        return fake
    return place


@pytest.mark.parametrize(('limits', 'capabilities', 'lifted'), [
    ((INFINITE, INFINITE), NOBODY, (INFINITE, INFINITE)),
    ((EIGHT_MB, INFINITE), NOBODY, (INFINITE, INFINITE)),
    ((EIGHT_MB, EIGHT_MB), MAY_RAISE, (INFINITE, INFINITE)),
    ((EIGHT_MB, EIGHT_MB), MAY_LOCK, (EIGHT_MB, EIGHT_MB))])
def test_all_memory_of_now_and_later_is_locked_where_no_limit_is_in_force(
        system, limits: tuple[int, int], capabilities: int, lifted: tuple[int, int]) -> None:
    """A limit that may be lifted is, before anything is locked."""
    fake = system(limits, capabilities)
    assert lock_problem(fake.status) == ''
    assert lock_memory(fake.status) == ''
    assert fake.flags == [1 | 2]
    assert fake.limits == lifted


@pytest.mark.parametrize('limit', [EIGHT_MB, 64 * 2 ** 30])
def test_nothing_is_locked_under_a_limit_however_large(system, limit: int) -> None:
    """Later allocations beyond it would fail."""
    fake = system((limit, limit))
    for problem in (lock_problem(fake.status), lock_memory(fake.status)):
        assert f'memlock limit {limit / 2 ** 20:g} MB' in problem
        assert 'unlimited' in problem
    assert fake.flags == []
    assert fake.limits == (limit, limit)


def test_what_the_system_refuses_is_told_in_its_words(system) -> None:
    """As where a sandbox forbids the call."""
    fake = system((INFINITE, INFINITE), error=errno.EPERM)
    assert 'not permitted' in lock_memory(fake.status)


def test_a_limit_that_may_not_be_lifted_after_all_locks_nothing(
        system, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose capabilities count inside alone."""
    fake = system((EIGHT_MB, EIGHT_MB), MAY_RAISE)

    def refuse(kind: int, limits: tuple[int, int]) -> None:
        raise ValueError('not allowed to raise maximum limit')

    monkeypatch.setattr(memory_lock.resource, 'setrlimit', refuse)
    assert 'not allowed' in lock_memory(fake.status)
    assert fake.flags == []


def test_without_the_kernels_file_the_limit_alone_counts(system, tmp_path: Path) -> None:
    """A kernel that does not tell capabilities grants none."""
    system((EIGHT_MB, EIGHT_MB), MAY_LOCK)
    assert 'memlock limit' in lock_problem(tmp_path / 'none')
