# SPDX-License-Identifier: Apache-2.0
"""Robots' own libraries behind the interfaces of the layer; imported where they are used."""
