# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench jerk`."""
from dataclasses import dataclass, fields
from typing import Any

from ocrrl_ros.evaluation.boundary_jerk import bench_boundary_jerk, BoundaryJerkConfig
from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class BenchJerk(BoundaryJerkConfig):
    """Compare joint jerk at chunk boundaries, shaped and as a direct publisher would send it."""

    def run(self, console: Console) -> dict[str, Any]:
        """Run the episodes and print both peaks."""
        from ocrrl_ros.evaluation.provenance import read_git_state
        git = read_git_state()
        settings = {item.name: getattr(self, item.name) for item in fields(BoundaryJerkConfig)}
        with console.status('running episodes') as status:
            result = bench_boundary_jerk(
                BoundaryJerkConfig(**settings),
                lambda done: status.update(f'{done} of {self.episodes} episodes'))
        goals = result['goals']
        console.print(
            f'{result["boundaries"]} chunk boundaries at {self.rate_hz:.0f} Hz, peak joint jerk: '
            f'direct {result["direct_peak_rad_s3"]:.3g}, '
            f'shaped {result["shaped_peak_rad_s3"]:.3g} rad/s^3 '
            f'(limit {goals["shaped_peak_rad_s3"]:.0f}); '
            f'{result["ratio"]:.3g} times lower (goal {goals["ratio"]:.0f})', highlight=False)
        return result | {'git': git.commit, 'git_dirty': git.dirty}
