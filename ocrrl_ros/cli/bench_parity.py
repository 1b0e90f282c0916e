# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench parity`."""
from dataclasses import dataclass
from typing import Any, TYPE_CHECKING

from ocrrl_ros.cli.output import progress_bar
from ocrrl_ros.evaluation.parity import bench_parity, ParityConfig
from rich.console import Console

if TYPE_CHECKING:
    from ocrrl_ros.evaluation.episode_record import EpisodeRecord


@dataclass(frozen=True, kw_only=True)
class BenchParity(ParityConfig):
    """Compare training physics and timing with those of evaluation and the bridge."""

    def run(self, console: Console) -> dict[str, Any]:
        """Compare and print the differences."""
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        with progress_bar(console) as bar:
            work = bar.add_task('expert, evaluation path', total=self.episodes or None, note='')

            def show(done: int, total: int, record: 'EpisodeRecord') -> None:
                bar.update(work, completed=done)

            result = bench_parity(self, show)
        for name, text in (
                ('joint_impedance', 'training against evaluation (goal <= 2 mm, <= 1 deg)'),
                ('cartesian_impedance', 'Cartesian against joint law of the bridge')):
            ways = result[name]
            console.print(
                f'{text}: TCP over {ways["chunks"]} chunks {ways["tcp_rms_mm"]:.2f} mm and '
                f'{ways["tcp_rms_deg"]:.2f} deg rms; largest {ways["tcp_max_mm"]:.1f} mm, '
                f'{ways["tcp_max_deg"]:.1f} deg', highlight=False)
        if 'expert' in result:
            expert = result['expert']
            console.print(
                f'expert over {expert["episodes"]} episodes: training '
                f'{100 * expert["training_rate"]:.1f} %, evaluation '
                f'{100 * expert["evaluation_rate"]:.1f} %, difference '
                f'{100 * expert["difference"]:+.1f} points (goal within 1)', highlight=False)
        git = read_git_state()
        return result | {'machine': describe_machine(), 'git': git.commit, 'git_dirty': git.dirty}
