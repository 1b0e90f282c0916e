# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a dead-man switch is said by name, and counts as its release."""

from controller_rig import Rig


def test_a_problem_of_the_deadman_counts_as_its_release_and_is_named():
    rig = Rig(require_deadman=True, start=False)
    rig.controller.on_deadman(True, rig.now_s)
    rig.controller.on_deadman(True, rig.now_s, 'has two owners')
    assert rig.controller.deadman.problem(rig.now_s) == 'dead-man switch has two owners'
    rig.controller.on_deadman(True, rig.now_s)
    assert rig.controller.deadman.problem(rig.now_s) == ''
    rig.controller.start_episode(rig.now_s)
    rig.controller.on_deadman(True, rig.now_s, 'has two owners')
    rig.controller.on_deadman(True, rig.now_s)
    assert rig.controller.machine.is_latched
    assert rig.controller.reason == 'dead-man switch has two owners'
