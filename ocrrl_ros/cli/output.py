# SPDX-License-Identifier: Apache-2.0
"""What the commands share in showing results: progress bars, rates as text."""
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress import TimeElapsedColumn, TimeRemainingColumn


def progress_bar(console: Console) -> Progress:
    """Build the progress bar of long work; drawn rarely, as the work needs the processor."""
    return Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
                    TimeElapsedColumn(), TimeRemainingColumn(), TextColumn('{task.fields[note]}'),
                    console=console, refresh_per_second=2)


def rate_text(rate: float, interval: tuple[float, float] | list[float]) -> str:
    """Write a rate and its interval as percent."""
    return f'{100 * rate:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]'
