# SPDX-License-Identifier: Apache-2.0
"""Episode streams are reproducible, independent and paired."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.sim.seeding import episode_rngs, STREAM_NAMES
import pytest


def _first(task: str, domain: str, seed: int, episode: int, stream: str) -> float:
    return getattr(episode_rngs(task, domain, seed, episode), stream).random()


def test_same_episode_gives_same_numbers():
    one, two = (_first('cube_lift', 'sim', 7, 3, 'initial') for _ in range(2))
    assert one == two


def test_known_value_stays_for_the_life_of_the_project():
    value = episode_rngs('cube_lift', 'sim', 10_000, 0).initial.integers(1 << 30)
    assert value == 779675747


@pytest.mark.parametrize('change', [
    ('stack', 'sim', 7, 3), ('cube_lift', 'proxy', 7, 3), ('cube_lift', 'sim', 8, 3),
    ('cube_lift', 'sim', 7, 4)])
def test_every_part_of_the_seed_matters(change):
    assert _first('cube_lift', 'sim', 7, 3, 'initial') != _first(*change, 'initial')


def test_streams_do_not_share_numbers():
    values = {_first('cube_lift', 'sim', 7, 3, name) for name in STREAM_NAMES}
    assert len(values) == len(STREAM_NAMES)


def test_drawing_from_one_stream_leaves_the_others_alone():
    streams = episode_rngs('cube_lift', 'sim', 7, 3)
    streams.base.random(1000)
    assert streams.sensor.random() == _first('cube_lift', 'sim', 7, 3, 'sensor')


def test_negative_seed_is_refused():
    with pytest.raises(ConfigError, match='-1'):
        episode_rngs('cube_lift', 'sim', -1, 0)


def test_neighbouring_episodes_are_uncorrelated():
    draws = np.array([
        episode_rngs('cube_lift', 'sim', 7, i).initial.random(4) for i in range(200)])
    correlation = np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]
    assert abs(correlation) < 0.25
