# SPDX-License-Identifier: Apache-2.0
"""`ocrrl doctor`: say what this machine, or with `--robot` a robot, lacks and what helps."""
from dataclasses import asdict, dataclass, field
from typing import Any

from ocrrl_ros.cli.robot_doctor import RobotDoctor
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.system_check import check_everything
from ocrrl_ros.core.system_packages import ABSENT, FAILED, OK, WARNING
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {OK: 'green', WARNING: 'yellow', ABSENT: 'dim', FAILED: 'bold red'}


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """
    Check this machine and print what is missing with the command that installs it.

    With `--robot`: look at the robot that runs, and say what would refuse to start an episode and
    what could not be checked. It only listens and asks; nothing moves.
    """

    robot: bool = field(default=False, metadata={
        'description': 'look at a running robot instead: franka_ros2, fci_arm or mujoco_bridge'})
    robot_options: RobotDoctor = RobotDoctor()

    def __post_init__(self) -> None:
        """Refuse options that would have no effect."""
        if not self.robot and self.robot_options != RobotDoctor():
            raise ConfigError(
                f'options of the robot are given without --robot: {self.robot_options}')

    def run(self, console: Console) -> dict[str, Any]:
        """Print the findings; `passed` is false where stack or robot are not ready."""
        if self.robot:
            return self.robot_options.run(console)
        with console.status('looking at this machine'):
            results = check_everything()
        table = Table(title='ocrrl doctor', title_justify='left')
        for heading in ('check', 'state', 'finding'):
            table.add_column(heading, overflow='fold')
        for result in results:
            table.add_row(result.name, Text(result.state, STYLES[result.state]),
                          Text(result.detail))
        console.print(table)
        for result in results:
            if result.remedy:
                console.print(Text(f'{result.name}: ', STYLES[result.state]) + Text(result.remedy),
                              soft_wrap=True)
        failed = [result.name for result in results if result.state == FAILED]
        console.print('not ready: ' + ', '.join(failed) if failed else
                      'ready: everything that the simulated stack needs is there')
        return {'passed': not failed, 'checks': [asdict(result) for result in results]}
