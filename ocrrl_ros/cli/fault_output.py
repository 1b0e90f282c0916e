# SPDX-License-Identifier: Apache-2.0
"""Show what faults did to the episodes of an evaluation."""
from collections.abc import Mapping
from typing import Any, TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from ocrrl_ros.evaluation.faults.record import FaultRecord

_MOST_STATES = 6


def fault_text(fault: 'FaultRecord') -> str:
    """Write the fault of one episode."""
    if not fault.met:
        return f'{fault.name}: the episode was over before it'
    back = 'stopped' if fault.is_stopped else (
        'ended before recovery' if fault.recovery_s is None else
        f'moving again after {fault.recovery_s:.2f} s')
    return (f'{fault.name} at {fault.begin_s:.2f} s for {fault.lasts_s:.2f} s, {back}, '
            f'{sum(fault.violations.values())} violations')


def fault_table(block: Mapping[str, Any]) -> Table:
    """Lay out the figures of every fault."""
    table = Table('fault', 'n', 'violations', 'recovered', 'median s', 'worst s', 'stopped',
                  'success', 'refused')
    for name, row in block['by_fault'].items():
        times = row['recovery_s']
        table.add_row(
            name, str(row['n']), str(row['violations_total']), str(row['recovered']),
            *('', '') if times is None else (f'{times["median"]:.2f}', f'{times["worst"]:.2f}'),
            str(row['stopped']), f'{row["successes"]} of {row["n"]}', str(row['refused']))
    return table


def state_lines(block: Mapping[str, Any]) -> list[str]:
    """Write the states that every fault showed, the most frequent first."""
    return [f'{name}: {"; ".join(list(row["states"])[:_MOST_STATES])}'
            for name, row in block['by_fault'].items()]


def fault_line(block: Mapping[str, Any]) -> str:
    """Write the figure that counts."""
    return (f'{block["violations_total"]} violations in {block["commands"]} published commands '
            '(goal 0)')
