# SPDX-License-Identifier: Apache-2.0
"""Mathematics, errors, configuration and model bundles; no robot, no ROS (numpy, numba, YAML)."""
