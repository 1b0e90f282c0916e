# SPDX-License-Identifier: Apache-2.0
"""
Say what the system lacks before anything is installed.

`make` runs this with a bare Python: it needs the standard library alone. With `--packages` it
prints the names of the missing packages only, for a script that installs them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from ocrrl_ros.core.system_packages import check_python, FAILED, install_command
from ocrrl_ros.core.system_packages import missing_packages, SUPPORTED_PYTHONS


def installed_pythons() -> list[str]:
    """Return the supported interpreters on the search path that start."""
    low, high = SUPPORTED_PYTHONS
    names = [f'python3.{minor}' for minor in range(low[1], high[1] + 1)]
    return [name for name in names if shutil.which(name) and subprocess.run(
        [name, '--version'], capture_output=True, check=False).returncode == 0]


def main(arguments: list[str] | None = None) -> int:
    """Print what is missing and the command that installs it; return 1 where something is."""
    arguments = sys.argv[1:] if arguments is None else arguments
    missing = missing_packages()
    if '--packages' in arguments:
        print(' '.join(missing))
        return 0
    python = check_python()
    if python.state == FAILED:
        found = ', '.join(f'make PYTHON={name}' for name in installed_pythons())
        hint = f'Here: {found}' if found else 'Install one of them.'
        print(f'Python {python.detail}. {hint}', file=sys.stderr)
        return 1
    if missing:
        for package, purpose in missing.items():
            print(f'missing: {package}, for {purpose}', file=sys.stderr)
        print(f'Install it with:\n\n    {install_command(list(missing))}\n', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
