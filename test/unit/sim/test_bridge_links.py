# SPDX-License-Identifier: Apache-2.0
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.robot.fr3 import BASE_FRAME, READY_POSITION, TCP_FRAME
from ocrrl_ros.robot.kinematics import FrankaKinematics
from ocrrl_ros.sim.bridge_links import LinkTree

Q = np.array(READY_POSITION) + np.linspace(-0.2, 0.3, 7)


def pose_in_base(link, fingers=(0.0, 0.0)):
    """Chain the transforms from the base to a link, as tf does."""
    tree = LinkTree()
    by_child = {
        pose.child: pose for pose in (*tree.moving(Q, np.array(fingers)), *tree.fixed())}
    found = se3.pose_identity()
    while link != BASE_FRAME:
        found = se3.pose_multiply(by_child[link].parent_T_child, found)
        link = by_child[link].parent
    return found


def test_chain_of_links_ends_where_the_kinematics_see_the_tcp():
    np.testing.assert_allclose(
        se3.quat_angle(pose_in_base(TCP_FRAME)[3:], FrankaKinematics().forward(Q)[3:]), 0.0,
        atol=1e-6)
    np.testing.assert_allclose(
        pose_in_base(TCP_FRAME)[:3], FrankaKinematics().forward(Q)[:3], atol=1e-9)


def test_every_link_has_one_parent_and_joints_part_moving_from_fixed_ones():
    tree = LinkTree()
    moving = [pose.child for pose in tree.moving(Q, np.zeros(2))]
    fixed = [pose.child for pose in tree.fixed()]
    assert moving == [
        *(f'fr3_link{i}' for i in range(1, 8)), 'fr3_leftfinger', 'fr3_rightfinger']
    assert fixed == ['fr3_link0', 'fr3_link8', 'fr3_hand', 'fr3_hand_tcp']


def test_fingers_move_apart_by_their_joint_positions():
    apart = pose_in_base('fr3_leftfinger', (0.03, 0.02)) - pose_in_base(
        'fr3_rightfinger', (0.03, 0.02))
    assert np.isclose(np.linalg.norm(apart[:3]), 0.05)
