# SPDX-License-Identifier: Apache-2.0
"""An action that is held changes with the chunk alone, for each robot by itself."""

import numpy as np
from ocrrl_ros.policy.action_hold import ActionHold


def test_action_changes_only_where_the_chunk_is_new():
    hold = ActionHold(2)
    first = hold.update(np.full((2, 7), 0.1), np.array([1.0, 1.0]))
    second = hold.update(np.full((2, 7), 0.2), np.array([1.0, 1.4]))
    assert (first == 0.1).all()
    assert (second[0] == 0.1).all() and (second[1] == 0.2).all()


def test_residual_is_asked_once_per_chunk():
    hold, asked = ActionHold(), []

    def residual(observation):
        asked.append(observation)
        return np.full((1, 7), 0.1 * len(asked))

    found = [hold.act(residual, np.zeros((1, 3)), stamp)[0, 0] for stamp in (1.0, 1.0, 1.4, 1.4)]
    assert found == [0.1, 0.1, 0.2, 0.2] and len(asked) == 2


def test_new_episode_asks_anew_though_the_stamp_is_the_same():
    hold = ActionHold(2)
    hold.update(np.full((2, 7), 0.1), 1.0)
    hold.reset(np.array([1]))
    assert list(hold.is_due(1.0)) == [False, True]
    assert hold.update(np.full((2, 7), 0.3), 1.0)[:, 0].tolist() == [0.1, 0.3]
