# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between this computer and the robot."""

from __future__ import annotations

from ocrrl_ros.core.errors import OcrrlError


class FciLostError(OcrrlError):
    """The robot cannot be reached, now; it may be later."""


class FciRefusedError(OcrrlError):
    """The robot is there and did not do what it was asked."""
