# SPDX-License-Identifier: Apache-2.0
"""
Whether the arm may begin to move: small checks, each with a reason in words.

A fact that is known to be wrong refuses. One that has to be known of this kind of arm and is not
refuses too, unless the operator has put its name into ``arming.skip``; what the kind of arm cannot
offer is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
import math
from typing import NamedTuple

import numpy as np
from ocrrl_ros.core.se3 import quat_angle
from ocrrl_ros.robot.arming_config import ArmingConfig, FACTS, REQUIRED
from ocrrl_ros.robot.arming_facts import (
    ArmingReport, ArmObservation, ControllerSample, Finding, PoseSample)
from ocrrl_ros.robot.crisp_parameters import parameter_mismatches
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES, BASE_FRAME, TCP_FRAME
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.robot_config import RobotConfig

#: Joints are carried on to a pose's stamp with their velocity over at most this time.
_MAX_PAIRING_S = 0.1
#: Differences of times and figures below this are rounding.
_ROUNDING = 1e-9
_SHOWN_MISMATCHES = 4
#: What makes a fact known that is not.
_PROVIDE = {
    'kinematics': "start the arm's driver; with CRISP its pose_broadcaster, too",
    'end_effector': "start the arm's driver",
    'stamps': "start the arm's driver",
    'controller': 'start the controller manager, and here install its messages: '
                  'apt-get install ros-jazzy-controller-manager-msgs',
    'gains': 'load and configure the controller',
    'payload': "start the arm's driver; with franka_ros2 build franka_msgs here",
    'publishers': 'look again',
    'gripper': "start the node gripper and the hand's driver",
    'mode': "start the arm's driver; with franka_ros2 build franka_msgs here",
}
_FCI_PHASES = ('idle', 'moving', 'holding')


class _Outcome(NamedTuple):
    """What a check found: None in ``is_good`` says that it could not tell."""

    is_good: bool | None
    detail: str
    remedy: str = ''


def check_arm(
        observation: ArmObservation, config: ArmingConfig, robot: RobotConfig,
        kinematics: FrankaKinematics) -> ArmingReport:
    """
    Return a finding for every fact.

    :param robot: gains and clips that the policy was trained with.
    :param kinematics: of the URDF that the policy was trained with.
    """
    checks: dict[str, Callable[[], _Outcome]] = {
        'kinematics': lambda: _check_kinematics(observation, config, kinematics),
        'end_effector': lambda: _check_end_effector(observation, config, kinematics),
        'stamps': lambda: _check_stamps(observation, config),
        'controller': lambda: _check_controller(observation, config),
        'gains': lambda: _check_gains(observation, config, robot),
        'payload': lambda: _check_payload(observation, config),
        'publishers': lambda: _check_publishers(observation, config),
        'gripper': lambda: _check_gripper(observation),
        'mode': lambda: _check_mode(observation, config),
    }
    return ArmingReport(findings=tuple(
        _finding(fact, checks[fact](), observation, config) for fact in FACTS))


def _finding(
        fact: str, outcome: _Outcome, observation: ArmObservation,
        config: ArmingConfig) -> Finding:
    """Return the verdict on one fact."""
    if fact not in config.required:
        return Finding(fact=fact, verdict='not needed', detail=_why_not_needed(fact, config))
    if outcome.is_good is not None:
        return Finding(
            fact=fact, verdict='ok' if outcome.is_good else 'refused', detail=outcome.detail,
            remedy='' if outcome.is_good else outcome.remedy)
    reason = observation.why_unknown.get(fact) or outcome.detail
    detail = f'could not be checked, because {reason}'
    if fact in config.skip:
        return Finding(fact=fact, verdict='skipped', detail=f'{detail}; it is in arming.skip')
    remedy = outcome.remedy or _PROVIDE[fact]
    return Finding(fact=fact, verdict='unknown', detail=detail, remedy=(
        f'{remedy}; or add {fact} to arming.skip at your own risk'))


def _why_not_needed(fact: str, config: ArmingConfig) -> str:
    """Return why nobody looks at a fact."""
    if fact in REQUIRED[config.arm]:
        return f"not looked at: {' or '.join(config.allowed_controllers)} is not CRISP's"
    return f'not looked at with arm {config.arm}'


def _check_kinematics(
        observation: ArmObservation, config: ArmingConfig,
        kinematics: FrankaKinematics) -> _Outcome:
    """Compare ``current_pose`` with the forward kinematics."""
    return _compare_pose(
        observation, observation.pose, config, kinematics, 'current_pose',
        'give the controllers the frames base and fr3_hand_tcp, and the URDF of this arm')


def _check_end_effector(
        observation: ArmObservation, config: ArmingConfig,
        kinematics: FrankaKinematics) -> _Outcome:
    """Compare the robot's own end effector with fr3_hand_tcp."""
    remedy = 'set the end effector in Desk to the Franka Hand (F_T_EE: 0.1034 m, -45 deg)'
    if config.arm == 'fci':
        offset_m = observation.ee_offset_m
        if offset_m is None:
            return _Outcome(None, 'fci_arm has not told it on /diagnostics')
        return _Outcome(
            offset_m <= config.max_position_error_m + _ROUNDING,
            f'{1e3 * offset_m:.1f} mm from {TCP_FRAME}, allowed: '
            f'{1e3 * config.max_position_error_m:g} mm (/diagnostics of fci_arm)', remedy)
    return _compare_pose(
        observation, observation.own_pose, config, kinematics,
        'franka_robot_state_broadcaster/current_pose', remedy)


def _compare_pose(
        observation: ArmObservation, pose: PoseSample | None, config: ArmingConfig,
        kinematics: FrankaKinematics, source: str, remedy: str) -> _Outcome:
    """Compare a pose with the forward kinematics of the joints at its stamp."""
    joints = observation.joints
    if joints is None or pose is None:
        return _Outcome(None, f'there is no {"joint state" if joints is None else source}')
    gap_s = pose.stamp_s - joints.stamp_s
    if abs(gap_s) > _MAX_PAIRING_S:
        return _Outcome(None, (
            f'the stamps of {source} and of the joints are {1e3 * gap_s:.0f} ms apart, '
            f'allowed: {1e3 * _MAX_PAIRING_S:.0f} ms'))
    if pose.frame != BASE_FRAME:
        return _Outcome(
            False, f'{source} is in frame {pose.frame!r}, allowed: {BASE_FRAME!r}', remedy)
    expected = kinematics.forward(joints.q + gap_s * joints.dq)
    distance_m = float(np.linalg.norm(pose.frame_T_tcp[:3] - expected[:3]))
    angle_rad = float(quat_angle(pose.frame_T_tcp[3:], expected[3:]))
    is_good = (distance_m <= config.max_position_error_m + _ROUNDING
               and angle_rad <= config.max_rotation_error_rad + _ROUNDING)
    return _Outcome(is_good, (
        f'{source} is {1e3 * distance_m:.2f} mm and {math.degrees(angle_rad):.2f} deg from the '
        f'forward kinematics of {TCP_FRAME}, allowed: {1e3 * config.max_position_error_m:g} mm '
        f'and {math.degrees(config.max_rotation_error_rad):g} deg'), remedy)


def _check_stamps(observation: ArmObservation, config: ArmingConfig) -> _Outcome:
    """Compare stamps with the times of arrival."""
    if not observation.offsets_s:
        return _Outcome(None, 'there is no joint state and no pose')
    told = ', '.join(
        f'{name} {1e3 * offset:+.1f} ms' for name, offset in observation.offsets_s.items())
    worst_s = max(abs(offset) for offset in observation.offsets_s.values())
    return _Outcome(
        worst_s <= config.max_stamp_offset_s + _ROUNDING,
        f'arrival minus stamp, least of the newest second: {told}; allowed: '
        f'+-{1e3 * config.max_stamp_offset_s:g} ms',
        'synchronise the clocks of both computers (chrony or PTP); where they are, the network '
        'or the publisher is late')


def _check_controller(observation: ArmObservation, config: ArmingConfig) -> _Outcome:
    """Look for the one controller that takes targets, and for others that move the arm."""
    if observation.controllers is None:
        return _Outcome(None, 'nobody has listed the controllers')
    allowed = ' or '.join(config.allowed_controllers)
    active = [item for item in observation.controllers if item.state == 'active']
    ours = [item for item in active if item.name in config.allowed_controllers]
    others = [item for item in active if item not in ours and _arm_claims(item)]
    source = 'controller_manager/list_controllers'
    if others:
        names = ', '.join(f'{item.name} ({_claims_text(item)})' for item in others)
        return _Outcome(False, f'active is {names}, allowed: {allowed} alone ({source})', (
            f'ros2 control switch_controllers --deactivate {others[0].name}'
            + ('' if ours else f' --activate {config.allowed_controllers[0]}')))
    if len(ours) != 1:
        names = ', '.join(item.name for item in ours) or 'none that moves the arm'
        return _Outcome(False, f'active is {names}, allowed: one of {allowed} ({source})', (
            f'ros2 control switch_controllers --activate {config.allowed_controllers[0]}'))
    wanted = {f'{joint}/effort' for joint in ARM_JOINT_NAMES}
    if set(_arm_claims(ours[0])) != wanted:
        return _Outcome(
            False, f'{ours[0].name} has {_claims_text(ours[0])}, allowed: the effort of all seven '
            f'joints ({source})', 'configure it with command interface effort')
    return _Outcome(True, f'{ours[0].name} is active and has the effort of all seven joints')


def _arm_claims(controller: ControllerSample) -> tuple[str, ...]:
    """
    Return the command interfaces with which a controller moves the arm.

    The Cartesian ones of the hardware count as well: no joint's name is in theirs.
    """
    return tuple(
        name for name in controller.claimed
        if name.split('/')[0] in ARM_JOINT_NAMES or 'cartesian' in name or 'elbow' in name)


def _claims_text(controller: ControllerSample) -> str:
    """Return what a controller has, in a few words."""
    claims = _arm_claims(controller)
    if not claims:
        return 'no command interface of the arm'
    kinds = sorted({name.split('/')[-1] for name in claims})
    return f'{len(claims)} of {", ".join(kinds)}'


def _check_gains(
        observation: ArmObservation, config: ArmingConfig, robot: RobotConfig) -> _Outcome:
    """Compare the controller's parameters with those of training."""
    if observation.parameters is None:
        return _Outcome(None, "the controller's parameters were not read")
    found, missing = parameter_mismatches(observation.parameters, config, robot)
    source = observation.parameter_source or 'the controller'
    if found:
        texts = [str(item) for item in found[:_SHOWN_MISMATCHES]]
        if len(found) > len(texts):
            texts.append(f'and {len(found) - len(texts)} more')
        return _Outcome(False, f'{"; ".join(texts)} (parameters of {source})', (
            'set them in the YAML file of the controllers and start these again, or give the '
            'policy the robot_file that fits'))
    if missing:
        return _Outcome(None, f'{source} has no {", ".join(missing)}')
    return _Outcome(True, f'gains and clips of {source} are those of training')


def _check_payload(observation: ArmObservation, config: ArmingConfig) -> _Outcome:
    """Compare the masses that the robot knows with what it carries."""
    payload = observation.payload
    if payload is None:
        return _Outcome(None, 'the robot has not told its masses')
    known_kg = payload.ee_mass_kg + payload.load_mass_kg
    wanted_kg = config.hand_mass_kg + config.load_mass_kg
    detail = (
        f'the robot knows {payload.ee_mass_kg:.2f} kg of end effector and '
        f'{payload.load_mass_kg:.2f} kg of load, allowed together: {wanted_kg:.2f} '
        f'+- {config.mass_tolerance_kg:g} kg (arming.hand_mass_kg, arming.load_mass_kg)')
    return _Outcome(
        abs(known_kg - wanted_kg) <= config.mass_tolerance_kg + _ROUNDING, detail,
        'choose the hand as end effector in Desk, and set what is mounted besides: '
        'service_server/set_load, or load.mass_kg of fci_arm')


def _check_publishers(observation: ArmObservation, config: ArmingConfig) -> _Outcome:
    """Count who sends targets: one on our topic at most, nobody on the others."""
    if observation.publishers is None:
        return _Outcome(None, 'the topics of targets have not been looked at')
    for topic in config.target_topics:
        names = observation.publishers.get(topic, ())
        allowed = int(topic == config.target)
        if len(names) > allowed:
            return _Outcome(False, (
                f'{len(names)} publishers on {topic} ({", ".join(sorted(names))}), allowed: '
                f'{allowed}'), (
                    'end the others; CRISP drops every message where there are two, other '
                    'controllers take both'))
    names = observation.publishers.get(config.target, ())
    return _Outcome(True, f'publishers on {config.target}: {", ".join(names) or "none yet"}')


def _check_gripper(observation: ArmObservation) -> _Outcome:
    """Ask whether the hand knows its greatest width."""
    remedy = 'ros2 service call /gripper/home std_srvs/srv/Trigger, with the hand empty'
    homed = observation.homed
    if homed is None:
        return _Outcome(None, 'there is no gripper/state')
    if homed == 'unknown':
        return _Outcome(None, 'the node gripper has not homed the hand itself', remedy)
    if homed == 'not offered':
        return _Outcome(True, "the hand's driver offers no homing (gripper/state)")
    return _Outcome(homed == 'yes', f'homed: {homed}, allowed: yes (gripper/state)', remedy)


def _check_mode(observation: ArmObservation, config: ArmingConfig) -> _Outcome:
    """Ask the robot, or the node before it, whether targets are taken."""
    if config.arm == 'fci':
        if observation.phase is None:
            return _Outcome(None, 'there is no fci_arm/state')
        return _Outcome(
            observation.phase in _FCI_PHASES,
            f'fci_arm is {observation.phase}, the robot {observation.mode or "silent"}, allowed: '
            f'{", ".join(_FCI_PHASES)} (fci_arm/state)',
            'do what fci_arm/state says, then call fci_arm/error_recovery')
    if observation.mode is None:
        return _Outcome(None, 'the robot has not told its mode')
    return _Outcome(
        observation.mode == 'move',
        f'the robot is in mode {observation.mode}, allowed: move (robot_state)',
        'clear errors, release the user stop, activate FCI in Desk; then error recovery, the '
        'hardware component to active, the controller to active')
