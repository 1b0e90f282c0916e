# SPDX-License-Identifier: Apache-2.0
"""Bases share the environments, each is asked for its own, and only the own one's count."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.policy.base_policy import BaseInputs, BasePolicy, ChunkBatch
from ocrrl_ros.sim.base_pool import BasePool, deal_rows
from ocrrl_ros.sim.vec_config import VecEnvConfig
from ocrrl_ros.sim.vec_recipe import EnvOrigin, EnvRecipe
import pytest
from tiny_bundles import tiny_base

HERE = np.array([0.4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])


class Marker(BasePolicy):
    """Plans to stay at x = mark, and remembers whom it was asked about."""

    needs_images = False

    def __init__(self, mark, step_s=0.05):
        self.mark, self.step_s, self.rows = mark, step_s, []

    def infer(self, inputs):
        self.rows += inputs.rows.tolist()
        poses = np.tile(HERE, (len(inputs), self.horizon, 1))
        poses[..., 0] = self.mark
        poses[..., 1] = inputs.base_T_tcp[:, None, 1]
        return ChunkBatch(poses, np.full((len(inputs), self.horizon), self.mark))


def inputs_of(rows):
    poses = np.tile(HERE, (len(rows), 1))
    poses[:, 1] = rows
    return BaseInputs(
        stamp_s=np.zeros(len(rows)), rgb=None, base_T_tcp=poses, gripper=np.ones(len(rows)),
        instructions=('do it',) * len(rows), rows=np.array(rows))


def test_others_take_their_share_in_even_distances_and_in_turn():
    owners = deal_rows(12, 0.5, 2)
    assert owners.tolist() == [0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2]
    assert not deal_rows(12, 0.0, 2).any()
    assert set(deal_rows(4, 0.5, 5)) == {0, 1, 2}


def test_each_base_plans_where_it_acts_and_answers_come_in_the_order_asked():
    marks = [Marker(0.1), Marker(0.2), Marker(0.3)]
    pool = BasePool(marks, np.array([0, 1, 2, 1]))
    chunks = pool.infer(inputs_of([3, 0, 2]))
    assert chunks.poses[:, 0, 0].tolist() == chunks.grippers[:, 5].tolist() == [0.2, 0.1, 0.3]
    assert chunks.poses[:, 0, 1].tolist() == [3, 0, 2]
    assert [mark.rows for mark in marks] == [[0], [3], [2]]
    every = dataclasses.replace(inputs_of([0, 1, 2, 3]), rows=None)
    assert pool.infer(every).grippers[:, 0].tolist() == [0.1, 0.2, 0.3, 0.2]


def test_bases_that_plan_at_other_times_are_refused():
    with pytest.raises(ConfigError, match=r'another base plans 16 points of 0\.1 s.*16 of 0\.05'):
        BasePool([Marker(0.1), Marker(0.2, step_s=0.1)], np.zeros(2, int))


@pytest.fixture(name='bases')
def _bases(tmp_path):
    """Give the folders of two bases that want the hand at different places."""
    return [str(tiny_base(tmp_path / name, HERE, np.zeros(3) + offset))
            for name, offset in (('one', 0.0), ('two', 0.004))]


def recipe(bases, **settings):
    return EnvRecipe(base=bases[0], other_bases=tuple(bases[1:]), env=VecEnvConfig(
        num_envs=4, models=2, mid_start_share=0.0, **settings))


def test_episodes_of_other_bases_do_not_count_and_measuring_has_none(bases):
    wanted = recipe(bases, other_base_share=0.5)
    env = wanted.build()
    env.reset()
    for _ in range(12):
        result = env.step(np.zeros((4, 7)))
    assert result.info['whole'].tolist() == [True, False, True, False]
    plain = dataclasses.replace(wanted, env=wanted.env.plain()).build()
    plain.reset()
    assert plain.step(np.zeros((4, 7))).info['whole'].all()


def test_run_remembers_all_its_bases(bases):
    assert recipe(bases[:1]).origin == EnvOrigin(
        task='cube_lift', base=recipe(bases).origin.base)
    assert len(recipe(bases).origin.other_bases) == 1
    assert recipe(bases[::-1]).origin.other_bases == (recipe(bases).origin.base,)


def test_other_bases_beside_a_scripted_one_are_refused(bases):
    with pytest.raises(ConfigError, match='scripted base expert; allowed: beside a base bundle'):
        EnvRecipe(base='expert', other_bases=tuple(bases))
