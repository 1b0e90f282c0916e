# SPDX-License-Identifier: Apache-2.0
"""Scenes of the tracker bench that are no tasks."""

import colorsys

from mesh_shapes import mesh_object
import numpy as np
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.evaluation.tracker_bench import (
    tracked_models, TrackerBench, TrackerBenchConfig)
from ocrrl_ros.evaluation.tracker_scenes import in_colours_of, seen_task
from ocrrl_ros.evaluation.tracker_sequences import SequenceSource
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.tasks import known_tasks
import pytest
import trimesh

NAME = 'peg_in_hole_scene'


def test_a_scene_is_no_task_and_tasks_are_still_found():
    assert NAME not in known_tasks() and seen_task('cube_lift').name == 'cube_lift'
    with pytest.raises(UnknownNameError, match=f'cube_lift.*{NAME}'):
        seen_task('teapot_scene')


def test_objects_of_the_scene_have_the_sizes_and_colours_of_their_models():
    scene = seen_task(NAME)
    looks = in_colours_of(scene, load_domain('proxy')).looks
    for item in scene.objects:
        model = load_object(item.object_id)
        np.testing.assert_allclose(0.5 * model.shape.edges_m, item.half_extents_m)
        hue, saturation, _ = colorsys.rgb_to_hsv(*looks.objects[item.object_id])
        off_deg = (360.0 * hue - model.colour.hue_deg + 180.0) % 360.0 - 180.0
        assert abs(off_deg) < 0.5 * model.colour.hue_tolerance_deg
        assert saturation > model.colour.min_saturation
    rows = load_object('box_with_hole').shape.surfaces.surface
    np.testing.assert_allclose(rows, [[*c, *h] for c, h in scene.objects[1].shape.parts])


def test_the_domain_keeps_its_own_colours():
    domain = load_domain('sim')
    dressed = in_colours_of(seen_task(NAME), domain)
    assert dressed.looks.objects['cube'] == domain.looks.objects['cube']
    assert 'peg' not in domain.looks.objects
    assert in_colours_of(seen_task('cube_lift'), domain) == domain


def test_objects_lie_or_stand_on_the_table_apart_from_each_other():
    scene, domain = seen_task(NAME), load_domain('sim')
    heights = set()
    for seed in range(20):
        poses = scene.sample_initial(np.random.default_rng(seed), domain).object_poses
        gaps = np.linalg.norm(poses[:, None, :2] - poses[:, :2], axis=2)[np.triu_indices(3, 1)]
        assert gaps.min() > 0.13
        np.testing.assert_allclose(poses[1:, 2], 0.02)
        heights.add(round(float(poses[0, 2]), 6))
    assert heights == {0.01, 0.05}


def test_nobody_acts_in_a_scene():
    with pytest.raises(ConfigError, match=f'grasp.*{NAME} is a scene that is only looked at'):
        TrackerBenchConfig(task=NAME)
    TrackerBenchConfig(task=NAME, rows=('rest', 'free'))


@pytest.fixture
def source():
    """Return the scene's sequences, which are closed in the end."""
    made = SequenceSource(NAME, load_domain('sim'), 0.0)
    yield made
    made.close()


def test_all_three_rest_and_each_is_carried(source):
    assert source.targets('free') == ('peg', 'box_with_hole', 'cube')
    resting = next(source.sequence('rest', 0, 0, 'peg'))
    assert tuple(resting.objects) == ('peg', 'box_with_hole', 'cube')
    carried = next(source.sequence('free', 0, 0, 'box_with_hole'))
    assert tuple(carried.objects) == ('box_with_hole',)
    with pytest.raises(ConfigError, match='grasp'):
        source.targets('grasp')


def test_an_object_may_be_followed_by_its_mesh(tmp_path):
    mesh_object(tmp_path, trimesh.creation.box((0.04, 0.04, 0.04)), 24, 'cube', symmetry='cube')
    models = tracked_models(TrackerBenchConfig(models=(str(tmp_path / 'cube.yaml'),)))
    bench = TrackerBench('cube_lift', load_domain('sim'), 0.0, models=models)
    samples = bench.run('rest', 0, 0, 'cube')
    bench.close()
    assert samples[-1].valid and samples[-1].distance_m < 1e-3
    with pytest.raises(UnknownNameError, match='peg'):
        tracked_models(TrackerBenchConfig(models=('peg',)))
