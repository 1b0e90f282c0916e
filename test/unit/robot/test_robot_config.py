# SPDX-License-Identifier: Apache-2.0
"""The settings file of the FR3."""

from __future__ import annotations

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot.robot_config import load_robot, RobotConfig
import pytest


def test_shipped_file_states_the_defaults() -> None:
    """Reading it changes nothing, so the file documents what runs."""
    assert load_robot('fr3') == RobotConfig()


def test_unknown_robot_and_image_are_refused() -> None:
    """The messages name what was asked for."""
    with pytest.raises(ConfigError, match='no_robot'):
        load_robot('no_robot')
    with pytest.raises(ConfigError, match='4.0'):
        from_mapping(RobotConfig, {'system_image': '4.0'}, 'test')
