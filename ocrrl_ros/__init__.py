# SPDX-License-Identifier: Apache-2.0
"""Object-centric residual reinforcement learning for vision-language-action robots."""

__version__ = '0.1.0'
