# SPDX-License-Identifier: Apache-2.0
"""Domains load strictly and say what software is told."""

import dataclasses

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.sim.domain import (
    CameraConfig, Domain, known_domains, load_domain, ObjectConfig, RandomizationConfig)
import pytest


def test_shipped_domains_load_and_differ():
    assert known_domains() == ('proxy', 'sim')
    sim, proxy = load_domain('sim'), load_domain('proxy')
    assert (sim.name, proxy.name) == ('sim', 'proxy')
    assert sim.looks.table.rgb != proxy.looks.table.rgb
    assert sim.sha256() != proxy.sha256()


def test_only_the_training_world_has_training_ranges():
    assert load_domain('sim').randomization is not None
    assert load_domain('proxy').randomization is None


def test_unknown_domain_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'mars'.*proxy, sim"):
        load_domain('mars')


def test_unknown_key_names_key_file_and_allowed_keys(tmp_path):
    path = tmp_path / 'bad.yaml'
    path.write_text('camera: {zoom: 2}\n', encoding='utf-8')
    with pytest.raises(UnknownNameError, match=r"'zoom'.*bad\.yaml.*eye_m"):
        load_domain(path)


def test_value_outside_its_range_names_value_unit_and_range():
    with pytest.raises(ConfigError, match=r'size_scale is 3\.0; allowed: 0\.8 \.\. 1\.2'):
        ObjectConfig(size_scale=3.0)


def test_swapped_range_is_refused():
    with pytest.raises(ConfigError, match='friction'):
        RandomizationConfig(friction=(1.0, 0.5))


def test_file_of_ones_own_is_a_domain(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('name: mine\nobjects: {friction: 0.5}\n', encoding='utf-8')
    assert load_domain(str(path)).objects.friction == 0.5


def test_file_without_a_name_is_named_after_itself(tmp_path):
    path = tmp_path / 'slippery.yaml'
    path.write_text('objects: {friction: 0.3}\n', encoding='utf-8')
    assert load_domain(path).name == 'slippery'


@pytest.mark.parametrize(('name', 'sha256'), [
    ('proxy', '82f6d52c7ac75fc02fc2be93eb64a053116c5b525ed0e0fb2e9981513964e27d'),
    ('sim', 'c0089eb8ec19d3438a6c675bb1bd3448f2d830469da66664b2e203efa775618b')])
def test_shipped_domains_are_the_ones_that_results_were_measured_in(name, sha256):
    assert load_domain(name).sha256() == sha256


def test_optical_axis_goes_through_the_target_and_image_is_upright():
    camera = CameraConfig()
    pose = camera.true_pose()
    target = se3.pose_transform(se3.pose_inverse(pose), np.asarray(camera.target_m))
    np.testing.assert_allclose(target[:2], 0.0, atol=1e-12)
    assert target[2] > 0.5
    down = se3.quat_rotate(pose[3:], np.array([0.0, 1.0, 0.0]))
    assert down[2] < -0.5


def test_told_camera_differs_by_the_stated_error():
    camera = load_domain('proxy').camera
    error = se3.pose_multiply(se3.pose_inverse(camera.true_pose()), camera.told_pose())
    np.testing.assert_allclose(error[:3], camera.told_translation_error_m, atol=1e-12)
    angle = np.linalg.norm(camera.told_rotation_error_deg)
    np.testing.assert_allclose(
        np.degrees(se3.quat_angle(error[3:], se3.pose_identity()[3:])), angle, atol=1e-6)
    assert 0.2 < angle < 0.8
    told, true = camera.told_intrinsics(), camera.true_intrinsics()
    np.testing.assert_allclose(told.fx / true.fx, 1.005)


def test_sim_calibration_is_exact():
    camera = load_domain('sim').camera
    np.testing.assert_array_equal(camera.told_pose(), camera.true_pose())
    assert camera.told_intrinsics() == camera.true_intrinsics()


def test_sampled_dynamics_stay_in_range_and_keep_the_looks():
    sim = load_domain('sim')
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = sim.sample_dynamics(rng)
        low, high = sim.randomization.friction
        assert low <= drawn.objects.friction <= high
        assert drawn.looks == sim.looks
        assert drawn.camera == sim.camera


def test_world_without_ranges_cannot_be_sampled():
    with pytest.raises(ConfigError, match='proxy'):
        load_domain('proxy').sample_dynamics(np.random.default_rng(0))


def test_hash_changes_with_any_setting():
    domain = Domain()
    other = dataclasses.replace(domain, objects=ObjectConfig(friction=0.81))
    assert domain.sha256() != other.sha256()
