# SPDX-License-Identifier: Apache-2.0
"""
Write models/fr3/fr3.urdf and fr3.xml from the table of facts.

Run ``python -m ocrrl_ros.robot.generate`` after changing the table, shapes or default gains;
a test compares the files with what this would write.
"""

from __future__ import annotations

from pathlib import Path

from ocrrl_ros.robot.mjcf_writer import mjcf
from ocrrl_ros.robot.urdf_writer import urdf

FOLDER = Path(__file__).resolve().parents[2] / 'models' / 'fr3'


def generated_files() -> dict[str, str]:
    """Return the text of each generated file by name."""
    return {'fr3.urdf': urdf(), 'fr3.xml': mjcf()}


def main(folder: Path = FOLDER) -> None:
    """Write every generated file below the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generated_files().items():
        (folder / name).write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
