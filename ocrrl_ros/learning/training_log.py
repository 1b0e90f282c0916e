# SPDX-License-Identifier: Apache-2.0
"""Learning curve of a training run: one CSV, and a picture of it."""

from __future__ import annotations

import csv
from pathlib import Path

_CURVES = (
    (('success_greedy', 'success_all'), 'success rate'), (('value', 'actor_value'), 'value'),
    (('critic_loss', 'imitation_loss'), 'loss'), (('action_rms', 'saturated'), 'action'))


class TrainingLog:
    """Rows of named numbers; the first row's names are the columns."""

    def __init__(self, path: Path):
        """Append to an existing file or start one at the first row."""
        self.path = path
        self.rows: list[dict[str, float]] = []

    def add(self, row: dict[str, float]) -> None:
        """Keep a row and append it to the file."""
        self.rows.append(row)
        new = not self.path.exists()
        with self.path.open('a', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, list(row), extrasaction='ignore', restval='')
            if new:
                writer.writeheader()
            writer.writerow({key: f'{value:.6g}' for key, value in row.items()})

    def resume(self, last_step: int) -> None:
        """Read back the rows up to a step and drop later ones, which will be made again."""
        if not self.path.exists():
            return
        with self.path.open(newline='', encoding='utf-8') as file:
            rows = [{k: float(v or 'nan') for k, v in row.items()} for row in csv.DictReader(file)]
        self.path.unlink()
        self.rows = []
        for row in rows:
            if row['steps'] <= last_step:
                self.add(row)

    def plot(self, path: Path) -> None:
        """Write the curves as a PNG."""
        if not self.rows:
            return
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 6), layout='constrained')
        FigureCanvasAgg(figure)
        for axis, (names, title) in zip(figure.subplots(2, 2).flat, _CURVES):
            for name in names:
                points = [(row['steps'], row[name]) for row in self.rows if name in row]
                axis.plot(*zip(*points), label=name) if points else None
            axis.set_title(title)
            axis.set_xlabel('environment steps')
            if axis.lines:
                axis.legend()
        figure.savefig(path, dpi=100)
