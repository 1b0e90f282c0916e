# SPDX-License-Identifier: Apache-2.0
"""Poses that another program detects in the images, such as Isaac ROS FoundationPose."""
