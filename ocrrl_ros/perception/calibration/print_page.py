# SPDX-License-Identifier: Apache-2.0
"""A page for the printer: a board in its true size, with a ruler to check that it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.perception.calibration.board import CalibrationBoard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPERS_M = {'a4': (0.210, 0.297), 'a3': (0.297, 0.420), 'a2': (0.420, 0.594),
            'letter': (0.2159, 0.2794)}
_INCH_M = 0.0254
_MARGIN_M, _FOOT_M, _RULER_M = 0.008, 0.012, 0.1


def write_page(path: Path, board: CalibrationBoard, paper: str) -> None:
    """
    Write a PDF with a board in the middle of a page, upright or across, whichever it fits.

    :param paper: a key of `PAPERS_M`.
    :raises ConfigError: the board is larger than the paper.
    :raises OcrrlError: the file cannot be written.
    """
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    figure = draw_page(board, paper)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasPdf(figure).print_figure(path, format='pdf')
    except OSError as error:
        raise OcrrlError(f'cannot write {path}: {error}') from error


def draw_page(board: CalibrationBoard, paper: str) -> Figure:
    """Return the page as a figure of its true size."""
    from matplotlib.figure import Figure
    width, height = board.config.size_m
    page = page_size(board, paper)
    figure = Figure(figsize=(page[0] / _INCH_M, page[1] / _INCH_M))
    left, bottom = (page[0] - width) / 2, (page[1] - height + _FOOT_M) / 2
    axes = figure.add_axes((left / page[0], bottom / page[1], width / page[0], height / page[1]))
    axes.imshow(board.draw(), cmap='gray', interpolation='none', aspect='auto')
    axes.set_axis_off()
    config = board.config
    figure.text(
        0.5, (bottom - 0.006) / page[1],
        f'{config.kind} {config.columns} x {config.rows}, {config.dictionary_name}, '
        f'square_m {config.square_m:g}, marker_m {config.marker_m:g}. '
        'Print at 100 %; the line is 100 mm long.', ha='center', va='top', fontsize=7)
    ruler = figure.add_axes((
        (page[0] - _RULER_M) / 2 / page[0], (bottom - 0.012) / page[1], _RULER_M / page[0],
        0.002 / page[1]))
    ruler.axvspan(0.0, 1.0, color='black')
    ruler.set_xlim(0.0, 1.0)
    ruler.set_axis_off()
    return figure


def page_size(board: CalibrationBoard, paper: str) -> tuple[float, float]:
    """
    Return width and height of the page, m.

    :raises ConfigError: the board does not fit in either direction.
    """
    width, height = board.config.size_m
    for page in (PAPERS_M[paper], PAPERS_M[paper][::-1]):
        if width + 2 * _MARGIN_M <= page[0] and height + 2 * _MARGIN_M + _FOOT_M <= page[1]:
            return page
    raise ConfigError(
        f'a board of {1e3 * width:.0f} x {1e3 * height:.0f} mm does not fit on {paper} '
        f'({1e3 * PAPERS_M[paper][0]:.0f} x {1e3 * PAPERS_M[paper][1]:.0f} mm) with margins of '
        f'{1e3 * _MARGIN_M:.0f} mm and a line below; papers: {", ".join(PAPERS_M)}')
