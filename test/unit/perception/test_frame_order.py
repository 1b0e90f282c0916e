# SPDX-License-Identifier: Apache-2.0
"""Late images are told from a clock that was set."""

from ocrrl_ros.perception.frame_order import CLOCK_SET_S, FrameOrder, Order
import pytest


@pytest.mark.parametrize(('stamps', 'orders'), [
    ((5.0, 5.03, 5.07), (Order.NEXT,) * 3),
    ((5.0, 5.0, 4.97, 5.03), (Order.NEXT, Order.LATE, Order.LATE, Order.NEXT)),
    ((65.0, 5.0, 5.03, 5.0), (Order.NEXT, Order.CLOCK_SET_BACK, Order.NEXT, Order.LATE)),
    ((5.0, 1e9, 5.03, 5.07), (Order.NEXT, Order.NEXT, Order.CLOCK_SET_BACK, Order.NEXT)),
    ((5.0, 5.0 - CLOCK_SET_S, 4.4), (Order.NEXT, Order.LATE, Order.CLOCK_SET_BACK))])
def test_every_image_has_its_place(stamps, orders):
    order = FrameOrder()
    assert tuple(order.take(stamp_s) for stamp_s in stamps) == orders
