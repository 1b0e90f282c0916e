# SPDX-License-Identifier: Apache-2.0
"""What the commands share in writing results: JSON files, progress bars, rates as text."""
import json
from pathlib import Path
from typing import Any

from ocrrl_ros.core.errors import OcrrlError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress import TimeElapsedColumn, TimeRemainingColumn


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write a result; a partly written file never takes the place of a whole one."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + '.part')
        partial.write_text(json.dumps(result, indent=1, allow_nan=False) + '\n', encoding='utf-8')
        partial.replace(path)
    except OSError as error:
        raise OcrrlError(f'cannot write {path}: {error}') from error


def progress_bar(console: Console) -> Progress:
    """Build the progress bar of long work; drawn rarely, as the work needs the processor."""
    return Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
                    TimeElapsedColumn(), TimeRemainingColumn(), TextColumn('{task.fields[note]}'),
                    console=console, refresh_per_second=2)


def rate_text(rate: float, interval: tuple[float, float] | list[float]) -> str:
    """Write a rate and its interval as percent."""
    return f'{100 * rate:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]'
