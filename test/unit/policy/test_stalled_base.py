# SPDX-License-Identifier: Apache-2.0
"""A base policy that stalls leaves its chunk: base and residual go on along it to its end."""

from controller_rig import FakeResidual, Rig
import numpy as np
from ocrrl_ros.policy.controller import ControllerState
import pytest

PERIOD_S = 0.02


def test_the_residual_stays_active_through_a_stall_until_the_chunk_is_spent():
    rig = Rig(FakeResidual(), residual_gain=0.5)
    # The residual's share grows once the object is seen.
    for _ in range(8):
        rig.plan()
        rig.see_cube()
        rig.run(0.1)
    rig.plan()
    planned_s, states = rig.now_s, []
    rig.actions.clear()
    # Pictures keep coming; the base alone stalls, for a second.
    while rig.now_s < planned_s + 1.0:
        rig.see_cube()
        rig.run(PERIOD_S)
        states.append(rig.controller.state)
    spent = states.index(ControllerState.HOLDING)
    assert set(states[:spent]) == {ControllerState.RUNNING_RESIDUAL}
    assert set(states[spent:]) == {ControllerState.HOLDING}
    # 16 points, 0.05 s apart.
    assert spent * PERIOD_S == pytest.approx(0.75, abs=1.5 * PERIOD_S)
    assert 'base policy is stale' in rig.controller.reason
    assert len(rig.actions) == spent
    for action in rig.actions:
        assert action.gain * action.weight > 0.4
        assert np.abs(action.command_pose - action.base_pose).max() > 5e-3
    rig.run(0.5)
    assert np.abs(rig.command.dq).max() < 1e-6
    rig.plan()
    rig.see_cube()
    rig.run(0.1)
    assert rig.controller.state is ControllerState.RUNNING_RESIDUAL
