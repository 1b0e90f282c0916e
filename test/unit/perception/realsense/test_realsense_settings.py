# SPDX-License-Identifier: Apache-2.0
"""Wrong settings are refused by name; a missing library gives its install line."""
import subprocess
import sys

from ocrrl_ros.core import system_check, system_packages
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, MissingDependencyError
from ocrrl_ros.perception.adapters.realsense.config import RealsenseConfig
from ocrrl_ros.perception.adapters.realsense.library import load_realsense
from ocrrl_ros.perception.adapters.realsense.statistics import FrameStatistics
import pytest


@pytest.mark.parametrize(('mapping', 'words'), [
    ({'serial_no': 831612070538}, 'serial_no is 831612070538, a number.*_831612070538'),
    ({'camera_name': 'left camera'}, "camera_name is 'left camera'; allowed: letters"),
    ({'rgb_camera': {'color_profile': '640x480'}}, "color_profile is '640x480'; WIDTHxHEIGHTxFPS"),
    ({'depth_module': {'depth_profile': '0x480x30'}}, "depth_profile is '0x480x30'"),
    ({'depth_module': {'exposure': -1}}, 'exposure is -1; allowed: >= 0'),
    ({'max_silence_s': 0.0}, r'max_silence_s is 0.0 s; allowed: 0.05 .. 600'),
    ({'reconnect_period_s': -1.0}, 'reconnect_period_s is -1.0 s'),
    ({'latency_s': 2.0}, r'latency_s is 2.0 s; allowed: 0 .. 1'),
    ({'serial': '1'}, "unknown key 'serial'.*serial_no")])
def test_wrong_settings_name_value_and_allowed(mapping, words):
    with pytest.raises(ConfigError, match=words):
        from_mapping(RealsenseConfig, mapping, 'test')


@pytest.mark.parametrize('text', ['640x480x30', '640,480,30', '640 x 480 x 30'])
def test_a_profile_may_be_written_as_realsense2_camera_takes_it(text):
    config = from_mapping(RealsenseConfig, {'rgb_camera': {'color_profile': text}}, 'test')
    assert str(config.rgb_camera.profile) == '640x480x30'


@pytest.mark.parametrize('text', ['_012345', '012345'])
def test_the_underscore_before_a_serial_number_is_not_part_of_it(text):
    assert RealsenseConfig(serial_no=text).serial == '012345'


@pytest.mark.parametrize(('has_module', 'has_libusb', 'words'), [
    (False, True, ['pip install pyrealsense2']),
    (True, False, ['apt-get install -y libusb-1.0-0']),
    (False, False, ['apt-get install -y libusb-1.0-0', '&& pip install pyrealsense2'])])
def test_what_is_missing_is_named_with_one_install_line_here_and_by_the_doctor(
        monkeypatch, has_module, has_libusb, words):
    monkeypatch.setattr(
        system_packages.importlib.util, 'find_spec', lambda name: has_module or None)
    monkeypatch.setattr(system_packages, 'load_libusb', lambda: has_libusb)
    with pytest.raises(MissingDependencyError) as caught:
        load_realsense()
    found = system_check.check_camera()
    assert found.remedy == caught.value.install
    assert all(word in found.remedy for word in words)
    assert '\n' not in str(caught.value)


def test_a_library_that_does_not_load_gives_the_reason_and_the_install_line(monkeypatch):
    monkeypatch.setattr(system_packages.importlib.util, 'find_spec', lambda name: True)
    monkeypatch.setattr(system_packages, 'load_libusb', lambda: True)
    monkeypatch.setitem(sys.modules, 'pyrealsense2', None)
    with pytest.raises(MissingDependencyError, match='pip install pyrealsense2'):
        load_realsense()


def test_a_fresh_interpreter_loads_the_library_or_names_what_is_missing(rs):
    program = ('from ocrrl_ros.perception.adapters.realsense.library import load_realsense; '
               'print(load_realsense().__name__)')
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == 'pyrealsense2', done.stderr


def test_missed_frames_are_counted_and_a_restart_is_none():
    statistics = FrameStatistics()
    for index, number in enumerate([5, 6, 9, 10, 1, 2]):
        statistics.add(number, index * 0.1)
    assert (statistics.frames, statistics.missed) == (6, 2)
    assert statistics.rate_hz() == pytest.approx(10.0)
    statistics.restart()
    statistics.add(50, 9.0)
    assert (statistics.missed, statistics.rate_hz()) == (2, 0.0)
