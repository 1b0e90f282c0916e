# SPDX-License-Identifier: Apache-2.0
"""Everything that can be set about the arm and its hand, in one place (config/robots/)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path, share_path
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.command_shaping import ShapingConfig
from ocrrl_ros.robot.gripper import GripperConfig
from ocrrl_ros.robot.guard_config import GuardConfig
from ocrrl_ros.robot.hold_bleed import HoldConfig
from ocrrl_ros.robot.impedance import CartesianImpedanceConfig, JointImpedanceConfig
from ocrrl_ros.robot.kinematics import KinematicsConfig
from ocrrl_ros.robot.limits import JointLimits
from ocrrl_ros.robot.tracking import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class RobotConfig:
    """Settings of one robot; the defaults are those of an FR3 with system image 5.9."""

    system_image: fr3.SystemImage = field(
        default='5.9', metadata={'description': (
            "control box image that sets the joint limits: '5.9' or newer, '5.8' or older")})
    kinematics: KinematicsConfig = field(default_factory=KinematicsConfig)
    shaping: ShapingConfig = field(default_factory=ShapingConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    hold: HoldConfig = field(default_factory=HoldConfig)
    joint_impedance: JointImpedanceConfig = field(default_factory=JointImpedanceConfig)
    cartesian_impedance: CartesianImpedanceConfig = field(
        default_factory=CartesianImpedanceConfig)
    gripper: GripperConfig = field(default_factory=GripperConfig)

    def __post_init__(self) -> None:
        """Refuse an unknown system image."""
        if self.system_image not in fr3.POSITION_LIMITS:
            raise ConfigError(
                f'system_image is {self.system_image!r}; allowed: '
                + ', '.join(sorted(fr3.POSITION_LIMITS)))

    def limits(self) -> JointLimits:
        """Return the joint limits of the system image."""
        return JointLimits.for_image(self.system_image)


def load_robot(name: Path | str = 'fr3') -> RobotConfig:
    """
    Return the settings of a robot.

    :param name: of a file of config/robots, or a path that ends in .yaml, absolute or as shipped.
    :raises ConfigError: there is no such file, or it does not fit.
    """
    is_path = str(name).endswith('.yaml')
    path = share_path(str(name)) if is_path else config_path('robots', f'{name}.yaml')
    return load_yaml(RobotConfig, path)
