# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/object_model.py."""

import numpy as np
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.perception.object_model import load_object, ObjectModel
import pytest


def test_shipped_cube_is_forty_millimetres_and_fully_symmetric():
    cube = load_object('cube')
    np.testing.assert_allclose(cube.shape.half_m, 0.02)
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
