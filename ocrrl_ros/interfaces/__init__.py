# SPDX-License-Identifier: Apache-2.0
"""Messages to arrays, parameters, QoS, timing, processes: what a node needs from ROS 2."""
