# SPDX-License-Identifier: Apache-2.0
"""The seed of the held-out worlds, and their files (protocol, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
import hashlib
import json
from pathlib import Path
from typing import Any

from ocrrl_ros.core.bundle import load_bundle, sha256_file
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.core.errors import ConfigError, OcrrlError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.evaluation.provenance import GitState, read_git_state
from ocrrl_ros.sim.domain import load_domain
from ocrrl_ros.sim.world_distribution import distribution_path, load_distribution
from ocrrl_ros.sim.world_sampling import DrawnWorld, sample_worlds
import yaml

LOG_NAME = 'draws.json'


@dataclass(frozen=True, kw_only=True)
class WorldSeed:
    """The seed and all that it was computed from."""

    seed: int
    bundles: dict[str, str]
    tracker_sha256: str
    commit: str


def seed_from_bundles(bundles: Sequence[Path], git: GitState | None = None) -> WorldSeed:
    """
    Compute the seed that nobody can choose: it is known only once all that is tested is fixed.

    It is the SHA-256, as a whole number, of the bundles' hashes in rising order, the hash of
    config/tracker.yaml and the commit, joined by newlines.

    :param bundles: every bundle that the held-out worlds are to test; the order does not matter.
    :param git: state of the source tree; read when None.
    :raises ConfigError: no bundle, or a source tree that cannot be named.
    :raises BundleError: a bundle that cannot be used.
    """
    git = git or read_git_state()
    if not bundles:
        raise ConfigError('no bundles; name every bundle that the worlds are to test')
    if git.dirty:
        raise ConfigError(
            f'the source tree at commit {git.commit} has uncommitted changes: commit first, so '
            'that the worlds belong to one state of the code')
    hashes = {str(folder): load_bundle(folder, None).sha256 for folder in bundles}
    tracker = sha256_file(config_path('tracker.yaml'))
    text = '\n'.join([*sorted(set(hashes.values())), tracker, git.commit])
    seed = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    return WorldSeed(seed=seed, bundles=hashes, tracker_sha256=tracker, commit=git.commit)


def draw_world_files(
        out: Path, seed: int, *, worlds: int, new_looks: int,
        distribution: Path | None = None) -> dict[str, Any]:
    """
    Draw held-out worlds into domain files and a log of every draw.

    :param out: folder; drawing the same again changes nothing, drawing others is refused.
    :param distribution: YAML file; the shipped one when None.
    :return: what ``draws.json`` holds.
    :raises ConfigError: the folder holds the draws of other settings.
    """
    source = distribution or distribution_path()
    drawn = sample_worlds(
        load_distribution(source), load_domain('proxy'), load_domain('sim'), seed,
        worlds=worlds, new_looks=new_looks)
    record = {
        'seed': seed, 'worlds': worlds, 'new_looks': new_looks,
        'distribution_sha256': sha256_file(source), **_git_mapping(),
        'drawn': [_entry(world) for world in drawn]}
    log = Path(out) / LOG_NAME
    if log.exists() and _drawn_in(log) != record['drawn']:
        raise ConfigError(
            f'{log} holds the draws of other settings; no draw is discarded: take another folder')
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        for world in drawn:
            _world_path(out, world).write_text(domain_text(world, seed), encoding='utf-8')
        log.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
    except OSError as error:
        raise OcrrlError(f'cannot write the worlds to {out}: {error}') from error
    return record


def domain_text(world: DrawnWorld, seed: int) -> str:
    """Return the YAML of a drawn world, complete and exact to the last digit."""
    looks = 'looks, lights and camera are new too' if world.is_new else 'looks of proxy'
    head = f'# A held-out world; {looks}. Drawn by: ocrrl domains sample --seed {seed}\n'
    return head + yaml.safe_dump(to_mapping(world.domain), sort_keys=False, width=96)


def _world_path(out: Path, world: DrawnWorld) -> Path:
    """Return where a world's file lies."""
    return Path(out) / f'{world.domain.name}.yaml'


def _entry(world: DrawnWorld) -> dict[str, Any]:
    """Return a world's part of the log."""
    return {
        'name': world.domain.name, 'file': f'{world.domain.name}.yaml', 'is_new': world.is_new,
        'domain_sha256': world.domain.sha256(), 'outside_training': list(world.outside),
        'draws': world.draws}


def _git_mapping() -> dict[str, Any]:
    """Return commit and dirtiness for the log."""
    state = asdict(read_git_state())
    return {'git': state['commit'], 'git_dirty': state['dirty']}


def _drawn_in(log: Path) -> Any:
    """Return the worlds that a log lists; None when it cannot be read."""
    try:
        return json.loads(log.read_text(encoding='utf-8')).get('drawn')
    except (OSError, ValueError, AttributeError):
        return None
