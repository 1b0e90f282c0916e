# SPDX-License-Identifier: Apache-2.0
"""Treat denormal numbers as zero while training, and only then."""

from collections.abc import Iterator
import contextlib

import torch


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """
    Round numbers below 1e-38 to zero inside the block.

    They cost the CPU many times an ordinary number and mean nothing here: the softmax over
    keypoints leaves them where a picture is flat (sim's plain table took three times as long).
    The setting belongs to the whole thread, so it is taken back: others rely on IEEE arithmetic.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
