# SPDX-License-Identifier: Apache-2.0
"""The scripted operator is repeatable, imprecise within its settings, and recovers."""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.core.se3 import quat_angle, quat_from_rotvec, quat_multiply, quat_rotate
from ocrrl_ros.sim.operator_config import OperatorConfig
from ocrrl_ros.sim.teleoperator import (
    DOWN, nearest_grasp_yaw, OperatorView, ScriptedOperator)
import pytest

START = np.array([0.307, 0.0, 0.487, *DOWN])


def cube_at(x: float, y: float, yaw: float) -> np.ndarray:
    """Return base_T_cube."""
    return np.array([x, y, 0.02, *quat_from_rotvec(np.array([0.0, 0.0, yaw]))])


def play(
        seed: int, cube: np.ndarray, *, config: OperatorConfig | None = None,
        slippery_tries: int = 0, ticks: int = 300):  # noqa: ANN201 (list of commands)
    """Let an operator act on a hand that follows perfectly and a cube that sticks to it."""
    operator = ScriptedOperator(np.random.default_rng(seed), config=config)
    tcp, opening, commands, cube = START, 1.0, [], cube.copy()
    for _ in range(ticks):
        command = operator.act(OperatorView(tcp, opening, cube))
        commands.append(command)
        tcp = command.base_T_tcp
        sticks = operator.regrasps >= slippery_tries
        inside = sticks and np.linalg.norm(tcp[:3] - cube[:3]) < 0.03
        rest = 1.0 if command.gripper > 0.5 else (0.5 if inside else 0.0)
        opening += np.clip(rest - opening, -0.07, 0.07)
        if command.phase == 'lift' and sticks:
            cube[:3] = tcp[:3]
        if command.phase == 'hold':
            break
    return commands, operator


def test_same_generator_gives_the_same_demonstration() -> None:
    cube = cube_at(0.5, 0.1, 0.3)
    one, other, third = (play(seed, cube)[0] for seed in (5, 5, 6))
    assert len(one) == len(other)
    for a, b in zip(one, other):
        np.testing.assert_array_equal(a.base_T_tcp, b.base_T_tcp)
        assert a.gripper == b.gripper
    assert len(one) != len(third) or not np.array_equal(
        one[20].base_T_tcp, third[20].base_T_tcp)


@pytest.mark.parametrize('seed', range(8))
def test_operator_lifts_and_moves_smoothly(seed: int) -> None:
    commands, operator = play(seed, cube_at(0.45, -0.1, -0.5))
    assert commands[-1].phase == 'hold' and operator.regrasps == 0
    assert commands[-1].base_T_tcp[2] > 0.1
    poses = np.array([command.base_T_tcp for command in commands])
    assert np.abs(np.diff(poses[:, :3], axis=0)).max() < 0.05
    assert quat_angle(poses[1:, 3:], poses[:-1, 3:]).max() < 0.15
    np.testing.assert_allclose(np.linalg.norm(poses[:, 3:], axis=1), 1.0, atol=1e-9)
    assert poses[:, 2].min() > 0.0


def test_grip_error_is_spread_as_configured() -> None:
    cube = cube_at(0.5, 0.0, 0.2)
    config = OperatorConfig(correction_share=0.0, tremor_m=0.0, grip_offset_s=0.0)
    errors = []
    for seed in range(150):
        commands, _ = play(seed, cube, config=config)
        grip = next(command for command in commands if command.gripper < 0.5)
        errors.append(grip.base_T_tcp[:2] - cube[:2])
    spread = np.std(errors, axis=0)
    np.testing.assert_allclose(spread, config.lateral_error_m, rtol=0.2)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.0015


def test_operator_without_error_grips_the_centre() -> None:
    cube = cube_at(0.55, 0.12, -0.4)
    config = OperatorConfig(lateral_error_m=0.0, depth_error_m=0.0, yaw_error_rad=0.0,
                            tremor_m=0.0)
    commands, _ = play(3, cube, config=config)
    closed = next(command for command in commands if command.phase == 'close')
    np.testing.assert_allclose(closed.base_T_tcp[:3], cube[:3], atol=1e-9)
    fingers = quat_rotate(closed.base_T_tcp[3:], np.array([0.0, 1.0, 0.0]))
    faces = quat_rotate(cube[3:], np.eye(3))
    assert np.abs(faces @ fingers).max() > 1 - 1e-9


def test_operator_tries_again_after_closing_on_nothing() -> None:
    commands, operator = play(2, cube_at(0.5, 0.0, 0.0), slippery_tries=1, ticks=500)
    assert operator.regrasps == 1 and commands[-1].phase == 'hold'
    switches = np.diff([command.gripper for command in commands])
    assert (switches < 0).sum() == 2 and (switches > 0).sum() == 1


def test_demonstrations_vary_in_length_and_path() -> None:
    cube = cube_at(0.5, 0.0, 0.0)
    runs = [play(seed, cube)[0] for seed in range(20)]
    lengths = [len(run) for run in runs]
    assert np.std(lengths) > 5
    sideways = [max(abs(command.base_T_tcp[1]) for command in run) for run in runs]
    assert np.std(sideways) > 0.002


@pytest.mark.parametrize('yaw', np.radians([-44.0, -20.0, 0.0, 30.0, 44.0]))
@pytest.mark.parametrize('quarter', range(4))
def test_grasp_yaw_needs_at_most_an_eighth_turn(yaw: float, quarter: int) -> None:
    cube = quat_from_rotvec(np.array([0.0, 0.0, yaw + quarter * np.pi / 2]))
    assert nearest_grasp_yaw(cube, DOWN) == pytest.approx(yaw, abs=1e-9)


def test_grasp_yaw_of_a_cube_on_another_face_is_the_same() -> None:
    yaw = quat_from_rotvec(np.array([0.0, 0.0, 0.3]))
    tipped = quat_multiply(yaw, quat_from_rotvec(np.array([np.pi / 2, 0.0, 0.0])))
    assert nearest_grasp_yaw(tipped, DOWN) == pytest.approx(0.3, abs=1e-9)


def test_view_with_nan_is_refused() -> None:
    operator = ScriptedOperator(np.random.default_rng(0))
    with pytest.raises(InputError, match='must be finite'):
        operator.act(OperatorView(START, float('nan'), cube_at(0.5, 0.0, 0.0)))


@pytest.mark.parametrize(('change', 'message'), [
    ({'lateral_error_m': -0.1}, 'lateral_error_m is -0.1; allowed: 0 .. inf'),
    ({'correction_share': 1.2}, 'correction_share is 1.2; allowed: 0 .. 1'),
    ({'speed_m_s': 0.0}, 'speed_m_s is 0.0; allowed: > 0'),
])
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OperatorConfig(**change)
