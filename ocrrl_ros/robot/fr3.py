# SPDX-License-Identifier: Apache-2.0
"""
The one table of facts about the Franka Research 3 (FR3) and its hand.

The URDF, the MJCF, limits, kinematics and shaping are all made from these numbers. Sources:

- kinematics, inertials, finger range: franka_description 1.0.1 (robots/fr3/*.yaml);
- limits: Franka "robot specifications" page for system images >= 5.9.0 and <= 5.8;
- friction, armature, damping: identified in torque control, mujoco_menagerie franka_fr3.

Units are SI and rad. Link frames follow the modified (Craig) Denavit-Hartenberg convention, the
same as the URDF's joint origins.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Literal

import numpy as np

SystemImage = Literal['5.9', '5.8']

ARM_JOINT_NAMES = tuple(f'fr3_joint{i}' for i in range(1, 8))
FINGER_JOINT_NAMES = ('fr3_finger_joint1', 'fr3_finger_joint2')
ARM_ACTUATOR_NAMES = tuple(f'arm{i}' for i in range(1, 8))
GRIPPER_ACTUATOR_NAME = 'gripper'
PAD_GEOM_NAMES = ('left_pad', 'right_pad')
BASE_FRAME = 'base'
FLANGE_FRAME = 'fr3_link8'
HAND_FRAME = 'fr3_hand'
TCP_FRAME = 'fr3_hand_tcp'

_HALF_PI = math.pi / 2
# Modified DH rows (a m, d m, alpha rad) of joints 1..7, then of the flange.
MODIFIED_DH = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -_HALF_PI),
    (0.0, 0.316, _HALF_PI),
    (0.0825, 0.0, _HALF_PI),
    (-0.0825, 0.384, -_HALF_PI),
    (0.0, 0.0, _HALF_PI),
    (0.088, 0.0, _HALF_PI),
)
FLANGE_DH = (0.0, 0.107, 0.0)


@dataclass(frozen=True, kw_only=True)
class JointOrigin:
    """Pose of a joint in its parent link: xyz in m, roll about x in rad (FR3 needs no other)."""

    xyz: tuple[float, float, float]
    roll: float


# As printed in franka_description; a test checks them against MODIFIED_DH.
JOINT_ORIGINS = (
    JointOrigin(xyz=(0.0, 0.0, 0.333), roll=0.0),
    JointOrigin(xyz=(0.0, 0.0, 0.0), roll=-_HALF_PI),
    JointOrigin(xyz=(0.0, -0.316, 0.0), roll=_HALF_PI),
    JointOrigin(xyz=(0.0825, 0.0, 0.0), roll=_HALF_PI),
    JointOrigin(xyz=(-0.0825, 0.384, 0.0), roll=-_HALF_PI),
    JointOrigin(xyz=(0.0, 0.0, 0.0), roll=_HALF_PI),
    JointOrigin(xyz=(0.088, 0.0, 0.0), roll=_HALF_PI),
)
FLANGE_Z_M = 0.107
HAND_YAW_RAD = -math.pi / 4
TCP_Z_M = 0.1034
FINGER_Z_M = 0.0584

READY_POSITION = (0.0, -math.pi / 4, 0.0, -3 * math.pi / 4, 0.0, _HALF_PI, math.pi / 4)


@dataclass(frozen=True, kw_only=True)
class Inertial:
    """Mass in kg, centre of mass in m and inertia about it in kg m^2, in the link frame."""

    mass: float
    com: tuple[float, float, float]
    # Ixx Ixy Ixz Iyy Iyz Izz
    inertia: tuple[float, float, float, float, float, float]

    def matrix(self) -> np.ndarray:
        """Return the inertia about the centre of mass, (3, 3)."""
        ixx, ixy, ixz, iyy, iyz, izz = self.inertia
        return np.array([[ixx, ixy, ixz], [ixy, iyy, iyz], [ixz, iyz, izz]])


_FINGER = Inertial(
    mass=0.0291, com=(0.0, 0.0152850, 0.0219675),
    inertia=(8.49e-6, 0.0, 0.0, 8.53e-6, -1.06e-6, 1.77e-6))
INERTIALS = {
    'fr3_link0': Inertial(
        mass=2.3966, com=(-0.0172, 0.0004, 0.0745),
        inertia=(0.0090, 0.0, 0.0020, 0.0115, 0.0, 0.0085)),
    'fr3_link1': Inertial(
        mass=2.9274653454, com=(4.128e-7, -0.0181251324, -0.0386035970),
        inertia=(0.0239273165, 1.33179e-5, -1.140477e-4, 0.0224821613, -0.0019950321,
                 0.0063500983)),
    'fr3_link2': Inertial(
        mass=2.9355370338, com=(0.0031828864, -0.0743221644, 0.0088146084),
        inertia=(0.0419389463, 2.025733e-4, 0.0040777842, 0.0251451449, -0.0042252158,
                 0.0617021447)),
    'fr3_link3': Inertial(
        mass=2.2449013699, com=(0.0407015686, -0.0048200565, -0.0289730823),
        inertia=(0.0241014255, 0.0024046946, -0.0028562693, 0.0197405327, -0.0021042127,
                 0.0190444945)),
    'fr3_link4': Inertial(
        mass=2.6155955791, com=(-0.0459100965, 0.0630492960, -0.0085187868),
        inertia=(0.0345299832, 0.0132255227, 0.0101514300, 0.0288816219, -9.762834e-4,
                 0.0412547117)),
    'fr3_link5': Inertial(
        mass=2.3271207594, com=(-0.0016039605, 0.0292536262, -0.0972965990),
        inertia=(0.0516102785, -0.0057151734, -0.0035673168, 0.0478772971, 0.0106739851,
                 0.0164236256)),
    'fr3_link6': Inertial(
        mass=1.8170376524, com=(0.0597131221, -0.0410294666, -0.0101692726),
        inertia=(0.0054123336, 0.0061934564, 0.0014219289, 0.0140583295, -0.0013140754,
                 0.0160808179)),
    'fr3_link7': Inertial(
        mass=0.6271432862, com=(0.0045225817, 0.0086261921, -0.0161633251),
        inertia=(2.109239e-4, -2.4333e-5, 4.56448e-5, 1.771857e-4, 8.74407e-5, 5.99319e-5)),
    'fr3_hand': Inertial(
        mass=0.6544, com=(-3.76e-5, 0.0119128, 0.0207260),
        inertia=(0.00186, 0.0, 0.0, 0.00030, -0.00002, 0.00174)),
    'fr3_leftfinger': _FINGER,
    'fr3_rightfinger': _FINGER,
}

# Position limits (lower, upper) per system image.
POSITION_LIMITS: dict[SystemImage, tuple[tuple[float, ...], tuple[float, ...]]] = {
    '5.9': ((-2.9007, -1.8361, -2.9007, -3.0770, -2.8763, 0.4398, -3.0508),
            (2.9007, 1.8361, 2.9007, -0.1169, 2.8763, 4.6216, 3.0508)),
    '5.8': ((-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159),
            (2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159)),
}
# Constants of the position-dependent velocity limit: offset rad/s, and the position bounds that
# the formula uses (image 5.8: libfranka's rate_limiting.h; image 5.9: the limits themselves).
VELOCITY_OFFSET: dict[SystemImage, tuple[float, ...]] = {
    '5.9': (0.6599, 0.2517, 0.2000, 0.3533, 0.5757, 0.4878, 0.4628),
    '5.8': (0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35),
}
VELOCITY_FORMULA_BOUNDS: dict[SystemImage, tuple[tuple[float, ...], tuple[float, ...]]] = {
    '5.9': POSITION_LIMITS['5.9'],
    '5.8': ((-2.7501, -1.7918, -2.9065, -3.0481, -2.8101, 0.54092, -3.0196),
            (2.7501, 1.7918, 2.9065, -0.1458, 2.8101, 4.5205, 3.0196)),
}
DECELERATION = (6.0, 2.585, 3.5, 4.0, 17.0, 5.5, 17.0)
VELOCITY_TOLERANCE = 1e-3
MAX_VELOCITY = (2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26)
MAX_ACCELERATION = (10.0,) * 7
MAX_JERK = (5000.0,) * 7
MAX_TORQUE = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)
MAX_TORQUE_RATE = (1000.0,) * 7

JOINT_DAMPING = 0.21
JOINT_ARMATURE = (0.195, 0.195, 0.195, 0.195, 0.074, 0.074, 0.074)
JOINT_FRICTION = (1.137, 1.137, 1.137, 1.137, 0.763, 0.440, 0.248)

FINGER_RANGE_M = (0.0, 0.04)
MAX_WIDTH_M = 0.08
FINGER_MAX_VELOCITY = 0.2
FINGER_MAX_FORCE_N = 100.0
# Damping is the URDF's. The drive's reflected inertia is not published: 0.1 kg per finger is an
# assumption, chosen so that the force-limited servo of the MJCF is well damped at 1 and 2 ms.
FINGER_DAMPING = 0.3
FINGER_ARMATURE_KG = 0.1
