# SPDX-License-Identifier: Apache-2.0
"""Adapters that serve the base-policy contract with one inference library each."""
