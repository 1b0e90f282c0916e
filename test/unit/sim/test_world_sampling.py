# SPDX-License-Identifier: Apache-2.0
"""Held-out worlds lie where the distribution says, and a third of each outside training."""

import dataclasses
import json
import re

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.held_out import held_out_settings
from ocrrl_ros.sim.world_distribution import (
    distribution_path, load_distribution, WorldDistribution)
from ocrrl_ros.sim.world_sampling import DrawLog, DrawnWorld, sample_worlds
import pytest

SIM, PROXY = load_domain('sim'), load_domain('proxy')


def draw(seed: int = 3, worlds: int = 8, new_looks: int = 2) -> list[DrawnWorld]:
    """Draw worlds from the shipped distribution."""
    return sample_worlds(
        load_distribution(), PROXY, SIM, seed, worlds=worlds, new_looks=new_looks)


@pytest.fixture(name='many', scope='module')
def _many() -> list[DrawnWorld]:
    """Draw worlds from several seeds."""
    return [world for seed in range(12) for world in draw(seed)]


def trained_values(world: DrawnWorld) -> dict[str, float]:
    """Return the value of each parameter that training randomises, read from the domain."""
    domain = world.domain
    sections = (to_mapping(domain.objects), to_mapping(domain.arm), {
        'hand_speed_m_s': domain.hand.speed_m_s, 'hand_latency_s': domain.hand.latency_s})
    values = {name: value for section in sections for name, value in section.items()}
    names = load_distribution().trained(SIM.randomization)
    return {name: values[name] for name in names}


def test_at_least_a_third_of_what_training_randomises_lies_outside_its_range(many):
    for world in many:
        values = trained_values(world)
        outside = {
            name for name, value in values.items()
            if not getattr(SIM.randomization, name)[0] <= value <= getattr(
                SIM.randomization, name)[1]}
        assert outside == set(world.outside)
        assert 3 * len(outside) >= len(values) == 11


def test_the_effects_without_a_knob_are_at_work_in_every_world(many):
    for world in many:
        assert not any(neutral for _, _, neutral in held_out_settings(world.domain))
        assert world.domain.randomization is None


def test_first_worlds_keep_looks_placement_and_optics_of_proxy(many):
    for world in many:
        camera = world.domain.camera
        same = camera.true_pose().tolist() == PROXY.camera.true_pose().tolist()
        assert same is not world.is_new
        assert (camera.true_intrinsics() == PROXY.camera.true_intrinsics()) is not world.is_new
        assert (world.domain.looks == PROXY.looks) is not world.is_new
        assert camera.told_pose().tolist() != camera.true_pose().tolist()
        assert camera.told_intrinsics() != camera.true_intrinsics()


def test_every_draw_is_logged_within_its_range_and_nothing_else_differs_by_seed(many):
    for world in many:
        for entry in world.draws:
            value = entry['value']
            if 'outside_training' in entry and entry['name'] != 'outside_training':
                assert any(low <= value <= high for low, high in entry['outside_training'])
            elif isinstance(entry.get('range'), list):
                assert entry['range'][0] <= value <= entry['range'][1]
        logged = {
            value for entry in world.draws for value in np.atleast_1d(entry['value']).tolist()}
        assert set(trained_values(world).values()) <= logged
        assert {value for _, value, _ in held_out_settings(world.domain)} <= logged


def test_same_seed_gives_the_same_worlds_and_another_seed_others():
    assert draw(5) == draw(5)
    assert {world.domain.sha256() for world in draw(5)}.isdisjoint(
        world.domain.sha256() for world in draw(6))
    assert draw(5, worlds=3, new_looks=0) == draw(5)[:3]


def test_seed_may_be_as_large_as_a_hash():
    worlds = draw(2 ** 255 + 12345)
    assert len({world.domain.name for world in worlds}) == 10
    assert json.loads(json.dumps(worlds[0].draws)) == worlds[0].draws


def test_start_ranges_are_in_view_of_every_new_camera(many):
    points = np.array([
        [x, y, z] for x in (0.37, 0.63) for y in (-0.22, 0.22) for z in (0.0, 0.14)])
    for world in (world for world in many if world.is_new):
        camera = world.domain.camera
        optical = se3.pose_transform(se3.pose_inverse(camera.true_pose()), points)
        pixels = camera.true_intrinsics().project(optical)
        assert (pixels > 5).all()
        assert (pixels < (camera.width - 5, camera.height - 5)).all()
        assert 0.4 < optical[:, 2].min() and optical[:, 2].max() < 1.1


def test_new_looks_keep_objects_in_the_colours_that_the_tracker_is_told(many):
    import colorsys
    for world in (world for world in many if world.is_new):
        for name in ('cube', 'block', 'base_cube'):
            hue, saturation, value = colorsys.rgb_to_hsv(*world.domain.looks.objects[name])
            colour = load_object(name).colour
            off = abs((360.0 * hue - colour.hue_deg + 180.0) % 360.0 - 180.0)
            assert off < colour.hue_tolerance_deg
            assert saturation > colour.min_saturation and value > colour.min_value


@pytest.mark.parametrize('part', [[(0.0, 1.0)], [(0.0, 0.5), (2.0, 2.5)]])
def test_draws_from_parts_cover_them_and_nothing_between(part):
    log = DrawLog(np.random.default_rng(0))
    values = np.array([log.outside('x', part) for _ in range(400)])
    inside = [((values >= low) & (values <= high)).sum() for low, high in part]
    assert sum(inside) == 400
    assert min(inside) > 150


def test_distribution_asks_for_a_third_outside_training_and_leaves_the_drawer_inside():
    distribution = load_distribution()
    assert 3 * distribution.least_outside >= len(distribution.trained(SIM.randomization))
    assert 'drawer_friction_n' not in distribution.outside(SIM.randomization)


def test_every_range_names_a_listed_source_or_calls_itself_an_own_estimate():
    distribution = load_distribution()
    lines = distribution_path().read_text(encoding='utf-8').splitlines()
    ranges = [line for line in lines if line.startswith('  ') and ': [' in line]
    sections = [getattr(distribution, name) for name in ('dynamics', 'sensors', 'camera', 'looks')]
    assert len(ranges) == sum(len(dataclasses.fields(section)) for section in sections)
    comments = [line.partition('#')[2] for line in ranges]
    assert not [line for line, comment in zip(ranges, comments)
                if not re.search(r'\[[A-Z]\]|own estimate', comment)]
    listed = {line[5] for line in lines if re.match(r'#   \[[A-Z]\]  ', line)}
    cited = {letter for line in lines if not line.startswith('#')
             for letter in re.findall(r'\[([A-Z])\]', line)}
    assert cited == listed


def test_more_outside_than_there_is_to_leave_is_refused():
    greedy = dataclasses.replace(load_distribution(), least_outside=11)
    with pytest.raises(ConfigError, match='least_outside is 11; allowed: 0 .. 10'):
        sample_worlds(greedy, PROXY, SIM, 0, worlds=1, new_looks=0)


@pytest.mark.parametrize(('text', 'error'), [
    ('dynamics: {colour: [0, 1]}', UnknownNameError), ('least_outside: 4', ConfigError)])
def test_file_that_is_no_distribution_is_refused(tmp_path, text, error):
    path = tmp_path / 'd.yaml'
    path.write_text(text, encoding='utf-8')
    with pytest.raises(error, match='d.yaml'):
        load_distribution(path)


def test_swapped_range_is_refused():
    distribution: WorldDistribution = load_distribution()
    with pytest.raises(ConfigError, match='friction'):
        dataclasses.replace(distribution.dynamics, friction=(1.0, 0.5))


def test_worlds_without_training_ranges_or_number_are_refused():
    with pytest.raises(ConfigError, match="'proxy' has no training ranges"):
        sample_worlds(load_distribution(), PROXY, PROXY, 0, worlds=1, new_looks=0)
    with pytest.raises(ConfigError, match='seed -1'):
        draw(seed=-1)
