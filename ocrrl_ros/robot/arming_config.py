# SPDX-License-Identifier: Apache-2.0
"""Which facts have to be known before the arm may move, and what is allowed of them."""

from __future__ import annotations

from dataclasses import dataclass, field
import math
from typing import Literal

from ocrrl_ros.core.errors import ConfigError, UnknownNameError

ArmName = Literal['sim', 'franka_ros2', 'fci']
ArmChoice = Literal['auto', 'sim', 'franka_ros2', 'fci']

#: Facts in the order in which they are told, with what each means.
FACTS: dict[str, str] = {
    'kinematics': 'current_pose is the forward kinematics of the measured joints',
    'end_effector': "the robot's own end effector, set in Desk, is fr3_hand_tcp",
    'stamps': 'stamps of joints and poses are of this clock, and new',
    'controller': 'the controller that takes the targets is active, alone',
    'gains': 'its gains and clips are those that the policy was trained with',
    'payload': 'the robot knows what it carries',
    'publishers': 'nobody else sends targets',
    'gripper': 'the hand is homed',
    'mode': 'the robot is in a mode in which it takes targets',
}
#: What has to be known of each arm. A simulated one has no Desk, no ros2_control and no homing;
#: behind ``fci_arm`` the box plans motions itself, so there is no controller with gains.
REQUIRED: dict[str, tuple[str, ...]] = {
    'sim': ('kinematics', 'stamps', 'publishers'),
    'franka_ros2': tuple(FACTS),
    'fci': tuple(fact for fact in FACTS if fact not in ('controller', 'gains')),
}
#: Topics of the sinks that feed CRISP.
TARGET_OF_SINK = {'crisp_joint': 'target_joint', 'crisp_pose': 'target_pose'}
#: The joint trajectory controller of franka_ros2, and the topic of such a controller.
JTC_CONTROLLER, JTC_TOPIC = 'fr3_arm_controller', 'joint_trajectory'
#: Whoever publishes there moves the arm, where the controller that reads it is active.
_MOVING_TOPICS = (
    'target_joint', 'target_pose', 'target_wrench', f'{JTC_CONTROLLER}/{JTC_TOPIC}',
    f'joint_trajectory_controller/{JTC_TOPIC}')
_CONTROLLERS = {
    'target_joint': ('joint_impedance_controller',),
    'target_pose': ('cartesian_impedance_controller',)}


@dataclass(frozen=True, kw_only=True)
class ArmingConfig:
    """What is allowed before an episode may start."""

    arm: ArmName = field(default='sim', metadata={'description': (
        'what has to be known: that of sim (mujoco_bridge), franka_ros2 (with CRISP) or fci '
        '(fci_arm)')})
    target: str = field(default='target_joint', metadata={'description': (
        'topic of the targets: target_joint, target_pose or CONTROLLER/TOPIC; residual_policy '
        'takes that of its sink')})
    checks_gains: bool = field(default=True, metadata={'description': (
        "whether the controller is CRISP's, whose gains have to be those of training; "
        "residual_policy takes false with a sink other than CRISP's")})
    skip: tuple[str, ...] = field(default=(), metadata={'description': (
        'facts that may stay unknown, at your own risk; what is known to be wrong still refuses')})
    max_position_error_m: float = field(default=1e-3, metadata={
        'description': 'most distance of a pose from the forward kinematics, m'})
    max_rotation_error_rad: float = field(default=math.radians(0.5), metadata={
        'description': 'most rotation between both, rad'})
    max_stamp_offset_s: float = field(default=0.02, metadata={
        'description': 'most time between a stamp and the arrival of its message, s'})
    max_age_s: float = field(default=0.5, metadata={
        'description': 'older joints and poses are none, s'})
    controllers: tuple[str, ...] = field(default=(), metadata={'description': (
        'controllers that may take the targets; empty: joint_impedance_controller for '
        'target_joint, cartesian_impedance_controller for target_pose, else the CONTROLLER of '
        'target')})
    gain_tolerance: float = field(default=0.02, metadata={
        'description': 'most relative difference of a gain or clip'})
    least_joint_torque_nm: float = field(default=40.0, metadata={'description': (
        "least nullspace.max_tau of CRISP's joint role, Nm: it clips the torque, which training "
        'does not; policies that succeed ask for up to 33 Nm (docs/robot.md)')})
    hand_mass_kg: float = field(default=0.73, metadata={
        'description': 'mass of the end effector that Desk should have, kg'})
    load_mass_kg: float = field(default=0.0, metadata={
        'description': 'mass of what the flange carries besides, such as a camera, kg'})
    mass_tolerance_kg: float = field(default=0.1, metadata={
        'description': 'most difference of the mass that the robot knows, kg'})

    def __post_init__(self) -> None:
        """Refuse limits that let everything or nothing through, and unknown names."""
        ranges = {
            'max_position_error_m': (1e-4, 0.01), 'max_rotation_error_rad': (1e-3, 0.1),
            'max_stamp_offset_s': (1e-3, 0.1), 'max_age_s': (0.05, 5.0),
            'gain_tolerance': (1e-3, 0.5), 'least_joint_torque_nm': (0.0, 87.0),
            'hand_mass_kg': (0.0, 3.0), 'load_mass_kg': (0.0, 3.0),
            'mass_tolerance_kg': (0.01, 1.0)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: {low} .. {high}')
        if self.arm not in REQUIRED:
            raise UnknownNameError('arm', self.arm, REQUIRED, 'arming')
        if not self.controllers and self.target not in _CONTROLLERS and (
                not self.target.rpartition('/')[0]):
            raise UnknownNameError(
                'target', self.target, (*_CONTROLLERS, 'CONTROLLER/TOPIC'), 'arming')
        for fact in self.skip:
            if fact not in FACTS:
                raise UnknownNameError('fact', fact, FACTS, 'arming.skip')

    @property
    def required(self) -> tuple[str, ...]:
        """Return the facts that have to be known of this arm."""
        return tuple(
            fact for fact in REQUIRED[self.arm] if fact != 'gains' or self.checks_gains)

    @property
    def allowed_controllers(self) -> tuple[str, ...]:
        """Return the names of the controllers that may take the targets."""
        return self.controllers or _CONTROLLERS.get(
            self.target, (self.target.rpartition('/')[0],))

    @property
    def target_topics(self) -> tuple[str, ...]:
        """Return the topics on which nobody but us may publish, ours among them."""
        return tuple(dict.fromkeys((*_MOVING_TOPICS, self.target)))
