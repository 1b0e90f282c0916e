# SPDX-License-Identifier: Apache-2.0
"""The protocol as a list of cells, what is known of each, and the page that shows it."""
