# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/object_model.py."""

import colorsys

import numpy as np
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
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
    ({'kind': 'boxes'}, 'parts'),
    ({'kind': 'sphere'}, 'sphere')])
def test_impossible_shapes_are_refused(mapping, match):
    with pytest.raises(ConfigError, match=match):
        from_mapping(ShapeModel, mapping, 'test')


@pytest.mark.parametrize('symmetry, kind', [('revolution', 'box'), ('cube', 'tub')])
def test_symmetry_must_fit_the_kind(symmetry, kind):
    with pytest.raises(ConfigError, match=symmetry):
        from_mapping(ObjectModel, {
            'object_id': 'a', 'symmetry': symmetry, 'shape': {'kind': kind}}, 'test')
