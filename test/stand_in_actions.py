# SPDX-License-Identifier: Apache-2.0
"""
The actions of franka_msgs and control_msgs, carried by the one of the wheels that holds numbers.

franka_msgs and control_msgs are no wheels, and action types cannot be made without a compiler.
``test_msgs/NestedMessage`` is a real one, with numbers in its goal, result and feedback: here its
classes get the fields of the absent types, each kept in a number of the message. Goals and results
so travel over DDS like the real ones; that a goal has no field too many is tested elsewhere.
"""

from test_msgs.action import NestedMessage

#: A result's text travels as its place in this list.
ERRORS = ('', 'the fingers did not move', 'nothing was there')
_MICRO = 1e-6


def _whole(name):
    """Return a property that is kept in a number as it is."""
    return property(
        lambda self: getattr(self.nested_field, name),
        lambda self, value: setattr(self.nested_field, name, value))


def _scaled(name):
    """Return a property that is kept in a whole number of millionths."""
    return property(
        lambda self: getattr(self.nested_field, name) * _MICRO,
        lambda self, value: setattr(self.nested_field, name, round(value / _MICRO)))


class _Nested:
    """A message inside a message: reads and writes numbers of the outer one."""

    def __init__(self, outer):
        """Keep the outer message."""
        self.nested_field = outer.nested_field


class _Epsilon(_Nested):
    """franka_msgs/GraspEpsilon."""

    inner, outer = _scaled('int32_value'), _scaled('uint32_value')


class _Command(_Nested):
    """control_msgs/GripperCommand, the message."""

    position, max_effort = _whole('float64_value'), _scaled('int64_value')


def _add_fields():
    """Give the classes of the action their fields."""
    goal, result, feedback = NestedMessage.Goal, NestedMessage.Result, NestedMessage.Feedback
    goal.width, goal.speed = _whole('float64_value'), _scaled('uint64_value')
    goal.force = _scaled('int64_value')
    goal.epsilon, goal.command = property(_Epsilon), property(_Command)
    result.success, result.position = _whole('bool_value'), _whole('float64_value')
    result.error = property(
        lambda self: ERRORS[self.nested_field.uint8_value],
        lambda self, text: setattr(self.nested_field, 'uint8_value', ERRORS.index(text)))
    result.effort, result.stalled = _scaled('int64_value'), property(
        lambda self: self.nested_field.int8_value == 1,
        lambda self, value: setattr(self.nested_field, 'int8_value', int(value)))
    result.reached_goal = property(
        lambda self: self.nested_field.int16_value == 1,
        lambda self, value: setattr(self.nested_field, 'int16_value', int(value)))
    feedback.current_width = _whole('float64_value')


_add_fields()
Move = Grasp = Homing = GripperCommand = NestedMessage


def write_packages(folder):
    """Write packages franka_msgs and control_msgs that give these actions into a folder."""
    for package in ('franka_msgs', 'control_msgs'):
        (folder / package).mkdir(parents=True)
        (folder / package / '__init__.py').write_text('')
        (folder / package / 'action.py').write_text(
            'from stand_in_actions import Grasp, GripperCommand, Homing, Move\n')
