# SPDX-License-Identifier: Apache-2.0
"""The compiled kernels give what their numpy references give."""

from mesh_shapes import l_block, mesh_object, primitive_mesh
import numpy as np
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.perception import kernels_numpy
from ocrrl_ros.perception.kernels import load_kernels
from ocrrl_ros.perception.object_model import load_object
from ocrrl_ros.perception.rotation import rotation_exp
from ocrrl_ros.perception.sdf import entry
from ocrrl_ros.perception.surfaces import boxes
import pytest

BOX = boxes(np.array([[0.0, 0.0, 0.0, 0.02, 0.02, 0.03]]))
PRIMITIVES = {'box': BOX} | {
    name: load_object(name).shape.surfaces
    for name in ('bowl', 'cup', 'drawer', 'peg', 'box_with_hole')}
NAMES = (*PRIMITIVES, 'mesh_l', 'mesh_cup')
CAMERA = np.array([300.0, 310.0, 40.0, 30.0, 12.0, 7.0])
NOISE = np.array([0.0025, 0.0005, 0.5, 0.001, 0.7, 4.0])


@pytest.fixture(scope='module')
def compiled():
    """Return the compiled kernels, or skip where numba is missing."""
    pytest.importorskip('numba')
    return load_kernels('numba')


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """Return every kind of shape by name."""
    folder = tmp_path_factory.mktemp('meshes')
    return PRIMITIVES | {
        'mesh_l': mesh_object(folder, l_block(), name='l').shape.surfaces,
        'mesh_cup': mesh_object(folder, primitive_mesh('cup'), name='cup').shape.surfaces}


@pytest.fixture
def view():
    """Return colour, depth, mask and score of a window with a blob, holes and noise."""
    rng = np.random.default_rng(5)
    rows, columns = np.indices((50, 64))
    blob = (rows - 24) ** 2 + (columns - 30) ** 2 < 15 ** 2
    rgb = rng.integers(0, 90, (50, 64, 3), dtype=np.uint8)
    rgb[blob] = [200, 30, 25]
    depth = np.where(blob, 0.5, 0.7) + rng.normal(0, 0.004, blob.shape)
    depth[rng.random(blob.shape) < 0.1] = 0.0
    return rgb, depth.astype(np.float32), blob


def test_colour_score_is_high_inside_the_cone_only(compiled, view):
    cone = np.array([1.0, 0.0, 1.0 / np.tan(0.3), 15.0])
    reference = kernels_numpy.colour_score(view[0], cone)
    np.testing.assert_allclose(compiled.colour_score(view[0], cone), reference, atol=1e-5)
    assert reference[view[2]].min() > 0.5


@pytest.mark.parametrize('stride', [1, 3])
def test_surface_points_lie_on_their_pixels(compiled, view, stride):
    arguments = (view[1], view[2], CAMERA, stride, np.array([0.45, 0.55]))
    reference = kernels_numpy.surface_points(*arguments)
    np.testing.assert_allclose(compiled.surface_points(*arguments), reference, atol=1e-12)
    u = reference[:, 0] / reference[:, 2] * 300.0 + 40.0 - 12.0
    np.testing.assert_allclose(u, np.round(u), atol=1e-6)


def test_contour_rays_agree_in_any_order(compiled, view):
    score = kernels_numpy.colour_score(view[0], np.array([1.0, 0.0, 3.2, 15.0]))
    arguments = (score, view[2], view[1], CAMERA, np.array([0.0, 0.0, -1.0, 0.7]),
                 np.array([0.01, 0.005]))
    rays, silhouette = kernels_numpy.contour_rays(*arguments)
    other, flags = compiled.contour_rays(*arguments)
    np.testing.assert_allclose(other, rays, atol=1e-6)
    np.testing.assert_array_equal(flags, silhouette)
    assert silhouette.mean() > 0.9


def test_an_occluder_beside_the_mask_makes_no_silhouette(view):
    depth = view[1].copy()
    depth[:, 30:][~view[2][:, 30:]] = 0.4
    score = kernels_numpy.colour_score(view[0], np.array([1.0, 0.0, 3.2, 15.0]))
    rays, silhouette = kernels_numpy.contour_rays(
        score, view[2], depth, CAMERA, np.array([0.0, 0.0, -1.0, 5.0]), np.array([0.01, 0.005]))
    right = rays[:, 0] / rays[:, 2] * 300.0 + 40.0 - 12.0 > 31.0
    assert not silhouette[right].any()
    assert silhouette[~right].mean() > 0.9


def system_inputs(seed, shape=BOX):
    """Return noisy points on and rays past a shape, and a pose near it."""
    rng = np.random.default_rng(seed)
    rotation = rotation_exp(rng.normal(size=3))
    translation = np.array([0.03, -0.02, 0.6])
    rays = translation + rng.uniform(-1.0, 1.0, (200, 3)) * shape.reach
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    far = entry(-(translation @ rotation), rays @ rotation, shape)
    points = (far[:, None] * rays)[np.isfinite(far)][:80]
    points = points + rng.normal(0, 0.002, points.shape)
    return points, rays[:60].copy(), rng.random(60) < 0.5, rotation, translation


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('seed', range(5))
def test_normal_equations_agree(compiled, shapes, seed, name):
    inputs = (*system_inputs(seed, shapes[name]), shapes[name], NOISE)
    reference, result = kernels_numpy.accumulate(*inputs), compiled.accumulate(*inputs)
    scale = np.abs(reference[0]).max()
    np.testing.assert_allclose(result[0], reference[0], atol=1e-9 * scale)
    np.testing.assert_allclose(result[1], reference[1], atol=1e-9 * np.abs(reference[1]).max())
    assert result[2] == pytest.approx(reference[2], rel=1e-9)


@pytest.mark.parametrize('name', ['bowl', 'cup', 'peg'])
def test_nothing_is_claimed_about_the_turn_of_a_solid_of_revolution(compiled, name):
    inputs = system_inputs(2, PRIMITIVES[name])
    axis = inputs[3][:, 2]
    system = compiled.accumulate(*inputs, PRIMITIVES[name], NOISE)[0][3:, 3:]
    assert abs(axis @ system @ axis) < 1e-9 * np.abs(system).max()


# Distances to a thin sampled wall's far face are continued along rays, gradients are not.
@pytest.mark.parametrize('name', (*PRIMITIVES, 'mesh_l'))
def test_gradient_of_the_cost_agrees_with_differences(shapes, name):
    shape = shapes[name]
    points, _, _, rotation, translation = system_inputs(1, shape)
    none = np.zeros((0, 3)), np.zeros(0, dtype=bool)

    def cost(step):
        return kernels_numpy.accumulate(
            points, *none, rotation_exp(step[3:]) @ rotation, translation + step[:3], shape,
            NOISE)[2]

    right = kernels_numpy.accumulate(points, *none, rotation, translation, shape, NOISE)[1]
    numeric = np.array([(cost(1e-6 * e) - cost(-1e-6 * e)) / 2e-6 for e in np.eye(6)])
    # The weights divide by sigma(z) of the measurement, so the descent is exact.
    np.testing.assert_allclose(-2.0 * right, numeric, rtol=1e-3, atol=1e-3 * abs(numeric).max())


@pytest.mark.parametrize('name', NAMES)
def test_comparison_sums_agree_and_count_the_occluder(compiled, shapes, name):
    rotation = rotation_exp(np.array([0.3, 0.5, -0.2]))
    translation = np.array([0.0, 0.0, 0.4])
    depth = np.full((60, 80), 0.6, dtype=np.float32)
    depth[:, 40:] = 0.3
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:40, 20:40] = True
    depth[mask] = 0.38
    camera = np.array([300.0, 310.0, 40.0, 30.0, 0.0, 0.0])
    inputs = (depth, mask, camera, rotation, translation, shapes[name],
              np.array([0.01, 0.002, 0.006]))
    reference = kernels_numpy.compare(*inputs)
    np.testing.assert_allclose(compiled.compare(*inputs), reference, atol=1e-9)
    assert reference[3] > 200 and reference[1] > 200


def test_unknown_backend_names_the_known_ones():
    with pytest.raises(UnknownNameError, match='numpy'):
        load_kernels('cuda')
