# SPDX-License-Identifier: Apache-2.0
"""Training of base and residual policies; the only layer that imports torch."""
