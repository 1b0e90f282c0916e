# SPDX-License-Identifier: Apache-2.0
"""`ocrrl report`."""
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.evaluation.report import ReportContent, write_report
from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one HTML file from the result files of `ocrrl evaluate` and `ocrrl demo`."""

    results: tuple[Path, ...] = field(
        default=(), metadata={'description': 'result files (JSON)'})
    out: Path = field(
        default=Path('out/report.html'), metadata={'description': 'the file to write'})
    title: str = field(default='ocrrl results', metadata={'description': 'heading'})

    def __post_init__(self) -> None:
        """Refuse an empty report."""
        if not self.results:
            raise ConfigError('no result files; name at least one with --results FILE')

    def run(self, console: Console) -> dict[str, Any]:
        """Read the files and write the report."""
        results = [result for path in self.results for result in read_results(path)]
        machine = next((r['machine'] for r in results if r.get('machine')), None)
        files = ' '.join(str(path) for path in self.results)
        write_report(self.out, ReportContent(
            title=self.title, results=results, machine=machine,
            commands=[f'ocrrl report --results {files} --out {self.out}']))
        console.print(f'wrote {self.out}')
        return {'out': str(self.out), 'results': len(results)}


def read_results(path: Path) -> list[dict[str, Any]]:
    """
    Read the results in one file.

    :raises InputError: the file cannot be read or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise InputError(f'cannot read {path}: {error}') from error
    except ValueError as error:
        raise InputError(f'{path} is no JSON: {error}') from error
    found = content.get('results', [content]) if isinstance(content, dict) else content
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(f'{path} holds no results of `ocrrl evaluate` or `ocrrl demo`')
    return found
