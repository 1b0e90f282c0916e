# SPDX-License-Identifier: Apache-2.0
"""
Write the FR3 with its hand as MJCF, from the table of facts.

The file holds the robot alone: no options, floor or lights, so that a scene can attach or extend
it. Arm shapes are visual only; hand, fingers and pads collide.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from ocrrl_ros.robot import fr3
from ocrrl_ros.robot.gripper import GripperConfig
from ocrrl_ros.robot.impedance import JointImpedanceConfig
from ocrrl_ros.robot.shapes import Block, COLOURS, Shape, SHAPES
from ocrrl_ros.robot.urdf_writer import numbers

VISUAL_GROUP = '2'
COLLISION_GROUP = '1'
FINGER_TENDON = 'finger_opening'


def _quat_x(roll: float) -> str:
    """Return the MJCF quaternion (w x y z) of a rotation about x."""
    return numbers(math.cos(roll / 2), math.sin(roll / 2), 0, 0)


def _quat_z(yaw: float) -> str:
    """Return the MJCF quaternion (w x y z) of a rotation about z."""
    return numbers(math.cos(yaw / 2), 0, 0, math.sin(yaw / 2))


def _add_shape(body: ET.Element, shape: Shape) -> None:
    """Add one geom; its class says whether it is seen only or also collides."""
    material = f'fr3_{shape.colour}'
    if isinstance(shape, Block):
        attributes = {'class': f'fr3_{shape.role}', 'type': 'box', 'material': material}
        if shape.name:
            attributes['name'] = shape.name
        ET.SubElement(
            body, 'geom', attributes, pos=numbers(*shape.centre), size=numbers(*shape.half))
        return
    ET.SubElement(
        body, 'geom', {'class': 'fr3_visual'}, type='capsule' if shape.is_round else 'cylinder',
        material=material, fromto=numbers(*shape.start, *shape.end), size=numbers(shape.radius))


def _add_body(parent: ET.Element, name: str, **placement: str) -> ET.Element:
    """Add a gravity-compensated body with inertial; joints come before its shapes."""
    body = ET.SubElement(parent, 'body', name=name, gravcomp='1', **placement)
    inertial = fr3.INERTIALS[name]
    ixx, ixy, ixz, iyy, iyz, izz = inertial.inertia
    ET.SubElement(
        body, 'inertial', pos=numbers(*inertial.com), mass=numbers(inertial.mass),
        fullinertia=numbers(ixx, iyy, izz, ixy, ixz, iyz))
    return body


def _add_shapes(body: ET.Element, name: str) -> None:
    """Add every shape of a link."""
    for shape in SHAPES[name]:
        _add_shape(body, shape)


def _add_defaults(root: ET.Element) -> None:
    """Add the geom classes: what is seen, what collides, and the pads' grip."""
    defaults = ET.SubElement(ET.SubElement(root, 'default'), 'default', {'class': 'fr3'})
    visual = ET.SubElement(defaults, 'default', {'class': 'fr3_visual'})
    ET.SubElement(visual, 'geom', contype='0', conaffinity='0', group=VISUAL_GROUP, mass='0')
    collision = ET.SubElement(defaults, 'default', {'class': 'fr3_collision'})
    ET.SubElement(collision, 'geom', group=COLLISION_GROUP, mass='0', condim='3', friction='0.4')
    # Rubber: Coulomb coefficient 1, 5 mm torsional patch radius, so that two pads hold a cube
    # against spinning about the line between them.
    pad = ET.SubElement(defaults, 'default', {'class': 'fr3_pad'})
    ET.SubElement(
        pad, 'geom', group=COLLISION_GROUP, mass='0', condim='4', friction='1.0 0.005 0.0001')


def _add_assets(root: ET.Element) -> None:
    """Add one material per colour."""
    asset = ET.SubElement(root, 'asset')
    for name, rgba in COLOURS.items():
        ET.SubElement(
            asset, 'material', name=f'fr3_{name}', rgba=numbers(*rgba), specular='0.3',
            shininess='0.3')


def _add_arm(world: ET.Element) -> ET.Element:
    """Add the chain of links 0 to 7 and return link 7."""
    body = _add_body(world, 'fr3_link0', childclass='fr3')
    _add_shapes(body, 'fr3_link0')
    lower, upper = fr3.POSITION_LIMITS['5.9']
    for i, origin in enumerate(fr3.JOINT_ORIGINS):
        name = f'fr3_link{i + 1}'
        body = _add_body(body, name, pos=numbers(*origin.xyz), quat=_quat_x(origin.roll))
        ET.SubElement(
            body, 'joint', name=fr3.ARM_JOINT_NAMES[i], axis='0 0 1',
            range=numbers(lower[i], upper[i]), damping=numbers(fr3.JOINT_DAMPING),
            armature=numbers(fr3.JOINT_ARMATURE[i]), frictionloss=numbers(fr3.JOINT_FRICTION[i]))
        _add_shapes(body, name)
    return body


def _add_hand(link7: ET.Element) -> None:
    """Add hand, TCP site and fingers."""
    hand = _add_body(
        link7, fr3.HAND_FRAME, pos=numbers(0, 0, fr3.FLANGE_Z_M), quat=_quat_z(fr3.HAND_YAW_RAD))
    _add_shapes(hand, fr3.HAND_FRAME)
    ET.SubElement(
        hand, 'site', name=fr3.TCP_FRAME, pos=numbers(0, 0, fr3.TCP_Z_M), size='0.004', group='5')
    for i, name in enumerate(('fr3_leftfinger', 'fr3_rightfinger')):
        finger = _add_body(
            hand, name, pos=numbers(0, 0, fr3.FINGER_Z_M), quat=_quat_z(i * math.pi))
        ET.SubElement(
            finger, 'joint', name=fr3.FINGER_JOINT_NAMES[i], type='slide', axis='0 1 0',
            range=numbers(*fr3.FINGER_RANGE_M), damping=numbers(fr3.FINGER_DAMPING),
            armature=numbers(fr3.FINGER_ARMATURE_KG))
        _add_shapes(finger, name)


def _add_couplings(root: ET.Element) -> None:
    """Couple the fingers, let them pass each other, and measure their mean opening."""
    first, second = fr3.FINGER_JOINT_NAMES
    contact = ET.SubElement(root, 'contact')
    ET.SubElement(
        contact, 'exclude', name='fingers', body1='fr3_leftfinger', body2='fr3_rightfinger')
    equality = ET.SubElement(root, 'equality')
    ET.SubElement(
        equality, 'joint', name='finger_mimic', joint1=second, joint2=first,
        polycoef='0 1 0 0 0', solref='0.005 1', solimp='0.95 0.99 0.001')
    tendon = ET.SubElement(ET.SubElement(root, 'tendon'), 'fixed', name=FINGER_TENDON)
    for joint in fr3.FINGER_JOINT_NAMES:
        ET.SubElement(tendon, 'joint', joint=joint, coef='0.5')


def _add_actuators(
        root: ET.Element, impedance: JointImpedanceConfig, gripper: GripperConfig) -> None:
    """Add the joint impedance of the arm and the force-limited servo of the hand."""
    actuators = ET.SubElement(root, 'actuator')
    lower, upper = fr3.POSITION_LIMITS['5.9']
    gains = zip(impedance.stiffness_gains(), impedance.damping_gains())
    for i, (stiffness, damping) in enumerate(gains):
        ET.SubElement(
            actuators, 'general', name=fr3.ARM_ACTUATOR_NAMES[i], joint=fr3.ARM_JOINT_NAMES[i],
            gaintype='fixed', biastype='affine', gainprm=numbers(stiffness),
            biasprm=numbers(0, -stiffness, -damping), ctrlrange=numbers(lower[i], upper[i]),
            forcerange=numbers(-fr3.MAX_TORQUE[i], fr3.MAX_TORQUE[i]))
    # The tendon pulls each finger with half the actuator's force.
    force = 2.0 * gripper.finger_force_n
    stiffness, damping = 2.0 * gripper.finger_stiffness, 2.0 * gripper.finger_damping
    ET.SubElement(
        actuators, 'general', name=fr3.GRIPPER_ACTUATOR_NAME, tendon=FINGER_TENDON,
        gaintype='fixed', biastype='affine', gainprm=numbers(stiffness),
        biasprm=numbers(0, -stiffness, -damping), ctrlrange=numbers(*fr3.FINGER_RANGE_M),
        forcerange=numbers(-force, force))


def mjcf(
        impedance: JointImpedanceConfig | None = None,
        gripper: GripperConfig | None = None) -> str:
    """Return the MJCF text of arm and hand, with the given or default gains."""
    root = ET.Element('mujoco', model='fr3')
    root.append(ET.Comment(' Written by ocrrl_ros.robot.generate; do not edit. '))
    ET.SubElement(root, 'compiler', angle='radian', autolimits='true')
    _add_defaults(root)
    _add_assets(root)
    _add_hand(_add_arm(ET.SubElement(root, 'worldbody')))
    _add_couplings(root)
    _add_actuators(root, impedance or JointImpedanceConfig(), gripper or GripperConfig())
    ET.indent(root)
    return ET.tostring(root, encoding='unicode') + '\n'
