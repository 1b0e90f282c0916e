# SPDX-License-Identifier: Apache-2.0
"""A mock robot and a link to it."""
from mock_fci import mock_robot
from mock_fci_link import LinkDriver
import pytest


@pytest.fixture
def robot(pylibfranka):
    """Give a mock robot on an address of its own."""
    with mock_robot() as found:
        yield found


@pytest.fixture
def connect(pylibfranka):
    """Return a function that makes a driver of a link; all are closed at the end."""
    drivers = []

    def make(address, **settings):
        drivers.append(LinkDriver(address, **settings))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.link.close()
