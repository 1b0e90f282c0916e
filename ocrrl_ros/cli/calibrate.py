# SPDX-License-Identifier: Apache-2.0
"""`ocrrl calibrate board` and `ocrrl calibrate camera`."""

from __future__ import annotations

from dataclasses import dataclass, field
import math
from pathlib import Path
import time
from typing import Any, Literal, TYPE_CHECKING

from ocrrl_ros.cli.output import progress_bar
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.calibration.board import BoardConfig
from ocrrl_ros.perception.calibration.capture import CaptureConfig
from ocrrl_ros.perception.calibration.hand_eye import ErrorModel, Mount
from ocrrl_ros.perception.calibration.quality import CalibrationLimits
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ocrrl_ros.perception.calibration.hand_eye import Sighting
    from ocrrl_ros.perception.calibration.quality import Calibration
    from ocrrl_ros.perception.calibration.samples import CalibrationSample, SampleFolder

_POLL_S = 0.01


@dataclass(frozen=True, kw_only=True)
class CalibrateBoard:
    """Write a calibration board as a PDF to print at 100 %."""

    out: Path = field(default=Path('out/board.pdf'), metadata={'description': 'PDF to write'})
    paper: Literal['a4', 'a3', 'a2', 'letter'] = field(
        default='a4', metadata={'description': 'size of the paper'})
    board: BoardConfig = BoardConfig()

    def run(self, console: Console) -> dict[str, Any]:
        """Write the page."""
        from ocrrl_ros.perception.calibration.board import CalibrationBoard
        from ocrrl_ros.perception.calibration.print_page import write_page
        write_page(self.out, CalibrationBoard(self.board), self.paper)
        console.print(
            f'wrote {self.out}; print it at 100 %, glue it on something flat, measure a square',
            highlight=False, soft_wrap=True)
        return {'out': str(self.out), 'size_m': list(self.board.size_m)}


@dataclass(frozen=True, kw_only=True)
class CalibrateCamera:
    """
    Find out where a camera is, from pictures of a board at different poses of the arm.

    Move the arm by hand or with its own tools; this command only listens. It takes a picture
    whenever the arm stands still somewhere new with the board in view, says where to go next, and
    ends when there are enough. A fixed camera looks at a board in the hand; a wrist camera at one
    on the table. The result is refused when it is poor. Pictures stay in the folder: an
    interrupted session goes on there.
    """

    mount: Mount | None = field(default=None, metadata={
        'description': 'fixed: camera beside the arm, board in the hand; wrist: camera on the '
                       "hand, board on the table; default: as the folder's pictures, else fixed"})
    out: Path = field(default=Path('out/calibration'), metadata={
        'description': 'folder of pictures and result'})
    solve_only: bool = field(default=False, metadata={
        'description': 'take no pictures, solve with those of the folder'})
    camera: str = field(default='camera/camera', metadata={
        'description': 'namespace and name of the camera'})
    joint_state_topic: str = field(default='franka/joint_states', metadata={
        'description': 'measured joint states'})
    namespace: str = field(default='', metadata={'description': 'namespace of the stack'})
    board: BoardConfig = BoardConfig()
    capture: CaptureConfig = CaptureConfig()
    errors: ErrorModel = ErrorModel()
    limits: CalibrationLimits = CalibrationLimits()

    def __post_init__(self) -> None:
        """Refuse to take fewer pictures than must agree."""
        if self.capture.samples < self.limits.min_samples:
            raise ConfigError(
                f'samples is {self.capture.samples}; allowed: >= min_samples, '
                f'{self.limits.min_samples}')

    def run(self, console: Console) -> dict[str, Any]:
        """Take pictures, solve, judge, write."""
        from ocrrl_ros.perception.calibration.outcome import (
            describe, PICTURE_FILE, write_files, write_picture)
        from ocrrl_ros.perception.calibration.quality import calibrate
        from ocrrl_ros.perception.calibration.samples import SampleFolder
        folder = SampleFolder(self.out)
        if not self.solve_only:
            self._record(console, folder)
        head = folder.head()
        self._refuse_other(head.mount, head.board)
        samples, sightings, names, unseen = self._sight(console, folder, head.board)
        found = calibrate(sightings, head.camera, head.mount, self.errors, self.limits)
        write_picture(self.out / PICTURE_FILE, found, sightings, samples, names)
        result = describe(found, head.mount, names, unseen)
        self._show(console, found, result)
        console.print(f'corners as seen and as they should be: {self.out / PICTURE_FILE}',
                      highlight=False, soft_wrap=True)
        if found.accepted:
            written = write_files(self.out, found, head.mount)
            console.print(f'wrote {", ".join(map(str, written))}', highlight=False, soft_wrap=True)
        return result

    def _record(self, console: Console, folder: SampleFolder) -> None:
        """Take pictures until there are enough."""
        from ocrrl_ros.interfaces.calibration_recorder import CalibrationRecorder
        from ocrrl_ros.interfaces.child_processes import StopSignals
        from ocrrl_ros.interfaces.graph_process import own_node
        from ocrrl_ros.interfaces.spin import use_fastdds_profile
        mount = self.mount or (folder.head().mount if folder.is_begun else 'fixed')
        use_fastdds_profile()
        with StopSignals() as signals, own_node('calibrate_camera', self.namespace) as node:
            recorder = CalibrationRecorder(
                node, folder, mount, self.board, self.capture, self.camera,
                self.joint_state_topic)
            said = ''
            with console.status('') as status:
                while not recorder.guide.is_done and signals.received is None:
                    text = recorder.step(time.monotonic())
                    if text is not None and text != said:
                        said = text
                        line = f'{recorder.guide.taken} of {self.capture.samples}: {text}'
                        status.update(line)
                        if 'taken' in text or not console.is_terminal:
                            console.print(line, highlight=False, soft_wrap=True)
                    time.sleep(_POLL_S)
        if signals.received is not None:
            console.print(
                f'{recorder.guide.taken} pictures are in {self.out}; the same command goes on',
                highlight=False, soft_wrap=True)
            raise KeyboardInterrupt

    def _refuse_other(self, mount: Mount, board: BoardConfig) -> None:
        """Refuse options that say otherwise than the pictures."""
        from ocrrl_ros.perception.calibration.samples import SESSION_NAME
        path = self.out / SESSION_NAME
        if self.mount not in (None, mount):
            raise InputError(f'mount is {self.mount}; the pictures of {path} are {mount}')
        if self.board not in (BoardConfig(), board):
            raise InputError(
                f'board is {self.board}; the pictures of {path} are of {board}. Where the board '
                'was measured anew, correct it there')

    def _sight(self, console: Console, folder: SampleFolder, config: BoardConfig) -> tuple[
            list[CalibrationSample], list[Sighting], list[str], list[str]]:
        """Find the board in every picture: samples, sightings, their names, names without."""
        from ocrrl_ros.perception.calibration.board import CalibrationBoard
        from ocrrl_ros.perception.calibration.samples import sight
        board, seen, unseen = CalibrationBoard(config), [], []
        paths = folder.paths()
        with progress_bar(console) as bar:
            work = bar.add_task('corners', total=len(paths), note='')
            for path, sample in zip(paths, folder.read()):
                sighting = sight(sample, board)
                bar.advance(work)
                if sighting is None:
                    unseen.append(path.stem)
                else:
                    seen.append((sample, sighting, path.stem))
        samples, sightings, names = (list(part) for part in zip(*seen)) if seen else ([], [], [])
        return samples, sightings, names, unseen

    def _show(self, console: Console, found: Calibration, result: dict[str, Any]) -> None:
        """Print the pose, what it is worth, and the pictures that fit worst."""
        limits, x = self.limits, result['parent_T_camera']
        table = Table('what', 'measured', 'allowed')
        rows = (
            ('pictures', f'{len(found.kept)}', f'>= {limits.min_samples}'),
            ('tilt about the second axis', f'{found.tilt_deg[1]:.1f} deg',
             f'>= {limits.min_tilt_deg:g} deg'),
            ('corners off by', f'{result["rms_px"]:.2f} px', f'<= {limits.max_rms_px:g} px'),
            ('in pictures left out', f'{found.left_out_px:.2f} px',
             f'<= {limits.max_left_out_px:g} px'),
            ('position known to', f'{found.position_std_mm:.2f} mm',
             f'<= {limits.max_position_std_mm:g} mm'),
            ('rotation known to', f'{found.rotation_std_deg:.3f} deg',
             f'<= {limits.max_rotation_std_deg:g} deg'))
        for row in rows:
            table.add_row(*row)
        console.print(table)
        for name, why in (('dropped', 'do not fit'), ('unseen', 'show no board')):
            if result[name]:
                console.print(f'left out, they {why}: {", ".join(result[name])}', soft_wrap=True)
        turned = 2.0 * math.degrees(math.acos(min(1.0, abs(x[6]))))
        console.print(
            f'{result["parent_frame"]}_T_camera: x {x[0]:.4f} y {x[1]:.4f} z {x[2]:.4f} m, turned '
            f'by {turned:.1f} deg', highlight=False, soft_wrap=True)
        for problem in found.problems:
            console.print(f'[red]refused:[/red] {problem}', highlight=False, soft_wrap=True)
