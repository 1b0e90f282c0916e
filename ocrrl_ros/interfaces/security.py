# SPDX-License-Identifier: Apache-2.0
"""SROS2 in the graph: the enclave of each process, and settings that would protect nothing."""

from __future__ import annotations

from collections.abc import Mapping

from ocrrl_ros.core.errors import UnknownNameError

_ENABLE, _STRATEGY = 'ROS_SECURITY_ENABLE', 'ROS_SECURITY_STRATEGY'
_OVERRIDE = 'ROS_SECURITY_ENCLAVE_OVERRIDE'
_ROOT = 'ocrrl'


def enclave_path(process: str, namespace: str = '') -> str:
    """
    Return the enclave of a process, such as ``/ocrrl/left/residual_policy``.

    :param namespace: of the graph, with or without slashes.
    """
    return '/' + '/'.join(part for part in (_ROOT, *namespace.split('/'), process) if part)


def is_secured(environment: Mapping[str, str]) -> bool:
    """
    Return whether ROS secures what is started with this environment.

    :raises UnknownNameError: a variable is not written as rcl reads it. It takes every other word
        for no, and would run without protection and without a word.
    """
    for name, allowed in ((_ENABLE, ('true', 'false')), (_STRATEGY, ('Enforce', 'Permissive'))):
        value = environment.get(name, '')
        if value and value not in allowed:
            raise UnknownNameError(name, value, allowed, 'environment')
    return environment.get(_ENABLE) == 'true'


def enclave_arguments(
        process: str, namespace: str, environment: Mapping[str, str]) -> list[str]:
    """
    Return the ROS arguments that put a process into its enclave, where ROS is secured.

    :raises UnknownNameError: as :func:`is_secured`.
    """
    if not is_secured(environment) or environment.get(_OVERRIDE):
        return []
    return ['--enclave', enclave_path(process, namespace)]


def security_note(environment: Mapping[str, str]) -> str:
    """
    Return what to tell who starts a real robot, '' where nothing is to be said.

    :raises UnknownNameError: as :func:`is_secured`.
    """
    if not is_secured(environment):
        return ('SROS2 is off: every program on this network may command the robot; '
                'docs/security.md says how to close that')
    if environment.get(_STRATEGY) != 'Enforce':
        return (f'{_STRATEGY} is not Enforce: a process without keys runs unprotected')
    return ''
