# SPDX-License-Identifier: Apache-2.0
"""Object poses from RGB-D frames: segmentation, tracking, confidence. No ROS, no torch."""
