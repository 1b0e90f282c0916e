# SPDX-License-Identifier: Apache-2.0
"""Settings of the FCI, the missing library, and the table of what helps."""
import sys
from types import SimpleNamespace

from ocrrl_ros.core.configuration import from_mapping, to_mapping
from ocrrl_ros.core.errors import ConfigError, MissingDependencyError
from ocrrl_ros.core.system_packages import ABSENT
from ocrrl_ros.robot.adapters.franka_fci.config import CollisionConfig, FciConfig, LoadConfig
from ocrrl_ros.robot.adapters.franka_fci.library import load_pylibfranka
from ocrrl_ros.robot.adapters.franka_fci.reachability import check_fci
import pytest


@pytest.mark.parametrize(('settings', 'words'), [
    ({'robot_ip': ''}, ['robot_ip is empty']),
    ({'system_image': '4.2'}, ["'4.2'", '5.8, 5.9']),
    ({'max_joint_velocity_rad_s': (1.0,) * 6}, ['max_joint_velocity_rad_s', '7 finite']),
    ({'max_joint_velocity_rad_s': (2.7,) + (1.0,) * 6}, ['2.7', 'at most', '2.62']),
    ({'max_joint_velocity_rad_s': (0.0,) * 7}, ['0.01']),
    ({'command_rate_hz': 51.0}, ['command_rate_hz is 51.0', '1 .. 50']),
    ({'max_target_distance_rad': 0.0}, ['max_target_distance_rad', '0.01 .. 3.2']),
    ({'target_timeout_s': float('nan')}, ['target_timeout_s is nan']),
    ({'reconnect_s': 5.0, 'reconnect_max_s': 2.0}, ['reconnect_max_s is 2.0', '5 ..'])])
def test_settings_that_cannot_work_are_refused_by_name(settings, words):
    with pytest.raises(ConfigError) as error:
        FciConfig(**{'robot_ip': '10.0.0.2', **settings})
    assert all(word in str(error.value) for word in words), error.value


def test_thresholds_and_loads_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match='collision.upper_force'):
        CollisionConfig(upper_force=(1.0,) * 6)
    with pytest.raises(ConfigError, match='collision.lower_torque_nm .* >= 0'):
        CollisionConfig(lower_torque_nm=(-1.0,) * 7)
    with pytest.raises(ConfigError, match='load.mass_kg is 4.0 kg; allowed: 0 .. 3'):
        LoadConfig(mass_kg=4.0)


def test_settings_come_through_json_as_they_are():
    config = FciConfig(robot_ip='10.0.0.2', load=LoadConfig(mass_kg=0.4))
    assert from_mapping(FciConfig, to_mapping(config), 'test') == config


@pytest.mark.parametrize('module', [None, SimpleNamespace(__version__='0.15.0')])
def test_a_library_that_is_missing_or_too_old_is_named_with_its_install_line(
        monkeypatch, module):
    monkeypatch.setitem(sys.modules, 'pylibfranka', module)
    with pytest.raises(MissingDependencyError, match=r'pip install pylibfranka==0\.21\.3'):
        load_pylibfranka()
    found = check_fci('127.0.0.1')
    assert (found.state, found.remedy) == (ABSENT, 'pip install pylibfranka==0.21.3')
