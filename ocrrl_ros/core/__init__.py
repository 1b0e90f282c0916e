# SPDX-License-Identifier: Apache-2.0
"""Mathematics, errors, configuration and model bundles; imports numpy and YAML only."""
