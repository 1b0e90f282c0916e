# SPDX-License-Identifier: Apache-2.0
"""The residual is taken back by what it has not seen and by unsure poses, without a jump."""

from hypothesis import given, settings, strategies
import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.core.resources import bundle_path
from ocrrl_ros.core.se3 import quat_from_rotvec
from ocrrl_ros.policy.assembly import load_residual
from ocrrl_ros.policy.blend import (
    BlendConfig, BlendFactors, MAX_STEP_S, ObservationSpread, pose_sigmas, ResidualBlend)
from onnx import helper, numpy_helper, TensorProto
import pytest

TICK_S = 0.02
ACTION = np.array([0.5, -0.3, 0.1, 0.0, 0.2, 0.0, -0.4])
POSE = np.array([0.5, 0.0, 0.1, 0.0, 0.0, 0.0, 1.0])
SPREAD = ObservationSpread(np.array([1.0, -2.0, 0.0]), np.array([10.0, 1.0, 4.0]))
MEAN = SPREAD.shift[None]
FIELDS = [('base_tcp_position', 1), ('cube.tcp_object_position', 2)]


def covariance(position_m=0.0, rotation_rad=(0.0, 0.0, 0.0)):
    """Make 36 numbers of standard deviations per axis."""
    sigmas = np.concatenate([np.full(3, position_m), np.broadcast_to(rotation_rad, 3)])
    return np.diag(sigmas ** 2).ravel()


def off_by(deviations, entry=0):
    """Return an observation (1, 3) of which one entry is that many deviations off."""
    observation = MEAN.copy()
    observation[0, entry] += deviations / SPREAD.scale[entry]
    return observation


class Ticker:
    """A blend with a clock."""

    def __init__(self, symmetries=('none',), **config):
        """Start an episode."""
        self.blend = ResidualBlend(BlendConfig(**config), symmetries, SPREAD)
        self.now_s = 0.0

    def run(self, seconds, observation=MEAN, action=ACTION):
        """Tick for a while; return actions (T, 7) and weights (T,)."""
        found = []
        for _ in range(round(seconds / TICK_S)):
            found.append(self.blend.apply(action, 1.0, observation, self.now_s))
            self.now_s += TICK_S
        return np.array([one for one, _ in found]), np.array([one for _, one in found])


def test_in_training_with_certain_poses_nothing_is_changed():
    ticker = Ticker()
    ticker.blend.on_object_pose(0, POSE, np.zeros(36))
    actions, weights = ticker.run(3.0, off_by(7.9))
    assert (weights == 1.0).all() and (actions == ACTION).all()
    assert ticker.blend.factors == BlendFactors()


@pytest.mark.parametrize(('deviations', 'left'), [(9.0, 0.5), (-9.5, 0.25), (100.0, 0.0)])
@pytest.mark.parametrize('entry', range(3))
def test_an_observation_far_from_training_takes_the_residual_back(deviations, left, entry):
    ticker = Ticker()
    _, weights = ticker.run(4.0, off_by(deviations, entry))
    assert weights[0] == 1.0 and weights[-1] == pytest.approx(left, abs=1e-3)
    assert ticker.blend.factors.novelty == weights[-1] and ticker.blend.factors.poses == 1.0


def test_the_place_of_an_object_counts_for_more():
    spread = ObservationSpread(SPREAD.shift, SPREAD.scale, np.array([False, True, False]))
    for entry, left in ((0, 1.0), (1, 0.5)):
        ticker = Ticker(place_factor=1.5)
        ticker.blend = ResidualBlend(ticker.blend.config, ('none',), spread)
        assert ticker.run(4.0, off_by(6.0, entry))[1][-1] == pytest.approx(left, abs=1e-3)


def test_a_single_odd_observation_is_not_enough():
    ticker = Ticker()
    ticker.run(1.0)
    _, weights = ticker.run(TICK_S, off_by(1e6))
    _, after = ticker.run(1.0)
    assert (np.concatenate([weights, after]) == 1.0).all()


def test_weight_comes_back_exactly():
    ticker = Ticker()
    ticker.run(3.0, off_by(1e9))
    _, weights = ticker.run(3.0)
    assert weights[0] == 0.0 and weights[-1] == 1.0
    assert np.diff(weights).max() <= TICK_S / ticker.blend.config.rise_s + 1e-12


def test_without_known_training_nothing_is_novel():
    blend = ResidualBlend(BlendConfig(), ('none',))
    assert blend.apply(ACTION, 1.0, np.full((1, 3), 1e9), 0.0) == (pytest.approx(ACTION), 1.0)
    assert blend.apply(ACTION, 1.0, np.full((1, 3), 1e9), 5.0)[1] == 1.0


@pytest.mark.parametrize(('told', 'left'), [
    (covariance(0.0115), 1.0), (covariance(0.035 / np.sqrt(3.0)), 0.5), (covariance(0.1), 0.0),
    (covariance(rotation_rad=0.11), 1.0), (covariance(rotation_rad=(0.4, 0.0, 0.0)), 0.5),
    (covariance(rotation_rad=(0.0, 0.0, 2.0)), 0.0)])
def test_unsure_poses_take_the_residual_back(told, left):
    ticker = Ticker()
    ticker.blend.on_object_pose(0, POSE, told)
    _, weights = ticker.run(2.0)
    assert weights[-1] == pytest.approx(left, abs=1e-9)
    assert ticker.blend.factors.poses == weights[-1]


@pytest.mark.parametrize('told', [
    np.full(36, np.nan), covariance() - 1e-6, np.where(np.eye(6).ravel() > 0, np.inf, 0.0)])
def test_what_is_no_covariance_is_no_certainty(told):
    ticker = Ticker()
    ticker.blend.on_object_pose(0, POSE, told)
    assert ticker.run(1.0)[1][-1] == 0.0


def test_the_worst_object_counts_until_its_next_pose():
    ticker = Ticker(('none', 'none'))
    ticker.blend.on_object_pose(0, POSE, np.zeros(36))
    ticker.blend.on_object_pose(1, POSE, covariance(1.0))
    ticker.blend.on_object_pose(0, POSE, np.zeros(36))
    assert ticker.run(1.0)[1][-1] == 0.0
    ticker.blend.on_object_pose(1, POSE, np.zeros(36))
    assert ticker.run(2.0)[1][-1] == 1.0


@pytest.mark.parametrize('symmetry', ['revolution', 'cylinder'])
def test_invisible_turns_do_not_count_but_tilts_do(symmetry):
    turn = np.array([0.0, 1.2, 0.0])
    lying = np.concatenate([POSE[:3], quat_from_rotvec(turn)])
    axis = np.array([np.sin(1.2), 0.0, np.cos(1.2)])
    for direction, left in ((axis, 1.0), (np.array([0.0, 1.0, 0.0]), 0.0)):
        told = np.zeros((6, 6))
        told[3:, 3:] = 1.8 ** 2 * np.outer(direction, direction)
        ticker = Ticker((symmetry,))
        ticker.blend.on_object_pose(0, lying, told.ravel())
        assert ticker.run(2.0)[1][-1] == left


def test_sigmas_are_lengths_whatever_the_frame():
    told = np.zeros((6, 6))
    told[:3, :3] = 0.01 ** 2 * np.full((3, 3), 1.0 / 3.0)
    assert pose_sigmas(POSE, told, False) == (pytest.approx(0.01), 0.0)


def test_a_new_episode_starts_with_the_whole_residual():
    ticker = Ticker()
    ticker.blend.on_object_pose(0, POSE, covariance(1.0))
    ticker.run(1.0, off_by(1e9))
    ticker.blend.reset()
    assert ticker.run(0.5)[1].min() == 1.0


def test_after_a_pause_the_weight_moves_on_from_where_it_was():
    ticker = Ticker(fall_s=1.0)
    ticker.run(0.1)
    ticker.blend.on_object_pose(0, POSE, covariance(1.0))
    ticker.now_s += 60.0
    assert ticker.run(TICK_S)[1][0] == pytest.approx(1.0 - MAX_STEP_S)


def test_switched_off_it_changes_nothing():
    ticker = Ticker(enabled=False)
    ticker.blend.on_object_pose(0, POSE, covariance(1.0))
    actions, weights = ticker.run(1.0, off_by(1e9))
    assert (weights == 1.0).all() and (actions == ACTION).all()


@settings(max_examples=60, deadline=None)
@given(strategies.lists(strategies.tuples(
    strategies.floats(-1e6, 1e6), strategies.floats(0.0, 1.0), strategies.floats(0.0, 0.2)),
    min_size=2, max_size=60))
def test_weights_stay_in_0_to_1_and_move_no_faster_than_set(ticks):
    blend = ResidualBlend(BlendConfig(), ('none',), SPREAD)
    now_s, last = 0.0, 1.0
    for deviations, sigma_m, step_s in ticks:
        now_s += step_s
        blend.on_object_pose(0, POSE, covariance(sigma_m))
        _, weight = blend.apply(ACTION, 1.0, off_by(deviations), now_s)
        step_s = min(step_s, MAX_STEP_S)
        assert 0.0 <= weight <= 1.0
        # The weight is a product of two factors, each of which moves that fast.
        assert weight >= last - 2.0 * step_s / blend.config.fall_s - 1e-9
        assert weight <= last + 2.0 * step_s / blend.config.rise_s + 1e-9
        last = weight


@pytest.mark.parametrize('changes', [
    {'deviation_ordinary': 10.0}, {'position_sigma_zero_m': 0.01},
    {'rotation_sigma_ordinary_rad': -0.1}, {'place_factor': 0.9}, {'fall_s': 0.0},
    {'rise_s': np.nan}])
def test_settings_that_cannot_work_are_refused_by_name(changes):
    with pytest.raises(ConfigError, match=f'{next(iter(changes))} .*allowed'):
        BlendConfig(**changes)


def test_shipped_residuals_tell_where_their_training_lay():
    for task in ('cube_lift', 'stand_cup'):
        residual, _ = load_residual(bundle_path(f'models/residual_{task}'), task)
        assert residual.spread.shift.shape == (residual.layout.size,)
        height = residual.spread.shift[residual.layout.slices()['base_tcp_position']][2]
        assert 0.0 < height < 0.6


def model(tmp_path, **tensors):
    """Write an ONNX model that holds the given constants."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node('Identity', ['observation'], ['action'])], 'made_up',
        [value('observation', TensorProto.FLOAT, ['n', 3])],
        [value('action', TensorProto.FLOAT, ['n', 3])],
        [numpy_helper.from_array(np.asarray(item, np.float32), name.replace('__', '.'))
         for name, item in tensors.items()])
    path = tmp_path / 'policy.onnx'
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_spread_is_read_from_the_model(tmp_path):
    path = model(tmp_path, normalizer__shift=[1, 2, 3], normalizer__scale=[4, 5, 6], other=[7])
    spread = ObservationSpread.from_model(path.read_bytes(), FIELDS, 'policy.onnx')
    assert spread.shift.tolist() == [1, 2, 3] and spread.scale.tolist() == [4, 5, 6]
    assert spread.places.tolist() == [False, True, True]


def test_a_model_without_normaliser_tells_nothing(tmp_path):
    assert ObservationSpread.from_model(
        model(tmp_path, other=[7]).read_bytes(), FIELDS, 'policy.onnx') is None


@pytest.mark.parametrize('scale', [[1, 1], [1, 0, 1], [1, np.nan, 1]])
def test_a_normaliser_of_another_observation_is_refused(tmp_path, scale):
    path = model(tmp_path, normalizer__shift=[0, 0, 0], normalizer__scale=scale)
    with pytest.raises(BundleError, match='policy.onnx normalises.*needed: 3'):
        ObservationSpread.from_model(path.read_bytes(), FIELDS, 'policy.onnx')


def test_what_is_no_model_is_refused(tmp_path):
    path = tmp_path / 'policy.onnx'
    path.write_bytes(b'no model')
    with pytest.raises(BundleError, match='is no ONNX model'):
        ObservationSpread.from_model(path.read_bytes(), FIELDS, 'policy.onnx')
