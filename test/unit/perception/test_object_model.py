# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/object_model.py."""

import colorsys

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.core.symmetry import GROUPS
from ocrrl_ros.perception.object_model import load_object, ObjectModel
from ocrrl_ros.perception.sdf import entry
from ocrrl_ros.perception.shape_model import ShapeModel
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.object_shapes import Drawer, Tub
from ocrrl_ros.sim.tasks import get_task, known_tasks
import pytest

SPECS = {item.object_id: item for name in known_tasks() for item in get_task(name).objects}


def test_shipped_cube_is_forty_millimetres_and_fully_symmetric():
    cube = load_object('cube')
    np.testing.assert_allclose(cube.shape.edges_m, 0.04)
    assert cube.symmetries.shape == (24, 4)


def test_unknown_object_names_the_known_ones():
    with pytest.raises(UnknownNameError, match='cube'):
        load_object('teapot')


def test_unknown_keys_are_refused(tmp_path):
    path = tmp_path / 'thing.yaml'
    path.write_text('object_id: thing\ncolor: {}\n')
    with pytest.raises(UnknownNameError, match='color'):
        load_object(path)


def test_symmetry_must_fit_the_edges():
    mapping = {'object_id': 'brick', 'symmetry': 'cube', 'shape': {'size_m': [0.04, 0.04, 0.08]}}
    with pytest.raises(ConfigError, match='size_m'):
        from_mapping(ObjectModel, mapping, 'test')


def test_id_must_be_a_topic_name():
    with pytest.raises(ConfigError, match='object_id'):
        ObjectModel(object_id='a b')


@pytest.mark.parametrize('name', SPECS)
def test_every_task_object_has_a_model_of_its_size(name):
    shape, model = SPECS[name].shape, load_object(name)
    if isinstance(shape, Tub):
        tub = model.shape.tub
        assert (tub.bottom_m, tub.mouth_m, tub.height_m, tub.wall_m) == (
            shape.bottom_m, shape.mouth_m, shape.height_m, shape.wall_m)
        assert model.revolves
    elif isinstance(shape, Drawer):
        low = model.shape.bounds_m[0]
        np.testing.assert_allclose(
            low, [-shape.handle_m, -0.5 * shape.width_m, -0.5 * shape.height_m])
        assert model.upright
    else:
        np.testing.assert_allclose(0.5 * model.shape.edges_m, shape.half_extents_m)


def test_colours_of_the_training_world_lie_in_their_cones():
    for name, rgb in load_domain('sim').looks.objects.items():
        if name not in SPECS:
            continue
        colour = load_object(name).colour
        hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
        off_deg = (360.0 * hue - colour.hue_deg + 180.0) % 360.0 - 180.0
        assert abs(off_deg) < 0.5 * colour.hue_tolerance_deg, name
        assert saturation > colour.min_saturation and value > colour.min_value, name


def test_rim_of_a_tub_is_square_to_its_wall_and_within_its_height():
    shape = load_object('bowl').shape
    rim = shape.surfaces.surface[2]
    assert np.linalg.norm(rim[2:4] - rim[:2]) == pytest.approx(shape.tub.wall_m)
    assert rim[3] == pytest.approx(0.5 * shape.tub.height_m)
    assert np.isinf(entry(np.array([0.0949, 0.0, 1.0]), np.array([[0.0, 0.0, -1.0]]),
                          shape.surfaces))


@pytest.mark.parametrize('mapping, match', [
    ({'kind': 'tub', 'tub': {'bottom_m': 0.09, 'mouth_m': 0.06}}, 'mouth_m'),
    ({'kind': 'tub', 'tub': {'wall_m': 0.04}}, 'wall_m'),
    ({'kind': 'tub', 'tub': {'height_m': 3.0}}, 'height_m'),
    ({'kind': 'cylinder', 'cylinder': {'radius_m': 0.001}}, 'radius_m'),
    ({'kind': 'cylinder', 'cylinder': {'height_m': 2.0}}, 'height_m'),
    ({'kind': 'boxes'}, 'parts'),
    ({'kind': 'sphere'}, 'sphere')])
def test_impossible_shapes_are_refused(mapping, match):
    with pytest.raises(ConfigError, match=match):
        from_mapping(ShapeModel, mapping, 'test')


@pytest.mark.parametrize('symmetry, kind', [
    ('revolution', 'box'), ('cylinder', 'box'), ('cube', 'tub'), ('cylinder', 'tub'),
    ('square_prism_x', 'cylinder'), ('cube', 'cylinder')])
def test_symmetry_must_fit_the_kind(symmetry, kind):
    with pytest.raises(ConfigError, match=symmetry):
        from_mapping(ObjectModel, {
            'object_id': 'a', 'symmetry': symmetry, 'shape': {'kind': kind}}, 'test')


def bars(*sizes_m, apart_m=0.06):
    """Return a mapping of boxes side by side along x, their middle at the origin."""
    middle = 0.5 * apart_m * (len(sizes_m) - 1)
    return {'kind': 'boxes', 'parts': [
        {'centre_m': [apart_m * at - middle, 0.0, 0.0], 'size_m': list(size_m)}
        for at, size_m in enumerate(sizes_m)]}


@pytest.mark.parametrize('shape, allowed', [
    (bars((0.02, 0.04, 0.04), (0.02, 0.04, 0.04)), 'half_turn_z box square_prism_x'),
    (bars((0.02, 0.04, 0.03), (0.02, 0.04, 0.03)), 'half_turn_z box'),
    (bars((0.02, 0.04, 0.04), (0.03, 0.04, 0.04)), ''),
    (bars((0.04, 0.04, 0.03)), 'half_turn_z box square_prism'),
    ({'kind': 'box', 'size_m': [0.04, 0.04, 0.04]},
     'half_turn_z box square_prism square_prism_x cube'),
    ({'kind': 'box', 'size_m': [0.03, 0.04, 0.04]}, 'half_turn_z box square_prism_x'),
    ({'kind': 'cylinder'}, 'half_turn_z box square_prism revolution cylinder'),
    ({'kind': 'tub'}, 'half_turn_z revolution')])
def test_a_group_is_allowed_exactly_when_it_maps_the_shape_onto_itself(shape, allowed):
    for symmetry in GROUPS:
        mapping = {'object_id': 'a', 'symmetry': symmetry, 'shape': shape}
        if symmetry in ('none', *allowed.split()):
            from_mapping(ObjectModel, mapping, 'test')
        else:
            with pytest.raises(ConfigError, match=symmetry):
                from_mapping(ObjectModel, mapping, 'test')


def test_a_union_with_all_edges_of_its_bounding_box_has_that_silhouette():
    box = load_object('box_with_hole').shape.surfaces
    np.testing.assert_allclose(box.hull, [[0.0, 0.0, 0.0, 0.04, 0.04, 0.02]])
    assert len(box.surface) == 4
    drawer = load_object('drawer').shape.surfaces
    np.testing.assert_array_equal(drawer.hull, drawer.surface)
    # Two bars whose gap is seen against the background.
    split = from_mapping(ShapeModel, bars((0.02, 0.04, 0.04), (0.02, 0.04, 0.04)), 'test')
    assert len(split.surfaces.hull) == 2


def test_peg_fits_into_the_hole_with_two_millimetres_to_each_side():
    peg, box = load_object('peg').shape, load_object('box_with_hole').shape
    np.testing.assert_allclose(peg.edges_m, [0.02, 0.02, 0.1])
    np.testing.assert_allclose(box.edges_m, [0.08, 0.08, 0.04])
    for x, blocked in ((0.0, False), (0.0119, False), (0.0121, True)):
        for ray in (np.array([x, 0.0, 1.0]), np.array([0.0, -x, 1.0])):
            far = entry(ray, np.array([[0.0, 0.0, -1.0]]), box.surfaces)
            assert np.isfinite(far[0]) == blocked


def test_no_two_objects_share_hues_but_those_that_never_meet():
    cones = {path.stem: load_object(path).colour for path in config_path('objects').glob('*.yaml')}
    for name in ('peg', 'box_with_hole'):
        for other in set(cones) - {name}:
            apart_deg = abs(
                (cones[name].hue_deg - cones[other].hue_deg + 180.0) % 360.0 - 180.0)
            assert apart_deg > (
                cones[name].hue_tolerance_deg + cones[other].hue_tolerance_deg), other


def test_of_a_cylinder_the_nearest_of_all_turns_and_flips_is_reported():
    peg, rng = load_object('peg'), np.random.default_rng(2)
    for rotation, reference in rng.normal(size=(20, 2, 4)):
        rotation, reference = se3.quat_normalize(rotation), se3.quat_normalize(reference)
        found = peg.nearest_rotation(rotation, reference)
        turns = se3.quat_from_rotvec(np.linspace(-np.pi, np.pi, 400)[:, None] * [0.0, 0.0, 1.0])
        turns = np.concatenate([turns, se3.quat_multiply(turns, np.array([1.0, 0.0, 0.0, 0.0]))])
        equal = se3.quat_multiply(rotation, turns)
        assert se3.quat_angle(found, reference) < se3.quat_angle(equal, reference).min() + 1e-9
        assert se3.quat_angle(equal, found).min() < np.radians(1.0)


def test_a_peg_that_tumbles_and_is_seen_flipped_keeps_a_steady_quaternion():
    peg, rng = load_object('peg'), np.random.default_rng(5)
    reported = None
    for step in range(200):
        tumbled = se3.quat_from_rotvec(np.array([0.03 * step, 0.01 * step, 0.0]))
        member = peg.symmetries[rng.integers(len(peg.symmetries))]
        previous, reported = reported, peg.nearest_rotation(
            se3.quat_multiply(tumbled, member), reported)
        if previous is not None:
            assert se3.quat_angle(previous, reported) < 0.04
