# SPDX-License-Identifier: Apache-2.0
"""Learning tests use one thread; without torch the conftest above skips them with that reason."""

import importlib.util


def pytest_configure() -> None:
    """Use one thread: these networks are too small for more."""
    if importlib.util.find_spec('torch') is not None:
        import torch

        torch.set_num_threads(1)
