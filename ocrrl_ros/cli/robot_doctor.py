# SPDX-License-Identifier: Apache-2.0
"""The part of `ocrrl doctor` that looks at a robot: what would refuse to start, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, TYPE_CHECKING

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.host_check import check_host, UNKNOWN
from ocrrl_ros.core.system_check import check_locked_memory, check_realtime
from ocrrl_ros.core.system_packages import ABSENT, CheckResult, FAILED, OK, WARNING
from ocrrl_ros.robot.arming_config import ArmChoice, ArmingConfig, FACTS, TARGET_OF_SINK
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ocrrl_ros.interfaces.robot_examination import Examination

REFUSED, SKIPPED, NOT_NEEDED = 'refused', 'skipped', 'not needed'
STYLES = {
    OK: 'green', WARNING: 'yellow', UNKNOWN: 'bold yellow', REFUSED: 'bold red',
    SKIPPED: 'yellow', NOT_NEEDED: 'dim'}
_FAST_DDS = 'rmw_fastrtps_cpp'


@dataclass(frozen=True, kw_only=True)
class RobotDoctor:
    """How to look at a robot; used with `--robot`."""

    arm: ArmChoice = field(default='auto', metadata={'description': (
        'with --robot: what drives the arm; auto tells it by the nodes that run')})
    robot_ip: str = field(default='', metadata={'description': (
        'with --robot --arm fci: address of the control box, to which a connection is tried '
        'where no fci_arm runs; nothing moves')})
    namespace: str = field(default='', metadata={
        'description': "with --robot: namespace of the robot's nodes"})
    timeout_s: float = field(default=10.0, metadata={
        'description': 'with --robot: longest look at the robot, s'})
    target: str = field(default='target_joint', metadata={'description': (
        'with --robot: topic on which targets will go: target_joint, target_pose, or '
        "CONTROLLER/TOPIC of a controller that is not CRISP's, as "
        'fr3_arm_controller/joint_trajectory')})
    skip: tuple[str, ...] = field(default=(), metadata={
        'description': f'with --robot: facts that may stay unknown: {", ".join(FACTS)}'})
    controllers: tuple[str, ...] = field(default=(), metadata={
        'description': 'with --robot: controllers that may take the targets, if other than usual'})
    load_mass_kg: float = field(default=0.0, metadata={
        'description': 'with --robot: what is mounted besides the hand, kg'})
    joint_state_topic: str = field(default='franka/joint_states', metadata={
        'description': 'with --robot: measured joint states'})
    robot_file: str = field(default='config/robots/fr3.yaml', metadata={
        'description': 'with --robot: gains and clips that the policy was trained with'})

    def __post_init__(self) -> None:
        """Refuse what cannot be looked at."""
        if not 3.0 <= self.timeout_s <= 300.0:
            raise ConfigError(f'timeout_s is {self.timeout_s} s; allowed: 3 .. 300')
        self.arming()

    def arming(self) -> ArmingConfig:
        """
        Return what is allowed.

        :raises ConfigError: a fact is unknown or a value out of range.
        """
        return ArmingConfig(
            target=self.target, skip=self.skip, controllers=self.controllers,
            checks_gains=self.target in TARGET_OF_SINK.values(),
            load_mass_kg=self.load_mass_kg)

    def run(self, console: Console) -> dict[str, Any]:
        """Look, print a table, say what could not be checked."""
        from ocrrl_ros.interfaces.robot_examination import examine_robot
        from ocrrl_ros.robot.robot_config import load_robot
        robot = load_robot(self.robot_file)
        with console.status(f'looking at the robot, {self.timeout_s:g} s at most'):
            found = examine_robot(
                self.arm, self.arming(), robot, namespace=self.namespace,
                timeout_s=self.timeout_s, joint_state_topic=self.joint_state_topic)
            results = [self._arm_line(found), *_findings(found)]
            results += [_middleware_line(found), *self._fci_lines(found)]
            results += [check_realtime(), check_locked_memory(), *check_host()]
        show(console, results)
        return summary(console, found, results)

    def _arm_line(self, found: Examination) -> CheckResult:
        """Say as what the arm was checked."""
        where = f'namespace /{self.namespace.strip("/")}, {found.reach}'
        if found.found_node or self.arm != 'auto':
            by = f'node {found.found_node} runs' if self.arm == 'auto' else 'as asked for'
            return CheckResult('arm', OK, f'checked as {found.arm}: {by} ({where})')
        return CheckResult(
            'arm', UNKNOWN, f'checked as {found.arm}, but no node of an arm was found ({where}; '
            f'nodes there: {", ".join(found.nodes) or "none"})',
            'start the driver; where it runs on another computer give both the same '
            'ROS_DOMAIN_ID and a discovery range that reaches it')

    def _fci_lines(self, found: Examination) -> list[CheckResult]:
        """Try the control box where that was asked for and nobody else is connected."""
        if not self.robot_ip:
            return []
        if found.arm != 'fci' or 'fci_arm' in found.nodes:
            why = ('fci_arm holds the connection; fci_arm/state tells more' if found.arm == 'fci'
                   else f'only with --arm fci; {found.arm} has a connection of its own')
            return [CheckResult('FCI', NOT_NEEDED, f'no connection was tried: {why}')]
        from ocrrl_ros.robot.adapters.franka_fci.reachability import check_fci
        result = check_fci(self.robot_ip)
        state = {FAILED: REFUSED, WARNING: REFUSED, ABSENT: UNKNOWN}.get(
            result.state, result.state)
        return [CheckResult(result.name, state, result.detail, result.remedy)]


def _findings(found: Examination) -> list[CheckResult]:
    """Return the findings of the arm as lines."""
    return [
        CheckResult(item.fact, item.verdict, item.detail, item.remedy)
        for item in found.report.findings]


def _middleware_line(found: Examination) -> CheckResult:
    """Say which DDS is used; on networks of several computers not every one is harmless."""
    detail = f'{found.middleware}; {found.reach}'
    if found.arm != 'franka_ros2' or found.middleware != _FAST_DDS:
        return CheckResult('DDS', OK, detail)
    return CheckResult(
        'DDS', WARNING, f'{detail}; with several computers Fast DDS is reported to disturb the '
        '1 kHz loop of franka_ros2 (its issue 201)',
        'export RMW_IMPLEMENTATION=rmw_cyclonedds_cpp on every computer (not tried here)')


def show(console: Console, results: list[CheckResult]) -> None:
    """Print the table, then a remedy per line."""
    table = Table(title='ocrrl doctor --robot', title_justify='left')
    for heading in ('check', 'state', 'finding'):
        table.add_column(heading, overflow='fold')
    for result in results:
        table.add_row(
            result.name, Text(result.state, STYLES[result.state]), Text(result.detail))
    console.print(table)
    for result in results:
        if result.remedy:
            console.print(
                Text(f'{result.name}: ', STYLES[result.state]) + Text(result.remedy),
                soft_wrap=True)


def summary(
        console: Console, found: Examination, results: list[CheckResult]) -> dict[str, Any]:
    """Print and return the verdict, with what could not be checked."""
    refused = [item.name for item in results if item.state == REFUSED]
    unchecked = [item.name for item in results if item.state in (UNKNOWN, SKIPPED)]
    blocking = [item.fact for item in found.report.of('refused') + found.report.of('unknown')]
    passed = not blocking and not refused
    if refused:
        console.print(Text('refused: ' + ', '.join(refused), 'bold red'), soft_wrap=True)
    if unchecked:
        console.print('could not be checked: ' + ', '.join(unchecked), soft_wrap=True)
    console.print(
        f'the {found.arm} arm may start an episode' if passed else
        f'the {found.arm} arm may not start an episode', highlight=False, soft_wrap=True)
    return {
        'passed': passed, 'arm': found.arm, 'found_node': found.found_node, 'refused': refused,
        'could_not_be_checked': unchecked, 'checks': [asdict(item) for item in results]}
