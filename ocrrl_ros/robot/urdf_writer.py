# SPDX-License-Identifier: Apache-2.0
"""Write the FR3 with its hand as URDF, from the table of facts."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.shapes import Block, COLOURS, Rod, Shape, SHAPES


def numbers(*values: float) -> str:
    """Return the values as text that reads back to the same floats."""
    return ' '.join(repr(float(value) + 0.0) for value in values)


def _rounded(value: float) -> float:
    """Return what every machine computes alike: processors differ in the last digit."""
    return round(value, 12)


def _rod_rpy(rod: Rod) -> tuple[float, float, float]:
    """Return roll, pitch, yaw that turn the z axis into the rod's axis."""
    x, y, z = np.subtract(rod.end, rod.start)
    return 0.0, _rounded(math.atan2(math.hypot(x, y), z)), _rounded(math.atan2(y, x))


def _add_geometry(parent: ET.Element, shape: Shape) -> None:
    """Add origin and geometry of a shape; a capsule is written as a cylinder."""
    geometry = ET.Element('geometry')
    if isinstance(shape, Block):
        origin = {'xyz': numbers(*shape.centre), 'rpy': numbers(0, 0, 0)}
        ET.SubElement(geometry, 'box', size=numbers(*(2 * half for half in shape.half)))
    else:
        centre = np.add(shape.start, shape.end) / 2
        length = _rounded(math.dist(shape.start, shape.end))
        origin = {'xyz': numbers(*centre), 'rpy': numbers(*_rod_rpy(shape))}
        ET.SubElement(geometry, 'cylinder', radius=numbers(shape.radius), length=numbers(length))
    ET.SubElement(parent, 'origin', origin)
    parent.append(geometry)


def _add_link(robot: ET.Element, name: str) -> None:
    """Add a link with its inertial and shapes; frames without facts stay bare."""
    link = ET.SubElement(robot, 'link', name=name)
    inertial = fr3.INERTIALS.get(name)
    if inertial is not None:
        element = ET.SubElement(link, 'inertial')
        ET.SubElement(element, 'origin', xyz=numbers(*inertial.com), rpy=numbers(0, 0, 0))
        ET.SubElement(element, 'mass', value=numbers(inertial.mass))
        keys = ('ixx', 'ixy', 'ixz', 'iyy', 'iyz', 'izz')
        ET.SubElement(element, 'inertia', {
            key: numbers(value) for key, value in zip(keys, inertial.inertia)})
    for shape in SHAPES.get(name, ()):
        visual = ET.SubElement(link, 'visual')
        _add_geometry(visual, shape)
        ET.SubElement(visual, 'material', name=shape.colour)
        if isinstance(shape, Rod) or shape.role != 'visual':
            _add_geometry(ET.SubElement(link, 'collision'), shape)


def _add_joint(
        robot: ET.Element, name: str, kind: str, links: tuple[str, str],
        xyz: tuple[float, float, float], rpy: tuple[float, float, float]) -> ET.Element:
    """Add a joint between (parent, child) and return its element."""
    joint = ET.SubElement(robot, 'joint', name=name, type=kind)
    ET.SubElement(joint, 'parent', link=links[0])
    ET.SubElement(joint, 'child', link=links[1])
    ET.SubElement(joint, 'origin', xyz=numbers(*xyz), rpy=numbers(*rpy))
    return joint


def _add_arm_joints(robot: ET.Element) -> None:
    """Add the seven revolute joints with limits and dynamics."""
    lower, upper = fr3.POSITION_LIMITS['5.9']
    for i, origin in enumerate(fr3.JOINT_ORIGINS):
        joint = _add_joint(
            robot, fr3.ARM_JOINT_NAMES[i], 'revolute', (f'fr3_link{i}', f'fr3_link{i + 1}'),
            origin.xyz, (origin.roll, 0.0, 0.0))
        ET.SubElement(joint, 'axis', xyz='0 0 1')
        ET.SubElement(
            joint, 'limit', lower=numbers(lower[i]), upper=numbers(upper[i]),
            effort=numbers(fr3.MAX_TORQUE[i]), velocity=numbers(fr3.MAX_VELOCITY[i]))
        ET.SubElement(
            joint, 'dynamics', damping=numbers(fr3.JOINT_DAMPING),
            friction=numbers(fr3.JOINT_FRICTION[i]))


def _add_finger_joints(robot: ET.Element) -> None:
    """Add the two prismatic joints; the second mimics the first."""
    for i, link in enumerate(('fr3_leftfinger', 'fr3_rightfinger')):
        joint = _add_joint(
            robot, fr3.FINGER_JOINT_NAMES[i], 'prismatic', ('fr3_hand', link),
            (0.0, 0.0, fr3.FINGER_Z_M), (0.0, 0.0, i * math.pi))
        ET.SubElement(joint, 'axis', xyz='0 1 0')
        ET.SubElement(
            joint, 'limit', lower=numbers(fr3.FINGER_RANGE_M[0]),
            upper=numbers(fr3.FINGER_RANGE_M[1]), effort=numbers(fr3.FINGER_MAX_FORCE_N),
            velocity=numbers(fr3.FINGER_MAX_VELOCITY))
        ET.SubElement(joint, 'dynamics', damping=numbers(fr3.FINGER_DAMPING))
        if i:
            ET.SubElement(joint, 'mimic', joint=fr3.FINGER_JOINT_NAMES[0])


def urdf() -> str:
    """Return the URDF text: frames ``base`` to ``fr3_hand_tcp`` and the fingers."""
    robot = ET.Element('robot', name='fr3')
    robot.append(ET.Comment(' Written by ocrrl_ros.robot.generate; do not edit. '))
    for name, rgba in COLOURS.items():
        material = ET.SubElement(robot, 'material', name=name)
        ET.SubElement(material, 'color', rgba=numbers(*rgba))
    links = [f'fr3_link{i}' for i in range(9)]
    for name in (fr3.BASE_FRAME, *links, fr3.HAND_FRAME, fr3.TCP_FRAME, 'fr3_leftfinger',
                 'fr3_rightfinger'):
        _add_link(robot, name)
    none = (0.0, 0.0, 0.0)
    _add_joint(robot, 'base_joint', 'fixed', (fr3.BASE_FRAME, links[0]), none, none)
    _add_arm_joints(robot)
    _add_joint(
        robot, 'fr3_joint8', 'fixed', (links[7], fr3.FLANGE_FRAME), (0.0, 0.0, fr3.FLANGE_Z_M),
        none)
    _add_joint(
        robot, 'fr3_hand_joint', 'fixed', (fr3.FLANGE_FRAME, fr3.HAND_FRAME), none,
        (0.0, 0.0, fr3.HAND_YAW_RAD))
    _add_joint(
        robot, 'fr3_hand_tcp_joint', 'fixed', (fr3.HAND_FRAME, fr3.TCP_FRAME),
        (0.0, 0.0, fr3.TCP_Z_M), none)
    _add_finger_joints(robot)
    ET.indent(robot)
    return '<?xml version="1.0"?>\n' + ET.tostring(robot, encoding='unicode') + '\n'
