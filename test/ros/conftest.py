# SPDX-License-Identifier: Apache-2.0
import importlib.util
import os
from pathlib import Path

import pytest

# Without ROS 2 these modules cannot even be imported; everything else still runs.
collect_ignore_glob = [] if importlib.util.find_spec('rclpy') else ['test_*.py']


@pytest.fixture(scope='session', autouse=True)
def ros_domain():
    """Give the whole session a domain that nothing else on the machine uses."""
    # Above 101 the ports of a domain reach into those that Linux hands out to anyone.
    domain = 11 + os.getpid() % 90
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(domain))
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.setenv('MUJOCO_GL', os.environ.get('MUJOCO_GL', 'egl'))
        for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
            patch.setenv(name, os.environ.get(name, ''))
        from ocrrl_ros.interfaces.spin import use_fastdds_profile
        use_fastdds_profile()
        yield domain


@pytest.fixture(scope='session')
def ros(ros_domain):
    """Give the default rclpy context; signals stay pytest's, so that it can be ended."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    yield rclpy
    rclpy.try_shutdown()


def _probes():
    """Give a node of the tests', and close it."""
    from ros_harness import Probe
    found = Probe()
    yield found
    found.close()


@pytest.fixture(scope='module')
def probe(ros):
    """Give a node of the module's tests."""
    yield from _probes()


@pytest.fixture
def new_probe(ros):
    """Give a node of this test alone, which nothing has been published with or heard by."""
    yield from _probes()


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Return a function that gives processes stand-ins for the named message packages."""
    from stand_in_control import write_packages

    def give(*packages):
        write_packages(tmp_path / 'packages', *packages)
        monkeypatch.setenv('PYTHONPATH', os.pathsep.join([
            str(tmp_path / 'packages'), str(Path(__file__).resolve().parents[1]),
            os.environ.get('PYTHONPATH', '')]))

    return give
