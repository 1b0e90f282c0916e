# SPDX-License-Identifier: Apache-2.0
"""`ocrrl domains seed` and `ocrrl domains sample`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class DomainsSeed:
    """
    Print the seed of the held-out worlds that test these bundles.

    It follows from the bundles, the tracker's configuration and the commit; a source tree with
    uncommitted changes is refused.
    """

    bundles: tuple[Path, ...] = field(
        default=(), metadata={'description': 'folders of all bundles that are to be tested'})

    def run(self, console: Console) -> dict[str, Any]:
        """Compute and print the seed."""
        from ocrrl_ros.evaluation.world_files import seed_from_bundles
        found = seed_from_bundles(self.bundles)
        console.print(str(found.seed), highlight=False, soft_wrap=True)
        return asdict(found)


@dataclass(frozen=True, kw_only=True)
class DomainsSample:
    """
    Draw held-out worlds: complete domain files, and a log of every draw.

    The first ones keep the looks, camera placement and optics of proxy, so that its base serves
    them; the others are new throughout and need a base of their own. None is discarded.
    """

    seed: int = field(metadata={'description': 'whole number >= 0; see ocrrl domains seed'})
    out: Path = field(metadata={'description': 'folder to write to'})
    worlds: int = field(default=8, metadata={'description': 'worlds with the looks of proxy'})
    new_looks: int = field(default=2, metadata={'description': 'worlds that are new throughout'})
    distribution: Path | None = field(default=None, metadata={
        'description': 'YAML; default: config/domains/world_distribution.yaml'})

    def run(self, console: Console) -> dict[str, Any]:
        """Draw, write and list the worlds."""
        from ocrrl_ros.evaluation.world_files import draw_world_files, LOG_NAME
        record = draw_world_files(
            self.out, self.seed, worlds=self.worlds, new_looks=self.new_looks,
            distribution=self.distribution)
        for world in record['drawn']:
            console.print(
                f'{self.out / world["file"]}: {len(world["draws"])} draws; outside training: '
                + ', '.join(world['outside_training']), highlight=False, soft_wrap=True)
        console.print(f'wrote {self.out / LOG_NAME}', soft_wrap=True)
        return record
