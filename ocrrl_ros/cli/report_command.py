# SPDX-License-Identifier: Apache-2.0
"""`ocrrl report`: docs/results.md from the kept results, or an HTML file from named ones."""
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.evaluation.report import ReportContent, write_report
from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Report:
    """
    Rebuild docs/results.md and its pictures from the results that are kept.

    With --results one HTML file is written instead, from result files of `ocrrl evaluate` and
    `ocrrl demo`.
    """

    results: tuple[Path, ...] = field(
        default=(), metadata={'description': 'result files (JSON) of an HTML report'})
    out: Path = field(
        default=Path('out/report.html'), metadata={'description': 'the HTML file to write'})
    title: str = field(
        default='ocrrl results', metadata={'description': 'heading of the HTML file'})
    folder: Path = field(
        default=Path('docs/results'), metadata={'description': 'where the results are kept'})
    page: Path = field(
        default=Path('docs/results.md'), metadata={'description': 'the page to rebuild'})
    cells: Path | None = field(default=None, metadata={
        'description': 'declared cells; default: config/results.yaml'})

    def __post_init__(self) -> None:
        """Refuse a report of nothing."""
        if not self.results and not self.folder.is_dir():
            raise ConfigError(f'there is no folder {self.folder} with results; run this in the '
                              'repository, or name files with --results FILE')

    def run(self, console: Console) -> dict[str, Any]:
        """Write the page, or the HTML file."""
        return self._write_html(console) if self.results else self._write_page(console)

    def _write_html(self, console: Console) -> dict[str, Any]:
        """Read the files and write the HTML report."""
        results = [result for path in self.results for result in read_results(path)]
        machine = next((r['machine'] for r in results if r.get('machine')), None)
        files = ' '.join(str(path) for path in self.results)
        write_report(self.out, ReportContent(
            title=self.title, results=results, machine=machine,
            commands=[f'ocrrl report --results {files} --out {self.out}']))
        console.print(f'wrote {self.out}')
        return {'out': str(self.out), 'results': len(results)}

    def _write_page(self, console: Console) -> dict[str, Any]:
        """Rebuild the page of the protocol."""
        from ocrrl_ros.cli.cell_commands import unbuilt
        from ocrrl_ros.evaluation.results.cells import load_plan
        from ocrrl_ros.evaluation.results.page import ResultPage
        from ocrrl_ros.evaluation.results.status import State, StatusReader
        plan = load_plan(self.cells)
        statuses = StatusReader(self.folder, unbuilt).read(plan.cells())
        ResultPage(plan, statuses, self.folder, self.page).write()
        done = sum(status.state is State.DONE for status in statuses)
        console.print(f'wrote {self.page}: {done} of {len(statuses)} cells are done',
                      highlight=False)
        return {'page': str(self.page), 'cells': len(statuses), 'done': done}


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
