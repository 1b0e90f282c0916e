# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench corrections`."""
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ocrrl_ros.evaluation.corrections import CorrectionsConfig, log_corrections
from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class BenchCorrections(CorrectionsConfig):
    """Log one episode's targets of the base and after the residual, and draw them."""

    picture: Path | None = field(
        default=None, metadata={'description': 'draw the episode into this PNG'})

    def run(self, console: Console) -> dict[str, Any]:
        """Run the episode and say how large the corrections were."""
        from ocrrl_ros.evaluation.provenance import read_git_state
        from ocrrl_ros.evaluation.results.plots import correction_plot
        git = read_git_state()
        settings = {item.name: getattr(self, item.name) for item in fields(CorrectionsConfig)}
        result = log_corrections(CorrectionsConfig(**settings))
        if self.picture is not None:
            correction_plot(result, self.picture)
        result['summary'] = (
            f'{result["outcome"]} after {result["duration_s"]:.1f} s; corrections '
            f'{result["mean_mm"]:.1f} mm on average, at most {result["largest_mm"]:.1f} mm')
        console.print(result['summary'], highlight=False)
        return result | {'git': git.commit, 'git_dirty': git.dirty}
