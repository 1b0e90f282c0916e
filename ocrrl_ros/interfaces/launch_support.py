# SPDX-License-Identifier: Apache-2.0
"""
Turn the plan of the graph into launch actions; imported by the files in launch/ alone.

The launch files stay declarations: what runs with which parameters is ``graph_plan``, the same
that ``stack`` starts.
"""

from __future__ import annotations

import dataclasses
import os

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument, EmitEvent, IncludeLaunchDescription, LogInfo, OpaqueFunction)
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare
from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.interfaces.graph_plan import (
    GraphConfig, group_processes, NodePlan, parse_arguments, plan_graph, process_arguments,
    process_executable, SUBSYSTEMS)
from ocrrl_ros.interfaces.locality import graph_environment
from ocrrl_ros.interfaces.security import enclave_arguments, security_note
from ocrrl_ros.interfaces.spin import fastdds_environment, sparing_environment
from ocrrl_ros.interfaces.supervisor import KILL_AFTER_S, TERM_AFTER_S

PACKAGE = 'ocrrl'


def declared_arguments() -> list[DeclareLaunchArgument]:
    """Return one launch argument per field of ``GraphConfig``, with default and description."""
    return [
        DeclareLaunchArgument(
            field.name, default_value=_text(field.default),
            description=field.metadata['description'])
        for field in dataclasses.fields(GraphConfig)]


def subsystem_description(name: str) -> LaunchDescription:
    """Return the launch description of one sub-system, usable alone or included."""
    def nodes(context: LaunchContext) -> list[Node]:
        config = config_from_context(context)
        return [
            process_action(group, config)
            for group in group_processes(plan_graph(config), config.compose)
            if group[0].name in SUBSYSTEMS[name]]

    return LaunchDescription([*declared_arguments(), OpaqueFunction(function=nodes)])


def graph_description() -> LaunchDescription:
    """Return the whole graph: every sub-system."""
    arguments = {
        field.name: LaunchConfiguration(field.name)
        for field in dataclasses.fields(GraphConfig)}
    includes = [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(PathJoinSubstitution(
                [FindPackageShare(PACKAGE), 'launch', f'{name}.launch.py'])),
            launch_arguments=arguments.items())
        for name in SUBSYSTEMS]
    return LaunchDescription([
        *declared_arguments(), OpaqueFunction(function=_security_notes), *includes])


def _security_notes(context: LaunchContext) -> list[LogInfo]:
    """Say who may command a real robot, where that is everybody."""
    note = security_note(os.environ)
    return [LogInfo(msg=note)] if note and config_from_context(context).robot == 'fr3' else []


def config_from_context(context: LaunchContext) -> GraphConfig:
    """Return the launch arguments as the graph's checked settings."""
    values = [
        f'{field.name}:={LaunchConfiguration(field.name).perform(context)}'
        for field in dataclasses.fields(GraphConfig)]
    return from_mapping(GraphConfig, parse_arguments(values), 'launch arguments')


def process_action(group: tuple[NodePlan, ...], config: GraphConfig) -> Node:
    """
    Return the action that runs one process; the graph ends when a needed one does.

    A plain node also where it is a lifecycle node: those start themselves, here as under
    ``stack``, and launch needs no right to change their state.
    """
    files = [config.params_file] if config.params_file else []
    executable = process_executable(group)
    local = graph_environment(config, os.environ)
    environment = sparing_environment() | local | fastdds_environment({**os.environ, **local})
    common = {
        'package': PACKAGE, 'executable': executable, 'namespace': config.namespace,
        'ros_arguments': enclave_arguments(
            executable, config.namespace, os.environ) or None,
        'output': 'screen', 'respawn': False, 'additional_env': environment,
        'sigterm_timeout': str(TERM_AFTER_S), 'sigkill_timeout': str(KILL_AFTER_S - TERM_AFTER_S),
        'on_exit': EmitEvent(event=Shutdown(reason=f'{executable} ended'))}
    if len(group) > 1:
        # Without a name: launch would give it to every node of the process.
        return Node(arguments=process_arguments(group), parameters=files, **common)
    plan, = group
    return Node(name=plan.name, parameters=[plan.parameters, *files], **common)


def _text(value: object) -> str:
    """Return a default as launch writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
