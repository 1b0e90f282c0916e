# SPDX-License-Identifier: Apache-2.0
"""
Who can hear a simulated graph: this host alone, on a domain of its own.

What the operator has set is never changed. A real robot's graph is left as ROS has it, as its
drivers may run on another computer.
"""

from __future__ import annotations

from collections.abc import Mapping
import os

from ocrrl_ros.interfaces.graph_plan import GraphConfig

RANGE_VARIABLE, DOMAIN_VARIABLE = 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_DOMAIN_ID'
THIS_HOST = 'LOCALHOST'
#: Not 0, where a robot's graph is as a rule: a simulated policy must never reach its arm.
SIM_DOMAIN_ID = 7
_FIRST_RUN_ID, _RUN_IDS = 12, 80


def local_environment(environment: Mapping[str, str], domain_id: int | None) -> dict[str, str]:
    """
    Return the variables that keep a process on this host, less those that the operator has set.

    :param environment: of the operator; an empty value counts as none, as it does for ROS.
    :param domain_id: domain of its own; None keeps ROS's.
    """
    wanted = {RANGE_VARIABLE: THIS_HOST}
    if domain_id is not None:
        wanted[DOMAIN_VARIABLE] = str(domain_id)
    return {name: value for name, value in wanted.items() if not environment.get(name)}


def graph_environment(config: GraphConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the processes of a graph need besides the operator's environment."""
    return local_environment(environment, SIM_DOMAIN_ID) if config.robot == 'sim' else {}


def run_apart() -> None:
    """Keep this process, and all that it starts, on this host and apart from other runs."""
    os.environ.update(local_environment(os.environ, _FIRST_RUN_ID + os.getpid() % _RUN_IDS))


def stay_on_this_host() -> None:
    """Keep this process on this host, on the domain that it has."""
    os.environ.update(local_environment(os.environ, None))
