# SPDX-License-Identifier: Apache-2.0
"""Base-policy contract, action chunks, observation layout, residual and its composition."""
