# SPDX-License-Identifier: Apache-2.0
"""Demonstrations: recording, replay and LeRobot v2.1 datasets."""
