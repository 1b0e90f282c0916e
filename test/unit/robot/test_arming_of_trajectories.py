# SPDX-License-Identifier: Apache-2.0
"""The checks before the arm moves where a joint trajectory controller takes the targets."""

from __future__ import annotations

from dataclasses import replace

from ocrrl_ros.robot.arming import check_arm
from ocrrl_ros.robot.arming_config import ArmingConfig
from ocrrl_ros.robot.arming_facts import ArmObservation, ControllerSample, Finding
from ocrrl_ros.robot.fr3 import ARM_JOINT_NAMES
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.robot.robot_config import RobotConfig
import pytest

CRISP = ArmingConfig(arm='franka_ros2')
JTC = replace(CRISP, target='fr3_arm_controller/joint_trajectory', checks_gains=False)
OTHER = 'joint_trajectory_controller/joint_trajectory'


def found(fact: str, config: ArmingConfig, **known: object) -> Finding:
    """Return what is found of one fact where nothing else is known."""
    report = check_arm(
        ArmObservation(now_s=0.0, offsets_s={}, why_unknown={}, **known), config, RobotConfig(),
        FrankaKinematics())
    return next(item for item in report.findings if item.fact == fact)


@pytest.mark.parametrize(('config', 'publishers', 'verdict', 'named'), [
    (JTC, {JTC.target: ('/a',)}, 'ok', JTC.target),
    (JTC, {JTC.target: ('/a', '/b')}, 'refused', f'2 publishers on {JTC.target}'),
    (JTC, {'target_joint': ('/b',)}, 'refused', 'target_joint (/b)'),
    (CRISP, {JTC.target: ('/b',)}, 'refused', f'{JTC.target} (/b)'),
    (CRISP, {OTHER: ('/b',)}, 'refused', f'{OTHER} (/b)'),
    (replace(JTC, target='mine/joint_trajectory'),
     {'mine/joint_trajectory': ('/a', '/b')}, 'refused', '2 publishers on mine/')])
def test_topics_of_trajectory_controllers_move_the_arm_too(
        config: ArmingConfig, publishers: dict[str, tuple[str, ...]], verdict: str,
        named: str) -> None:
    """One of ours on ours, nobody on the others, whatever the controller's name."""
    assert set(publishers) <= set(config.target_topics)
    finding = found('publishers', config, publishers=publishers)
    assert finding.verdict == verdict and named in finding.text


def test_gains_of_training_are_asked_of_crisp_alone() -> None:
    """The trajectory controller has its own."""
    finding = found('gains', JTC)
    assert finding.verdict == 'not needed' and "fr3_arm_controller is not CRISP's" in finding.text
    assert found('gains', CRISP).verdict == 'unknown'


@pytest.mark.parametrize(('state', 'verdict'), [('active', 'ok'), ('inactive', 'refused')])
def test_the_controller_is_that_of_the_topic_and_has_to_be_active(
        state: str, verdict: str) -> None:
    """Without a name of the operator's."""
    ours = ControllerSample(
        name='fr3_arm_controller', state=state,
        claimed=tuple(f'{joint}/effort' for joint in ARM_JOINT_NAMES))
    finding = found('controller', JTC, controllers=(ours,))
    assert finding.verdict == verdict and 'fr3_arm_controller' in finding.text
