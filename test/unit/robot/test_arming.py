# SPDX-License-Identifier: Apache-2.0
"""Each check before the arm moves: at its limit it passes, beyond it refuses by name."""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.core.se3 import quat_from_rotvec, quat_multiply
from ocrrl_ros.robot.arming import check_arm
from ocrrl_ros.robot.arming_config import ArmingConfig, FACTS, REQUIRED
from ocrrl_ros.robot.arming_facts import (
    ArmObservation, ControllerSample, Finding, JointSample, PayloadSample, PoseSample)
from ocrrl_ros.robot.crisp_parameters import needed_parameters, parameter_mismatches
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.robot_config import load_robot, RobotConfig
import pytest
import yaml

Q = np.array(READY_POSITION)
KINEMATICS = FrankaKinematics()
TCP = KINEMATICS.forward(Q)
EFFORTS = tuple(f'{joint}/effort' for joint in ARM_JOINT_NAMES)
REAL = ArmingConfig(arm='franka_ros2')
FCI = ArmingConfig(arm='fci')
WEIGHTS = (150.0, 150.0, 150.0, 150.0, 50.0, 30.0, 10.0)
# Written out, as a YAML file of the controllers has it.
JOINT_ROLE = {
    'joints': list(ARM_JOINT_NAMES), 'nullspace.stiffness': 5.0, 'nullspace.damping': -1.0,
    'nullspace.projector_type': 'none', 'nullspace.max_tau': 40.0, 'max_delta_tau': 0.5,
    'limit_torques': True, 'stop_commands': False, 'use_gravity_compensation': False,
    'variable_stiffness.enabled': False,
    **{f'task.{gain}_{part}_{axis}': value for gain, value in (('k', 0.0), ('d', -1.0))
       for part in ('pos', 'rot') for axis in 'xyz'},
    **{f'nullspace.weights.{joint}.value': weight
       for joint, weight in zip(ARM_JOINT_NAMES, WEIGHTS)}}
POSE_ROLE = {
    'joints': list(ARM_JOINT_NAMES), 'nullspace.stiffness': 5.0, 'nullspace.max_tau': 5.0,
    'max_delta_tau': 0.5, 'limit_torques': True, 'limit_error': True, 'stop_commands': False,
    'use_gravity_compensation': False, 'use_operational_space': False, 'base_frame': 'base',
    'end_effector_frame': 'fr3_hand_tcp',
    **{f'task.k_pos_{axis}': 600.0 for axis in 'xyz'},
    **{f'task.k_rot_{axis}': 30.0 for axis in 'xyz'},
    **{f'task.d_{part}_{axis}': -1.0 for part in ('pos', 'rot') for axis in 'xyz'},
    **{f'task.error_clip.{axis}': 0.1 for axis in 'xyz'},
    **{f'task.error_clip.r{axis}': 0.5 for axis in 'xyz'}}


def pose_off(distance_m: float = 0.0, angle_deg: float = 0.0, frame: str = 'base') -> PoseSample:
    """Return a pose that far from the TCP at Q, stamp 10 s."""
    turn = quat_from_rotvec(np.array([0.0, math.radians(angle_deg), 0.0]))
    return PoseSample(
        frame_T_tcp=np.concatenate(
            [TCP[:3] + [0.0, distance_m, 0.0], quat_multiply(turn, TCP[3:])]),
        frame=frame, stamp_s=10.0)


def seen(**changes: object) -> ArmObservation:
    """Return an arm with which all is well."""
    return replace(ArmObservation(
        now_s=10.0, joints=JointSample(q=Q, dq=np.zeros(7), stamp_s=10.0), pose=pose_off(),
        own_pose=pose_off(), ee_offset_m=0.0, offsets_s={'current_pose': 0.001},
        controllers=(
            ControllerSample(name='joint_state_broadcaster', state='active'),
            ControllerSample(
                name='joint_impedance_controller', state='active', claimed=EFFORTS),
            ControllerSample(name='joint_trajectory_controller', state='inactive')),
        parameters=JOINT_ROLE, parameter_source='joint_impedance_controller',
        payload=PayloadSample(ee_mass_kg=0.73, load_mass_kg=0.0),
        publishers={'target_joint': ('/residual_policy',)}, homed='yes', mode='move',
        phase='idle'), **changes)


def finding(fact: str, config: ArmingConfig = REAL, **changes: object) -> Finding:
    """Return what is found of one fact, and check that nothing else is wrong."""
    report = check_arm(seen(**changes), config, RobotConfig(), KINEMATICS)
    assert [found.fact for found in report.findings] == list(FACTS)
    by_fact = {found.fact: found for found in report.findings}
    assert all(
        found.verdict in ('ok', 'not needed') for found in report.findings
        if found.fact != fact), report.blocking
    return by_fact[fact]


@pytest.mark.parametrize('arm', REQUIRED)
def test_an_arm_with_which_all_is_well_may_move(arm: str) -> None:
    """Each kind of arm, with exactly what it requires looked at."""
    report = check_arm(seen(), ArmingConfig(arm=arm), RobotConfig(), KINEMATICS)
    assert report.blocking == []
    assert tuple(found.fact for found in report.of('ok')) == REQUIRED[arm]


@pytest.mark.parametrize(('fact', 'field'), [('kinematics', 'pose'), ('end_effector', 'own_pose')])
@pytest.mark.parametrize(('distance_m', 'angle_deg', 'verdict'), [
    (1e-3, 0.0, 'ok'), (0.0, 0.5, 'ok'), (1.01e-3, 0.0, 'refused'), (0.0, 0.51, 'refused')])
def test_a_pose_may_be_a_millimetre_and_half_a_degree_off(
        fact: str, field: str, distance_m: float, angle_deg: float, verdict: str) -> None:
    """Both poses: CRISP's and the robot's own."""
    found = finding(fact, **{field: pose_off(distance_m, angle_deg)})
    assert found.verdict == verdict
    assert 'allowed: 1 mm and 0.5 deg' in found.text


def test_a_pose_in_another_frame_is_refused_by_the_frames_name() -> None:
    """It would be right by chance only."""
    found = finding('kinematics', pose=pose_off(frame='world'))
    assert found.verdict == 'refused'
    assert "'world'" in found.text and "'base'" in found.text


def test_joints_are_carried_on_to_the_stamp_of_the_pose() -> None:
    """An arm in motion is no arm with a wrong model."""
    dq = np.full(7, 0.3)
    joints = JointSample(q=Q - 0.04 * dq, dq=dq, stamp_s=9.96)
    assert finding('kinematics', joints=joints, own_pose=None, config=ArmingConfig(
        arm='sim')).verdict == 'ok'
    still = replace(joints, dq=np.zeros(7))
    assert finding('kinematics', joints=still, config=ArmingConfig(
        arm='sim')).verdict == 'refused'


def test_stamps_too_far_apart_cannot_be_compared() -> None:
    """Nobody knows where the arm was then."""
    joints = JointSample(q=Q, dq=np.zeros(7), stamp_s=9.8)
    found = finding('kinematics', joints=joints, config=ArmingConfig(arm='sim'))
    assert found.verdict == 'unknown' and '200 ms apart' in found.text


@pytest.mark.parametrize(('offset_s', 'verdict'), [
    (0.02, 'ok'), (-0.02, 'ok'), (0.021, 'refused'), (-0.021, 'refused')])
def test_stamps_may_be_twenty_milliseconds_off_either_way(
        offset_s: float, verdict: str) -> None:
    """The worst of the topics counts, and is named."""
    found = finding('stamps', offsets_s={'current_pose': 0.0, 'franka/joint_states': offset_s})
    assert found.verdict == verdict
    assert f'franka/joint_states {1e3 * offset_s:+.1f} ms' in found.text


def controller(name: str, state: str = 'active', claimed: tuple[str, ...] = EFFORTS):
    """Return a controller of ros2_control."""
    return ControllerSample(name=name, state=state, claimed=claimed)


@pytest.mark.parametrize(('controllers', 'named'), [
    ((controller('joint_impedance_controller', 'inactive', ()),), 'none that moves the arm'),
    ((), 'none that moves the arm'),
    ((controller('joint_trajectory_controller'),), 'joint_trajectory_controller (7 of effort)'),
    ((controller('joint_impedance_controller'), controller(
        'vel', claimed=('vx/cartesian_velocity',))), 'vel (1 of cartesian_velocity)'),
    ((controller('joint_impedance_controller', claimed=EFFORTS[:6]),), '6 of effort'),
    ((controller('joint_impedance_controller', claimed=tuple(
        f'{joint}/position' for joint in ARM_JOINT_NAMES)),), '7 of position'),
    ((controller('joint_impedance_controller', claimed=()),), 'no command interface')])
def test_another_controller_than_ours_with_all_efforts_is_refused(
        controllers: tuple[ControllerSample, ...], named: str) -> None:
    """The refusal names who has the arm, and the command that changes it."""
    found = finding('controller', controllers=controllers)
    assert found.verdict == 'refused' and named in found.text
    assert 'joint_impedance_controller' in found.text and found.remedy


def test_the_controller_follows_the_topic_of_targets_or_the_operator() -> None:
    """target_pose wants the Cartesian one; other names may be given."""
    pose = ArmingConfig(arm='franka_ros2', target='target_pose')
    theirs = (controller('cartesian_impedance_controller'),)
    assert finding(
        'controller', pose, controllers=theirs, parameters=POSE_ROLE,
        publishers={'target_pose': ('/residual_policy',)}).verdict == 'ok'
    named = replace(REAL, controllers=('mine',))
    assert finding('controller', named, controllers=(controller('mine'),)).verdict == 'ok'
    assert finding('controller', named).verdict == 'refused'


@pytest.mark.parametrize(('name', 'value', 'verdict'), [
    ('nullspace.stiffness', 5.09, 'ok'), ('nullspace.stiffness', 5.11, 'refused'),
    ('nullspace.weights.fr3_joint5.value', 49.01, 'ok'),
    ('nullspace.weights.fr3_joint5.value', 48.9, 'refused'),
    ('nullspace.damping', 0.0, 'ok'), ('nullspace.damping', 0.5, 'refused'),
    ('nullspace.max_tau', 87.0, 'ok'), ('nullspace.max_tau', 39.9, 'refused'),
    ('nullspace.projector_type', 'kinematic', 'refused'),
    ('task.k_pos_x', 0.1, 'refused'), ('task.d_rot_z', 0.1, 'refused'),
    ('task.d_rot_z', 0.0, 'ok'),
    ('max_delta_tau', 0.509, 'ok'), ('max_delta_tau', 0.52, 'refused'),
    ('max_delta_tau', 0.4, 'refused'), ('limit_torques', False, 'refused'),
    ('stop_commands', True, 'refused'), ('use_gravity_compensation', True, 'refused'),
    ('variable_stiffness.enabled', True, 'refused'),
    ('joints', list(reversed(ARM_JOINT_NAMES)), 'refused')])
def test_gains_and_clips_of_the_joint_role(name: str, value: object, verdict: str) -> None:
    """Two percent are allowed; the parameter is named."""
    found = finding('gains', parameters=JOINT_ROLE | {name: value})
    assert found.verdict == verdict
    if verdict == 'refused':
        part = 'damping' if name == 'nullspace.damping' else name
        assert part in found.text and 'joint_impedance_controller' in found.text


@pytest.mark.parametrize(('name', 'value', 'verdict'), [
    ('task.k_pos_y', 588.1, 'ok'), ('task.k_pos_y', 400.0, 'refused'),
    ('task.k_rot_x', 31.0, 'refused'), ('task.d_pos_x', 49.0, 'ok'),
    ('task.d_pos_x', 60.0, 'refused'), ('task.error_clip.z', 0.01, 'refused'),
    ('task.error_clip.rx', 0.08, 'refused'), ('limit_error', False, 'refused'),
    ('use_operational_space', True, 'refused'), ('end_effector_frame', 'fr3_link8', 'refused'),
    ('base_frame', '', 'refused'), ('nullspace.max_tau', 20.0, 'refused')])
def test_gains_and_clips_of_the_cartesian_role(name: str, value: object, verdict: str) -> None:
    """The same for target_pose."""
    config = ArmingConfig(arm='franka_ros2', target='target_pose')
    found = finding(
        'gains', config, parameters=POSE_ROLE | {name: value},
        controllers=(controller('cartesian_impedance_controller'),),
        publishers={'target_pose': ('/residual_policy',)})
    assert found.verdict == verdict
    assert verdict == 'ok' or name in found.text


def test_what_ships_with_pixi_franka_ros2_is_not_the_law_of_training() -> None:
    """Its joint role has damping 0.5 * weights and clips at 5 Nm."""
    shipped = JOINT_ROLE | {'nullspace.damping': 0.5, 'nullspace.max_tau': 5.0}
    text = finding('gains', parameters=shipped).text
    assert 'nullspace.max_tau is 5, allowed: >= 40' in text
    assert 'damping of fr3_joint1 (nullspace.damping * weight) is 75, allowed: 54.77' in text


def test_a_parameter_that_the_controller_lacks_is_named_and_not_guessed() -> None:
    """An older controller without variable stiffness is complete without it."""
    lacking = {name: value for name, value in JOINT_ROLE.items() if name != 'stop_commands'}
    found = finding('gains', parameters=lacking)
    assert found.verdict == 'unknown' and 'has no stop_commands' in found.text
    older = {name: value for name, value in JOINT_ROLE.items() if 'variable' not in name}
    assert finding('gains', parameters=older).verdict == 'ok'


@pytest.mark.parametrize(('target', 'complete'), [
    ('target_joint', JOINT_ROLE), ('target_pose', POSE_ROLE)])
def test_every_parameter_that_is_looked_at_is_asked_for(
        target: str, complete: dict[str, object]) -> None:
    """What is asked for is what stands in a file, and the switch that older ones lack."""
    names = needed_parameters(ArmingConfig(target=target), RobotConfig())
    assert set(names) == set(complete) | {'variable_stiffness.enabled'}
    assert len(names) == len(set(names))


@pytest.mark.parametrize(('ee_kg', 'load_kg', 'verdict'), [
    (0.73, 0.0, 'ok'), (0.83, 0.0, 'ok'), (0.0, 0.63, 'ok'), (0.0, 0.0, 'refused'),
    (0.84, 0.0, 'refused'), (0.73, 0.2, 'refused')])
@pytest.mark.parametrize('config', [REAL, FCI])
def test_the_robot_has_to_know_the_mass_that_it_carries(
        config: ArmingConfig, ee_kg: float, load_kg: float, verdict: str) -> None:
    """No payload, and one that is not there."""
    payload = PayloadSample(ee_mass_kg=ee_kg, load_mass_kg=load_kg)
    assert finding('payload', config, payload=payload).verdict == verdict


def test_a_load_that_the_operator_names_is_expected() -> None:
    """Such as a camera on the hand."""
    config = replace(REAL, load_mass_kg=0.3)
    assert finding('payload', config).verdict == 'refused'
    known = PayloadSample(ee_mass_kg=0.73, load_mass_kg=0.3)
    assert finding('payload', config, payload=known).verdict == 'ok'


@pytest.mark.parametrize(('publishers', 'verdict', 'named'), [
    ({}, 'ok', 'none yet'), ({'target_joint': ('/a',)}, 'ok', '/a'),
    ({'target_joint': ('/b', '/a')}, 'refused', '2 publishers on target_joint (/a, /b)'),
    ({'target_joint': ('/a',), 'target_wrench': ('/b',)}, 'refused', 'target_wrench (/b)'),
    ({'target_pose': ('/b',)}, 'refused', 'target_pose (/b)')])
@pytest.mark.parametrize('arm', REQUIRED)
def test_one_node_may_publish_targets_on_one_topic(
        arm: str, publishers: dict[str, tuple[str, ...]], verdict: str, named: str) -> None:
    """A second one is named, on this topic or on another that moves the arm."""
    found = finding('publishers', ArmingConfig(arm=arm), publishers=publishers)
    assert found.verdict == verdict and named in found.text


@pytest.mark.parametrize(('homed', 'verdict'), [
    ('yes', 'ok'), ('not offered', 'ok'), ('no', 'refused'), ('unknown', 'unknown'),
    (None, 'unknown')])
def test_the_hand_has_to_be_homed(homed: str | None, verdict: str) -> None:
    """What the node does not know is unknown; the remedy is the service."""
    found = finding('gripper', homed=homed)
    assert found.verdict == verdict
    assert verdict == 'ok' or homed is None or 'gripper/home' in found.text


@pytest.mark.parametrize(('mode', 'verdict'), [
    ('move', 'ok'), ('idle', 'refused'), ('reflex', 'refused'), ('user_stopped', 'refused'),
    (None, 'unknown')])
def test_the_robot_has_to_be_in_motion_mode(mode: str | None, verdict: str) -> None:
    """With a controller active that is its mode at rest, too."""
    assert finding('mode', mode=mode).verdict == verdict


@pytest.mark.parametrize(('phase', 'verdict'), [
    ('idle', 'ok'), ('holding', 'ok'), ('stopped', 'refused'), ('lost', 'refused'),
    ('connecting', 'refused'), (None, 'unknown')])
def test_fci_arm_has_to_take_targets(phase: str | None, verdict: str) -> None:
    """A latched stop refuses, with what helps."""
    assert finding('mode', FCI, phase=phase, mode='idle').verdict == verdict


@pytest.mark.parametrize(('offset_m', 'verdict'), [
    (1e-3, 'ok'), (1.1e-3, 'refused'), (None, 'unknown')])
def test_fci_arm_tells_how_far_the_end_effector_of_desk_is(
        offset_m: float | None, verdict: str) -> None:
    """Its current_pose is our kinematics and would show nothing."""
    assert finding('end_effector', FCI, ee_offset_m=offset_m, own_pose=None).verdict == verdict


UNKNOWN = {
    'kinematics': {'pose': None}, 'end_effector': {'own_pose': None},
    'stamps': {'offsets_s': {}}, 'controller': {'controllers': None},
    'gains': {'parameters': None}, 'payload': {'payload': None},
    'publishers': {'publishers': None}, 'gripper': {'homed': None}, 'mode': {'mode': None}}


@pytest.mark.parametrize('fact', FACTS)
def test_what_is_not_known_refuses_on_a_real_arm_unless_it_is_skipped(fact: str) -> None:
    """By name and with the reason; in simulation only what the bridge can offer."""
    why = {'why_unknown': {fact: 'the reason'}}
    found = finding(fact, **UNKNOWN[fact], **why)
    assert found.verdict == 'unknown'
    assert found.text.startswith(f'{fact}: could not be checked, because the reason')
    skipped = finding(fact, replace(REAL, skip=(fact,)), **UNKNOWN[fact], **why)
    assert skipped.verdict == 'skipped' and 'arming.skip' in skipped.text
    report = check_arm(
        seen(**UNKNOWN[fact]), replace(REAL, skip=(fact,)), RobotConfig(), KINEMATICS)
    assert report.blocking == []
    simulated = finding(fact, ArmingConfig(arm='sim'), **UNKNOWN[fact], **why)
    assert simulated.verdict == ('unknown' if fact in REQUIRED['sim'] else 'not needed')


def test_what_is_known_to_be_wrong_refuses_although_it_is_skipped() -> None:
    """Skipping is for what nobody can tell."""
    config = replace(REAL, skip=('gripper', 'payload'))
    assert finding('gripper', config, homed='no').verdict == 'refused'
    assert finding('payload', config, payload=PayloadSample(
        ee_mass_kg=0.0, load_mass_kg=0.0)).verdict == 'refused'


def test_refusals_come_before_what_is_unknown_and_all_are_listed() -> None:
    """The first is what the operator is told first."""
    report = check_arm(
        seen(pose=None, homed='no', mode='reflex'), REAL, RobotConfig(), KINEMATICS)
    assert [line.split(':')[0] for line in report.blocking] == ['gripper', 'mode', 'kinematics']
    assert report.blocking == report.refusals + report.unknowns


@pytest.mark.parametrize(('setting', 'named'), [
    ({'skip': ('gains', 'luck')}, 'luck'), ({'arm': 'ur5'}, 'ur5'), ({'target': 'x'}, 'target'),
    ({'max_position_error_m': 0.5}, 'max_position_error_m is 0.5'),
    ({'max_stamp_offset_s': 0.0}, 'max_stamp_offset_s'), ({'gain_tolerance': 2.0}, '2.0')])
def test_settings_that_would_let_everything_through_are_refused(
        setting: dict[str, object], named: str) -> None:
    """By name, with what is allowed."""
    with pytest.raises(ConfigError, match=named):
        ArmingConfig(**setting)


def flat(mapping: dict[str, object], prefix: str = '') -> dict[str, object]:
    """Return the parameters of a YAML file by dotted name."""
    found: dict[str, object] = {}
    for key, value in mapping.items():
        name = f'{prefix}{key}'
        found |= flat(value, f'{name}.') if isinstance(value, dict) else {name: value}
    return found


#: Parameters of CRISP that the file leaves at CRISP's own default.
CRISP_DEFAULTS = {
    'stop_commands': False, 'use_operational_space': False, 'variable_stiffness.enabled': False,
    **{f'task.d_{part}_{axis}': -1.0 for part in ('pos', 'rot') for axis in 'xyz'}}


@pytest.mark.parametrize('target', ['target_joint', 'target_pose'])
def test_the_controllers_that_ship_have_the_gains_of_the_robot_that_ships(target: str) -> None:
    """config/controllers/crisp_fr3.yaml would be let through."""
    config = ArmingConfig(arm='franka_ros2', target=target)
    name, = config.allowed_controllers
    nodes = yaml.safe_load(config_path('controllers', 'crisp_fr3.yaml').read_text())['/**']
    given = flat(nodes[name]['ros__parameters'])
    assert name in nodes['controller_manager']['ros__parameters']
    assert parameter_mismatches(CRISP_DEFAULTS | given, config, load_robot()) == ([], [])
