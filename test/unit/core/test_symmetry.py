# SPDX-License-Identifier: Apache-2.0
"""Tests of core/symmetry.py."""

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.core.symmetry import GROUPS, symmetry_group
import pytest

SIZES = {'none': 1, 'half_turn_z': 2, 'box': 4, 'square_prism': 8, 'square_prism_x': 8,
         'cube': 24, 'revolution': 24, 'cylinder': 48}


@pytest.mark.parametrize('name', GROUPS)
def test_products_of_members_are_members(name):
    group = symmetry_group(name)
    assert len(group) == SIZES[name]
    products = se3.quat_multiply(group[:, None], group).reshape(-1, 4)
    assert np.abs(products @ group.T).max(axis=1).min() > 1.0 - 1e-12
    assert np.abs(group @ group.T - np.diag(np.diag(group @ group.T))).max() < 1.0 - 1e-6


def test_cylinder_swaps_its_ends_and_revolution_does_not():
    up = np.array([0.0, 0.0, 1.0])
    ends = {name: se3.quat_rotate(symmetry_group(name), up)[:, 2]
            for name in ('revolution', 'cylinder')}
    np.testing.assert_allclose(ends['revolution'], 1.0)
    np.testing.assert_allclose(ends['cylinder'], [1.0] * 24 + [-1.0] * 24)


def test_unknown_group_names_the_known_ones():
    with pytest.raises(UnknownNameError, match='cylinder'):
        symmetry_group('sphere')
