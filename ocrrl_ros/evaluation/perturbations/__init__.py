# SPDX-License-Identifier: Apache-2.0
"""Disturbances of episodes, and what is measured against the undisturbed twin of the same seed."""
