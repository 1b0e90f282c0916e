# SPDX-License-Identifier: Apache-2.0
"""Simulated worlds: physics, scenes, tasks, sensors and the vectorised environment."""
