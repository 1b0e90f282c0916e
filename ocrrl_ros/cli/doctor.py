# SPDX-License-Identifier: Apache-2.0
"""`ocrrl doctor`: say what this machine lacks and how to install it."""
from dataclasses import asdict, dataclass
from typing import Any

from ocrrl_ros.core.system_check import check_everything
from ocrrl_ros.core.system_packages import ABSENT, FAILED, OK, WARNING
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {OK: 'green', WARNING: 'yellow', ABSENT: 'dim', FAILED: 'bold red'}


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Check this machine and print what is missing with the command that installs it."""

    def run(self, console: Console) -> dict[str, Any]:
        """Print the findings; `passed` is false where the simulated stack cannot run."""
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
