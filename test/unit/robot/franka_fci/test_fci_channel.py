# SPDX-License-Identifier: Apache-2.0
"""Messages between two processes, here between two ends."""
import numpy as np
from ocrrl_ros.robot.adapters.franka_fci.channel import Channel, channel_pair
from ocrrl_ros.robot.adapters.franka_fci.state import FciState, RobotMode
import pytest


@pytest.fixture
def ends():
    """Give the node's end and that of the robot's process."""
    ours, theirs = channel_pair()
    other = Channel(theirs, waits=True)
    yield ours, other
    ours.close()
    other.close()


def test_a_state_comes_out_as_it_went_in(ends):
    ours, other = ends
    rng = np.random.default_rng(1)
    state = FciState(
        received_s=1.25, robot_time_s=2.5, mode=RobotMode.REFLEX, success_rate=0.5,
        ee_mass_kg=0.73, load_mass_kg=0.25,
        **{name: rng.normal(size=7) for name in (
            'q', 'dq', 'tau', 'q_desired', 'dq_desired', 'tau_external')},
        **{name: rng.normal(size=(4, 4)) for name in ('base_T_ee', 'base_T_ee_desired')},
        **{name: rng.normal(size=6) for name in (
            'twist_desired', 'wrench_base', 'wrench_stiffness')},
        errors=('joint_reflex', 'power_limit_violation'), last_motion_errors=())
    other.send_state(state)
    found = ours.receive()
    for name, value in vars(state).items():
        np.testing.assert_array_equal(getattr(found, name), value, name)
    assert found.mode is RobotMode.REFLEX


def test_targets_and_events_come_in_order_and_the_end_is_noticed(ends):
    ours, other = ends
    ours.send_target(np.arange(7.0), 12.5)
    assert ours.send_event(request='recover', number=1)
    target, sent_s = other.receive()
    assert (target.tolist(), sent_s) == ([0, 1, 2, 3, 4, 5, 6], 12.5)
    assert other.receive() == {'request': 'recover', 'number': 1}
    assert other.receive() is None and other.is_open
    ours.close()
    assert other.receive() is None and not other.is_open
    other.send_target(np.zeros(7), 0.0)


def test_the_node_never_waits_for_a_process_that_does_not_read(ends):
    ours, other = ends
    for _ in range(20000):
        ours.send_target(np.zeros(7), 0.0)
    assert ours.skipped > 0 and ours.is_open
    assert not ours.send_event(request='recover', number=1)
    while other.receive() is not None:
        pass
    assert ours.send_event(request='recover', number=2)
