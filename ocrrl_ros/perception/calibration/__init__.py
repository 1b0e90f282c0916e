# SPDX-License-Identifier: Apache-2.0
"""Where a camera stands or how it sits on the hand, from pictures of a printed board."""
