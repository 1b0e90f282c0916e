# SPDX-License-Identifier: Apache-2.0
"""Effects of held-out worlds: nothing while neutral, and never in training."""

import dataclasses

import numpy as np
from ocrrl_ros.core.configuration import from_mapping, to_mapping
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.frame import Intrinsics
from ocrrl_ros.sim.depth_noise import DepthNoise, DepthNoiseConfig
from ocrrl_ros.sim.domain import Domain, HandConfig, load_domain, RandomizationConfig
from ocrrl_ros.sim.gripper_play import GripperPlay
from ocrrl_ros.sim.held_out import held_out_settings
from ocrrl_ros.sim.physics import load_physics
from ocrrl_ros.sim.scene import build_model
from ocrrl_ros.sim.tasks import get_task
from ocrrl_ros.sim.tasks.task import InitialState
from ocrrl_ros.sim.world import SimWorld
import pytest

EFFECTS = {
    ('camera', 'depth_noise', 'grazing_sigma_m'): 0.0003,
    ('camera', 'depth_noise', 'grazing_bias_m'): -0.0002,
    ('objects', 'contact_softness'): 3.0, ('hand', 'backlash_m'): 0.002}
CAMERA = Intrinsics(fx=300.0, fy=300.0, cx=159.5, cy=119.5, width=320, height=240)
QUIET = DepthNoiseConfig(sigma_m_at_1m=0.0, edge_hole_probability=0.0)


def domain_with(path: tuple[str, ...], value: float, name: str = 'proxy') -> Domain:
    """Return a shipped domain with one setting changed."""
    mapping = to_mapping(load_domain(name))
    section = mapping
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return from_mapping(Domain, mapping, 'test')


def tilted_plane(angle_deg: float) -> np.ndarray:
    """Return depth (240, 320) of a plane 1 m away, turned about the image's vertical axis."""
    x = (np.arange(320) - CAMERA.cx) / CAMERA.fx
    row = 1.0 / (1.0 - x * np.tan(np.radians(angle_deg)))
    return np.tile(np.where(row > 0, row, 0.0).astype(np.float32), (240, 1))


def test_shipped_domains_have_every_effect_neutral():
    for name in ('sim', 'proxy'):
        found = {path: neutral for path, _, neutral in held_out_settings(load_domain(name))}
        assert set(found) == set(EFFECTS)
        assert all(found.values())


@pytest.mark.parametrize('path', EFFECTS, ids='.'.join)
def test_an_effect_changes_the_hash_only_where_it_is_at_work(path):
    neutral = {key: value for key, value, _ in held_out_settings(load_domain('proxy'))}[path]
    assert domain_with(path, neutral).sha256() == load_domain('proxy').sha256()
    assert domain_with(path, EFFECTS[path]).sha256() != load_domain('proxy').sha256()


@pytest.mark.parametrize('path', EFFECTS, ids='.'.join)
def test_a_training_world_with_an_effect_is_refused(path):
    with pytest.raises(ConfigError, match=path[-1]):
        domain_with(path, EFFECTS[path], 'sim')


def test_training_ranges_know_none_of_the_effects():
    names = {item.name for item in dataclasses.fields(RandomizationConfig)}
    assert names.isdisjoint(path[-1] for path in EFFECTS)


# -- play of the hand ---------------------------------------------------------------------------

def test_without_play_the_fingers_are_where_the_drive_is():
    play = GripperPlay(0.0)
    play.reset(0.04)
    for drive in np.linspace(0.04, 0.0, 37):
        assert play.follow(drive) == drive
        assert play.offset_m == 0.0


def test_play_is_crossed_before_the_fingers_turn_back():
    play = GripperPlay(0.004)
    play.reset(0.04)
    assert play.follow(0.0395) == 0.04
    assert play.follow(0.02) == pytest.approx(0.021)
    assert play.offset_m == pytest.approx(-0.001)
    assert play.follow(0.0215) == pytest.approx(0.021)
    assert play.follow(0.03) == pytest.approx(0.029)
    assert play.follow(0.04) == pytest.approx(0.039)


def hand_world(backlash_m: float) -> SimWorld:
    """Return a Cube Lift world whose hand has play, and that is told at once."""
    domain = load_domain('sim')
    world = SimWorld(get_task('cube_lift'), dataclasses.replace(
        domain, randomization=None, hand=HandConfig(backlash_m=backlash_m)), load_physics())
    world.reset(np.random.default_rng(0))
    return world


def test_closed_hand_reports_the_commanded_width_and_stays_open_by_half_the_play():
    world = hand_world(0.004)
    world.set_gripper(0.0)
    world.step(1500)
    assert world.arm_state().finger_positions.sum() == pytest.approx(0.0, abs=2e-4)
    assert world.task_state().width[0] == pytest.approx(0.002, abs=2e-4)
    world.set_gripper(1.0)
    world.step(1500)
    assert world.opening() == pytest.approx(1.0, abs=0.005)
    assert world.task_state().width[0] == pytest.approx(0.078, abs=4e-4)


def test_hand_with_play_still_holds_the_cube(grasp_ready: InitialState):
    world = hand_world(0.003)
    world.reset_to(grasp_ready)
    world.set_gripper(0.0)
    world.step(1200)
    assert world.task_state().finger_contact.all()
    reported = world.arm_state().finger_positions.sum()
    assert reported == pytest.approx(world.task_state().width[0] - 0.0015, abs=1e-4)


# -- contact ------------------------------------------------------------------------------------

def pressed_depth(softness: float, grasp_ready: InitialState) -> float:
    """Return how far the fingers sink into the cube that they hold, m."""
    world = SimWorld(
        get_task('cube_lift'), domain_with(('objects', 'contact_softness'), softness),
        load_physics())
    world.reset_to(grasp_ready)
    world.set_gripper(0.0)
    world.step(1500)
    assert world.task_state().finger_contact.all()
    return 0.04 * world.domain.objects.size_scale - float(world.task_state().width[0])


def test_neutral_softness_leaves_contact_as_the_physics_says():
    physics = load_physics()
    model = build_model(get_task('cube_lift'), load_domain('proxy'), physics)
    assert tuple(model.geom('cube').solref) == physics.contact.solref


def test_soft_object_yields_to_the_fingers(grasp_ready: InitialState):
    hard, soft = pressed_depth(1.0, grasp_ready), pressed_depth(3.0, grasp_ready)
    assert 0.0 <= hard < 0.0005
    assert soft > 4.0 * hard
    assert soft < 0.004


# -- depth by angle of incidence ----------------------------------------------------------------

def test_neutral_settings_give_the_same_picture_to_the_last_bit():
    depth = tilted_plane(40.0)
    plain = DepthNoise(DepthNoiseConfig(), np.random.default_rng(0)).apply(depth)
    told = DepthNoise(DepthNoiseConfig(), np.random.default_rng(0), CAMERA).apply(depth)
    np.testing.assert_array_equal(plain, told)


@pytest.mark.parametrize(('angle_deg', 'factor'), [(0.0, 0.0), (45.0, 1.0), (60.0, 4.0)])
def test_bias_grows_with_the_angle_of_incidence(angle_deg, factor):
    config = dataclasses.replace(QUIET, grazing_bias_m=0.002)
    depth = tilted_plane(angle_deg)
    reading = DepthNoise(config, np.random.default_rng(0), CAMERA).apply(depth)
    centre = (slice(100, 140), slice(157, 163))
    error_mm = reading[centre].astype(float) - 1000.0 * depth[centre]
    assert error_mm.mean() == pytest.approx(2.0 * factor, abs=0.7)


def test_deviation_grows_with_the_angle_of_incidence():
    config = dataclasses.replace(QUIET, grazing_sigma_m=0.002)
    spread = []
    for angle_deg in (0.0, 45.0, 60.0):
        depth = tilted_plane(angle_deg)
        reading = DepthNoise(config, np.random.default_rng(0), CAMERA).apply(depth)
        error = reading[:, 155:165].astype(float) - 1000.0 * depth[:, 155:165]
        spread.append(error.std())
    assert spread[0] < 0.4
    assert spread[1] == pytest.approx(2.0, rel=0.15)
    assert spread[2] == pytest.approx(8.0, rel=0.15)


def test_a_step_between_two_surfaces_is_no_grazed_surface():
    depth = np.full((240, 320), 0.8, dtype=np.float32)
    depth[:, 160:] = 1.0
    config = dataclasses.replace(QUIET, grazing_bias_m=0.002)
    reading = DepthNoise(config, np.random.default_rng(0), CAMERA).apply(depth)
    # Up to 28 deg off the axis nothing is quite face on: less than 1 mm.
    assert np.abs(reading - 1000.0 * depth).max() <= 1.0


def test_a_picture_after_others_is_that_of_a_camera_that_saw_no_others():
    config = dataclasses.replace(QUIET, grazing_bias_m=0.002)
    rng = np.random.default_rng(3)
    used = DepthNoise(config, np.random.default_rng(0), CAMERA)
    depth = tilted_plane(50.0)
    depth += rng.uniform(-1e-3, 1e-3, depth.shape).astype(np.float32)
    for _ in range(20):
        used.apply(depth)
        corner, size = rng.integers(-3, (240, 320)), rng.integers(1, 30, 2)
        low, high = np.maximum(corner, 0), np.maximum(corner + size, 1)
        depth[low[0]:high[0], low[1]:high[1]] += np.float32(rng.uniform(-0.004, 0.004))
        fresh = DepthNoise(config, np.random.default_rng(0), CAMERA)
        np.testing.assert_array_equal(used.apply(depth), fresh.apply(depth))


def test_angle_without_intrinsics_is_refused():
    with pytest.raises(ConfigError, match='intrinsics'):
        DepthNoise(DepthNoiseConfig(grazing_sigma_m=0.0003), np.random.default_rng(0))
