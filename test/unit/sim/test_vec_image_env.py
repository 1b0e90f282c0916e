# SPDX-License-Identifier: Apache-2.0
"""Pictures of the training environments, in drawn looks."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.vec_config import VecEnvConfig
from ocrrl_ros.sim.vec_env import ResidualVecEnv
from ocrrl_ros.sim.vec_recipe import EnvRecipe
from ocrrl_ros.sim.vec_workers import WorkerVecEnv
from ocrrl_ros.sim.visual_randomization import load_visual_randomization
import pytest


@pytest.fixture
def make(make_renderer):
    """Return a builder of small environments; skips where OpenGL is missing."""
    from ocrrl_ros.sim.physics import load_physics
    from ocrrl_ros.sim.scene import build_model
    from ocrrl_ros.sim.tasks import get_task
    make_renderer(build_model(get_task('cube_lift'), load_domain('sim'), load_physics()), 32, 24)
    opened = []

    def build(workers=0, images=True, **visual):
        settings = dataclasses.replace(
            load_visual_randomization(), looks_per_process=2, width=32, height=24, **visual)
        recipe = EnvRecipe(
            base='expert', images=settings if images else None,
            env=VecEnvConfig(num_envs=3, models=2, mid_start_share=0.0))
        opened.append(WorkerVecEnv(recipe, workers) if workers else recipe.build())
        return opened[-1]
    yield build
    for env in opened:
        env.close()


def ticks(env: ResidualVecEnv, count: int) -> np.ndarray:
    """Advance without a residual and return the last observation."""
    for _ in range(count):
        result = env.step(np.zeros((env.num_envs, env.action_dim)))
    return result.critic_obs


def test_every_environment_has_a_picture_of_its_own(make):
    env = make()
    env.reset()
    first = env.images()
    assert first.shape == (env.num_envs, *env.image_shape) == (3, 24, 32, 3)
    assert first.dtype == np.uint8
    assert not np.array_equal(first[0], first[1])
    ticks(env, 12)
    assert (env.images() != first).any(axis=(1, 2, 3)).all()


def test_pictures_change_nothing_else(make):
    seeing, blind = make(), make(images=False)
    for env in (seeing, blind):
        env.reset()
    seeing.images()
    np.testing.assert_array_equal(ticks(seeing, 8), ticks(blind, 8))
    assert blind.image_shape is None
    with pytest.raises(ConfigError, match='no pictures'):
        blind.images()


def test_looks_and_cameras_of_the_drawn_worlds_differ_and_physics_do_not():
    settings, sim = load_visual_randomization(), load_domain('sim')
    rng = np.random.default_rng(0)
    worlds = [settings.draw(sim, rng) for _ in range(20)]
    assert len({world.camera for world in worlds}) == 20
    assert len({world.looks.table for world in worlds}) == 20
    assert len({len(world.looks.lights) for world in worlds}) > 1
    for world in worlds:
        assert (world.arm, world.hand, world.objects) == (sim.arm, sim.hand, sim.objects)
        distance = np.linalg.norm(np.subtract(world.camera.eye_m, sim.camera.eye_m))
        assert distance < 0.12


def test_a_picture_shows_the_past(make):
    now, late = make(delay_s=(0.0, 0.0)), make(delay_s=(0.048, 0.048))
    for env in (now, late):
        env.reset()
        env.images()
    ticks(now, 6)
    before = now.images().astype(float)
    ticks(now, 1)
    ticks(late, 7)
    seen = late.images().astype(float)
    assert np.abs(seen - before).mean() < np.abs(seen - now.images()).mean()


def test_saved_environment_continues_with_the_same_pictures(make):
    env = make()
    env.reset()
    env.images()
    ticks(env, 5)
    saved = env.state_dict()
    ticks(env, 3)
    expected = env.images()
    other = make()
    other.reset()
    other.load_state_dict(saved)
    ticks(other, 3)
    np.testing.assert_array_equal(other.images(), expected)


def test_pictures_of_worker_processes_are_joined(make):
    env = make(workers=2)
    env.reset()
    assert env.images().shape == (3, *env.image_shape)
    assert env.image_columns.max() < env.obs_dim
    ticks(env, 2)
    assert env.images().shape == (3, 24, 32, 3)


@pytest.mark.parametrize('changed', [
    {'delay_s': (0.0, 0.05)}, {'rendered': 0}, {'looks_per_process': 0}, {'width': 65}])
def test_settings_that_cannot_work_are_refused(changed):
    with pytest.raises(ConfigError, match=next(iter(changed)).split('_')[0].replace(
            'width', 'image')):
        dataclasses.replace(load_visual_randomization(), **changed)
