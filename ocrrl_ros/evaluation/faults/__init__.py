# SPDX-License-Identifier: Apache-2.0
"""Episodes whose messages, clock, camera or base policy fail for a while."""
