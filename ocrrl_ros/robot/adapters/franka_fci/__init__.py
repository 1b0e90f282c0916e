# SPDX-License-Identifier: Apache-2.0
"""
The FR3 through pylibfranka's asynchronous joint targets, without a real-time PC.

The robot plans each motion itself; nothing here runs at 1 kHz by necessity.
"""
