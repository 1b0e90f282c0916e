# SPDX-License-Identifier: Apache-2.0
"""What the confidence of the tracker is fitted to, and how far it can be trusted."""
