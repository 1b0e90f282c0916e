# SPDX-License-Identifier: Apache-2.0
"""Learning needs torch; where it is not installed these tests are left out."""

import importlib.util

NEEDS_TORCH = importlib.util.find_spec('torch') is None
collect_ignore_glob = ['test_*.py'] if NEEDS_TORCH else []


def pytest_report_header() -> str:
    """Say why the tests of this folder are missing, if they are."""
    return 'learning: torch is not installed, tests left out' if NEEDS_TORCH else ''


def pytest_configure() -> None:
    """Use one thread: these networks are too small for more."""
    if not NEEDS_TORCH:
        import torch

        torch.set_num_threads(1)
