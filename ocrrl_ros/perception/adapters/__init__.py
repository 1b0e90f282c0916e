# SPDX-License-Identifier: Apache-2.0
"""Perception by learned models and devices behind the interfaces of `ocrrl_ros.perception`."""
