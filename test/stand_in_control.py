# SPDX-License-Identifier: Apache-2.0
"""
franka_msgs and controller_manager_msgs, as far as a recovery needs them, carried by the wheels.

Neither is a wheel, and types cannot be made without a compiler. Types of test_msgs get the fields
of the absent ones, each kept in a number or text of the message, so that requests and answers
travel over DDS like the real ones. The fields are those of facts/franka.md sections 1.5 and 1.6
and of ros2_control's interfaces: a request with another field raises.
"""

import json
from types import SimpleNamespace

from std_msgs.msg import Header, UInt8
from test_msgs.action import NestedMessage
from test_msgs.srv import BasicTypes

ErrorRecovery = FollowJointTrajectory = NestedMessage
#: With its mode alone.
FrankaRobotState = UInt8


class _State:
    """lifecycle_msgs/State inside a request or an answer."""

    def __init__(self, outer):
        """Keep the outer message."""
        self._outer = outer

    id = property(  # noqa: A003
        lambda self: self._outer.uint8_value,
        lambda self, value: setattr(self._outer, 'uint8_value', value))
    label = property(
        lambda self: self._outer.string_value.partition('|')[2],
        lambda self, value: setattr(self._outer, 'string_value', '|'.join(
            [self._outer.string_value.partition('|')[0], value])))


def _listed(self):
    """Return a list of things with a name and a state, which travels as JSON."""
    return [SimpleNamespace(
        name=name, state=SimpleNamespace(label=state) if self.bool_value else state,
        claimed_interfaces=[], plugin_name='') for name, state in json.loads(self.string_value)]


def _add_fields():
    """Give the classes of message and service their fields."""
    UInt8.robot_mode = property(
        lambda self: self.data, lambda self, value: setattr(self, 'data', value))
    # A header that is written is lost: the mode alone travels.
    UInt8.header = property(lambda self: Header())
    request, response = BasicTypes.Request, BasicTypes.Response
    request.name = property(
        lambda self: self.string_value.partition('|')[0],
        lambda self, value: setattr(self, 'string_value', f'{value}|'))
    request.target_state = response.state = property(_State)
    request.activate_controllers = property(
        lambda self: json.loads(self.string_value),
        lambda self, value: setattr(self, 'string_value', json.dumps(value)))
    request.strictness = property(
        lambda self: self.int32_value, lambda self, value: setattr(self, 'int32_value', value))
    response.ok = property(
        lambda self: self.bool_value, lambda self, value: setattr(self, 'bool_value', value))
    response.controller = response.component = property(_listed)


_add_fields()
ListControllers = ListHardwareComponents = BasicTypes
SetHardwareComponentState = SwitchController = BasicTypes


def fill_list(response, states, *, are_components):
    """Put names and states into the answer of a listing."""
    response.bool_value = are_components
    response.string_value = json.dumps(list(states.items()))
    return response


def write_packages(folder, *names):
    """Write those packages that are named into a folder."""
    modules = {
        'control_msgs': {'action': 'FollowJointTrajectory'},
        'franka_msgs': {'action': 'ErrorRecovery', 'msg': 'FrankaRobotState'},
        'controller_manager_msgs': {'srv': (
            'ListControllers, ListHardwareComponents, SetHardwareComponentState, '
            'SwitchController')}}
    for package in names:
        (folder / package).mkdir(parents=True)
        (folder / package / '__init__.py').write_text('')
        for module, content in modules[package].items():
            (folder / package / f'{module}.py').write_text(
                f'from stand_in_control import {content}\n')
