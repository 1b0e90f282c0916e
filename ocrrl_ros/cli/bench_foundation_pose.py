# SPDX-License-Identifier: Apache-2.0
"""`ocrrl bench foundation-pose`."""
from dataclasses import dataclass
from typing import Any

from ocrrl_ros.cli.output import progress_bar
from ocrrl_ros.evaluation.foundation_pose_check import (
    FoundationPoseCheck, FoundationPoseCheckConfig)
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class BenchFoundationPose(FoundationPoseCheckConfig):
    """
    Check a downloaded pair of FoundationPose networks on renders whose truth is known.

    The files are refine_model.onnx and score_model.onnx of NVIDIA's foundationpose:1.0.1_onnx,
    under NVIDIA's licence; they do not come with ocrrl. Fails unless nine of ten poses are within
    5 mm and 5 deg, registered and tracked.
    """

    def run(self, console: Console) -> dict[str, Any]:
        """Register, track and print what came out."""
        from ocrrl_ros.evaluation.provenance import describe_machine, read_git_state
        check = FoundationPoseCheck(self)
        try:
            with progress_bar(console) as bar:
                work = bar.add_task('FoundationPose', total=self.sequences, note='')
                result = check.run(lambda what, done, total: bar.update(
                    work, description=what, completed=done, total=total))
        finally:
            check.close()
        console.print(_table(result))
        git = read_git_state()
        return result | {
            'machine': describe_machine(), 'git': git.commit, 'git_dirty': git.dirty}


def _table(result: dict[str, Any]) -> Table:
    """Lay out a line for registering and one for tracking."""
    table = Table('', 'poses', 'found', 'good', 'mm', 'deg', 'ms',
                  title=f'{result["object"]}, {result["hypotheses"]} hypotheses: p50/p95')
    for name in ('register', 'track'):
        row = result[name]
        table.add_row(
            name, str(row['n']), str(row['found']), f'{100 * row["good_share"]:.0f} %', *(
                '-' if row[key] is None else f'{row[key]["p50"]:.1f}/{row[key]["p95"]:.1f}'
                for key in ('position_mm', 'rotation_deg', 'wall_ms')))
    return table
