# SPDX-License-Identifier: Apache-2.0
"""What the shaper shows ahead is what it then does, and looking changes nothing."""
import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.command_shaping import CommandShaper
import pytest

READY = np.array(fr3.READY_POSITION)


@pytest.mark.parametrize('goal, velocity, min_duration_s', [
    (READY + 0.3, None, 0.0), (READY + 0.02, np.full(7, 0.4), 0.05), (READY, None, 0.1)])
@pytest.mark.parametrize('elapsed_s', [0.0, 0.013, 0.08])
def test_preview_is_what_the_shaper_then_commands(goal, velocity, min_duration_s, elapsed_s):
    shaper = CommandShaper()
    shaper.seed(READY - 0.05)
    shaper.set_goal(goal, velocity, min_duration_s)
    shaper.sample(elapsed_s)
    before = shaper.q, shaper.dq, shaper.ddq
    # Beyond the time at which a moving goal is given up and the arm brakes.
    q, dq = shaper.preview(0.02, 100)
    for now, kept in zip((shaper.q, shaper.dq, shaper.ddq), before):
        np.testing.assert_array_equal(now, kept)
    rows = [shaper.sample(0.02) for _ in range(100)]
    np.testing.assert_allclose(q, [row[0] for row in rows], atol=1e-12)
    np.testing.assert_allclose(dq, [row[1] for row in rows], atol=1e-9)
    assert np.abs(dq).max() > 0.02


def test_preview_of_an_unseeded_shaper_or_of_nothing_is_refused():
    shaper = CommandShaper()
    with pytest.raises(InputError, match='not seeded'):
        shaper.preview(0.02, 1)
    shaper.seed(READY)
    with pytest.raises(InputError, match='preview is of 0 steps'):
        shaper.preview(0.02, 0)
    with pytest.raises(InputError, match='nan s'):
        shaper.preview(np.nan, 1)
