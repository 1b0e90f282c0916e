# SPDX-License-Identifier: Apache-2.0
"""Compile functions of small arrays, to generalised numpy ufuncs or as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import fcntl
import re
from typing import Any

import numba

_KINDS = ('float64', 'float64[:]', 'float64[:,:]', 'float64[:,:,:]')


def compiled_ufunc(signature: str) -> Callable[[Callable], Any]:
    """
    Return a decorator that compiles a kernel over float64 arrays.

    numpy then calls it for every element of the leading dimensions, broadcast against each
    other, at 1 to 2 us a call. numba's signatures know names but no numbers for the sizes of an
    array, and would read beyond the end of one that is too short: give the kernel arrays of the
    right sizes as additional arguments (templates) that tie the names to them, and numpy refuses
    whatever does not fit.

    :param signature: such as `(q),(q),()->(q)`; `()` is a scalar.
    """
    sizes = re.findall(r'\((.*?)\)', signature)
    types = [_KINDS[len(size.split(',')) if size else 0] for size in sizes]
    outputs = len(re.findall(r'\(', signature.split('->')[1]))
    # A scalar result is written to an array of one element.
    types[-outputs:] = [
        'float64[:]' if kind == 'float64' else kind for kind in types[-outputs:]]
    compile_kernel = numba.guvectorize(
        [f'void({", ".join(types)})'], signature, nopython=True, cache=True)

    def build(kernel: Callable) -> Any:
        # A cached kernel is two entries, the second of which calls the first by a name that is
        # numbered by process. Two processes that compile at once can leave one of each, and
        # whoever loads those crashes: the nodes of a graph start together.
        with _one_process_at_a_time(kernel.__code__.co_filename):
            # numba wraps numpy's ufunc in Python for kernels that are compiled on demand; these
            # are not.
            return compile_kernel(kernel).ufunc

    return build


def compiled_function(signature: str) -> Callable[[Callable], Any]:
    """
    Return a decorator that compiles a function at once and keeps the code on disk.

    Functions that it calls are compiled into it; those are not to be kept on disk themselves.

    :param signature: as numba writes it, such as `float64(float64[::1])`.
    """
    def build(kernel: Callable) -> Any:
        # Processes that start together compile it once.
        with _one_process_at_a_time(kernel.__code__.co_filename):
            return numba.njit(signature, cache=True)(kernel)

    return build


@contextlib.contextmanager
def _one_process_at_a_time(path: str) -> Iterator[None]:
    """Hold a lock on a file, which ends with the process; without one where it has no locks."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            file = stack.enter_context(open(path, 'rb'))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
