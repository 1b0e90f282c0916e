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


def test_file_elsewhere_is_read_by_its_path(tmp_path) -> None:
    """An operator's own file needs no place in the package."""
    path = tmp_path / 'mine.yaml'
    path.write_text("system_image: '5.8'\n", encoding='utf-8')
    assert load_robot(path) == load_robot(str(path)) == RobotConfig(system_image='5.8')
    assert load_robot('config/robots/fr3.yaml') == load_robot('fr3')
    with pytest.raises(ConfigError, match='nowhere.yaml'):
        load_robot('nowhere.yaml')
