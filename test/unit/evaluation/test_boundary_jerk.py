# SPDX-License-Identifier: Apache-2.0
"""Jerk where one chunk takes over from another, shaped and as a direct publisher sends it."""
import numpy as np
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.evaluation.boundary_jerk import (
    bench_boundary_jerk, boundary_peaks, BoundaryJerkConfig, compare_peaks, DirectPublisher,
    TwoStreams)
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.command import Command
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.arm_state import ArmState
import pytest

READY = np.array(READY_POSITION, dtype=float)
RATE_HZ = 200.0


def line(stamp_s: float, offset_m: float) -> ActionChunk:
    """Plan 0.75 s along y at 0.1 m/s, beside the ready posture by an offset along x."""
    poses = np.tile(FrankaKinematics().forward(READY), (16, 1))
    poses[:, 0] += offset_m
    poses[:, 1] += 0.1 * (stamp_s + 0.05 * np.arange(16))
    return ActionChunk(stamp_s, 0.05, poses, np.ones(16))


def arm_state(stamp_s: float, q: np.ndarray, dq: np.ndarray) -> ArmState:
    """Return what an arm without load and with an open hand reports."""
    return ArmState(
        stamp_s=stamp_s, q=q, dq=dq, tau=np.zeros(7), tau_external=np.zeros(7),
        finger_positions=np.full(2, 0.04), finger_velocities=np.zeros(2))


def streamed(chunks: dict[float, ActionChunk], end_s: float) -> TwoStreams:
    """Run the node's controller with an arm that follows exactly; chunks come at their times."""
    controller, hook = build_controller('cube_lift', None), TwoStreams(FrankaKinematics())
    q, dq = READY, np.zeros(7)
    for tick in range(round(end_s * RATE_HZ)):
        now_s = tick / RATE_HZ
        hook.take_state(controller, arm_state(now_s, q, dq), now_s)
        if tick == 0:
            controller.start_episode(now_s)
        hook.step_s(1.0 / RATE_HZ, now_s)
        command = controller.command_tick(1.0 / RATE_HZ)
        hook.on_command(command)
        if command is not None:
            q, dq = command.q, command.dq
        hook.take_chunk(controller, chunks.get(now_s), now_s)
        if tick % 4 == 0:
            controller.policy_tick(now_s)
    return hook


def test_the_same_chunks_jump_when_sent_directly_and_stay_inside_the_limit_when_shaped() -> None:
    """A plan that begins 20 mm beside the last one: the usual case for an arm that lags."""
    hook = streamed({0.1: line(0.0, 0.0), 0.5: line(0.4, 0.02)}, 1.0)
    assert hook.boundaries == [101]
    shaped, direct = (
        boundary_peaks(joints, hook.boundaries, RATE_HZ, 0.1)
        for joints in (hook.shaped, hook.direct))
    result = compare_peaks(shaped, direct)
    kinematics = FrankaKinematics()
    before, after = (kinematics.forward(hook.direct[tick])[0] for tick in (100, 101))
    assert after - before == pytest.approx(0.02, abs=1e-4)
    assert result['is_inside_limit'] and result['ratio'] > 20.0 and result['passed']


def test_peaks_are_those_of_the_window_alone() -> None:
    """A jump of 0.01 rad is a third difference of up to 0.03 rad, at 1/200 s."""
    joints = np.zeros((100, 7))
    joints[50:, 3] += 0.01
    at, before, after = boundary_peaks(joints, [50, 20, 54], RATE_HZ, 0.1)
    assert at == pytest.approx(0.02 * RATE_HZ ** 3)
    assert before == after == 0.0


def test_a_new_beginning_is_no_jump_and_too_few_commands_no_peak() -> None:
    """What is before a restart and what is after it are no one motion."""
    hook = TwoStreams(FrankaKinematics())
    controller = build_controller('cube_lift', None)
    hook.take_state(controller, arm_state(0.0, READY, np.zeros(7)), 0.0)
    for tick in range(20):
        hook.on_command(Command(
            READY + 0.1 * (tick >= 10), np.zeros(7), 1.0, is_restart=tick in (0, 10)))
    assert boundary_peaks(hook.shaped, [10], RATE_HZ, 0.1)[0] == 0.0
    assert np.isnan(boundary_peaks(hook.direct, [10], RATE_HZ, 0.1)[0])


def test_a_direct_publisher_sends_the_plan_of_now_and_stays_at_its_end() -> None:
    """Nothing before its first chunk."""
    kinematics = FrankaKinematics()
    publisher = DirectPublisher(kinematics, READY)
    assert publisher.target(0.0) is None
    publisher.take(line(0.0, 0.0))
    start = kinematics.forward(READY)[1]
    for now_s, expected in ((0.125, 0.0125), (0.75, 0.075), (5.0, 0.075)):
        y = kinematics.forward(publisher.target(now_s))[1]
        assert y - start == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(('shaped', 'direct', 'passed'), [
    (4000.0, 80_000.0, True), (4000.0, 79_000.0, False), (5100.0, 1e6, False)])
def test_both_the_ratio_and_the_limit_are_asked_for(
        shaped: float, direct: float, passed: bool) -> None:
    """Peaks are compared over the same boundaries."""
    result = compare_peaks(
        np.array([10.0, shaped, np.nan]), np.array([20.0, direct, 1e9]))
    assert (result['boundaries'], result['passed']) == (2, passed)


def test_streams_without_a_boundary_are_an_error() -> None:
    """As in an episode that ends before its second chunk."""
    with pytest.raises(OcrrlError, match='no chunk took over'):
        compare_peaks(np.full(2, np.nan), np.zeros(2))


@pytest.mark.parametrize('wrong', [
    {'episodes': 0}, {'rate_hz': 150.0}, {'window_s': 0.0}])
def test_wrong_settings_are_refused_by_name(wrong: dict[str, float]) -> None:
    """Before anything runs."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BoundaryJerkConfig(**wrong)


def test_an_episode_of_the_expert_has_boundaries() -> None:
    """The whole way, from names to the verdict."""
    result = bench_boundary_jerk(BoundaryJerkConfig(task='close_drawer', episodes=1))
    assert result['boundaries'] > 3
    assert result['base_sha256'] == 'expert'
    assert result['passed']
