# SPDX-License-Identifier: Apache-2.0
"""Compile functions of small arrays to generalised numpy ufuncs."""

from __future__ import annotations

from collections.abc import Callable
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
    # numba wraps numpy's ufunc in Python for kernels that are compiled on demand; these are not.
    return lambda kernel: compile_kernel(kernel).ufunc
