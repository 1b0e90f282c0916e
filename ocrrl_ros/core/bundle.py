# SPDX-License-Identifier: Apache-2.0
"""
Model bundles: a folder with ONNX files and a manifest that pins every byte of them.

A bundle is data, never code: JSON and ONNX only, no pickle. Loading checks every field and every
hash before a byte reaches an inference library. Each file is read once, and what was hashed is
what is used: a bundle that is exchanged on disk meanwhile is either the old one or refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
import dataclasses
import hashlib
import json
from pathlib import Path
import shutil
from typing import Any

from ocrrl_ros.core.configuration import from_mapping, to_mapping
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.core.resources import bundle_path

MANIFEST_NAME = 'manifest.json'
FORMAT_VERSION = 1
KINDS = ('base', 'residual')
ACTS_PER = ('tick', 'chunk')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """
    Everything that a consumer must know to use, or refuse, a bundle.

    ``files`` maps file name to SHA-256; ``policy.onnx`` is always one of them. ``layout`` and
    ``layout_hash`` describe the observation (kind ``residual``) or the image and proprioception
    format (kind ``base``); ``action_scale`` the physical size of an action of 1; ``metrics``
    carries each figure with its n. ``gate`` holds the settings of ``gate.onnx`` (kind
    ``residual``) and is empty where the bundle has none. ``acts_per`` says whether a residual
    answers anew in every tick or once per chunk of the base (a comparison, protocol section 7).
    """

    format_version: int = FORMAT_VERSION
    kind: str
    tasks: tuple[str, ...]
    layout: dict[str, Any]
    layout_hash: str
    action_scale: dict[str, float]
    rate_hz: float
    seed: int
    training: dict[str, Any]
    metrics: dict[str, Any]
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    gate: dict[str, float] = dataclasses.field(default_factory=dict)
    acts_per: str = 'tick'

    def __post_init__(self) -> None:
        """Refuse what no reader of this version understands."""
        if self.format_version != FORMAT_VERSION:
            raise ConfigError(
                f'format_version is {self.format_version}; allowed: {FORMAT_VERSION}')
        if self.kind not in KINDS:
            raise ConfigError(f'kind is {self.kind!r}; allowed: {", ".join(KINDS)}')
        if self.acts_per not in ACTS_PER:
            raise ConfigError(
                f'acts_per is {self.acts_per!r}; allowed: {", ".join(ACTS_PER)}')
        if not self.tasks:
            raise ConfigError('tasks is empty; name at least one task')
        if not self.rate_hz > 0:
            raise ConfigError(f'rate_hz is {self.rate_hz}; allowed: > 0')


@dataclasses.dataclass(frozen=True)
class Bundle:
    """
    A bundle whose manifest and hashes were checked.

    :param path: folder that it was read from; nothing is read from there again.
    :param sha256: of the manifest, which holds the hashes of the files.
    :param contents: checked bytes by file name.
    """

    path: Path
    manifest: Manifest
    sha256: str
    contents: Mapping[str, bytes] = dataclasses.field(repr=False)

    def read(self, name: str) -> bytes:
        """
        Return the checked bytes of one of the bundle's files.

        :raises BundleError: the manifest does not name the file.
        """
        if name not in self.contents:
            raise BundleError(
                f'{self.path} holds no {name!r}; its manifest names: '
                + ', '.join(sorted(self.contents)))
        return self.contents[name]


def hash_layout(layout: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a layout description, independent of key order."""
    text = json.dumps(layout, sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def save_bundle(
        folder: Path | str, files: Mapping[str, bytes | Path], manifest: Manifest) -> Bundle:
    """
    Write a bundle; the folder appears whole or not at all.

    :param files: content or path of each file by its name in the bundle.
    :param manifest: its ``files`` field is filled in here.
    """
    folder = Path(folder)
    partial = folder.with_name(folder.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    hashes = {}
    for name, content in files.items():
        data = content if isinstance(content, bytes) else Path(content).read_bytes()
        (partial / name).write_bytes(data)
        hashes[name] = hashlib.sha256(data).hexdigest()
    manifest = dataclasses.replace(manifest, files=hashes)
    text = json.dumps(to_mapping(manifest), indent=2, sort_keys=True) + '\n'
    (partial / MANIFEST_NAME).write_text(text, encoding='utf-8')
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return load_bundle(folder, manifest.kind)


def load_bundle(
        folder: Path | str, kind: str | None, *, task: str | None = None,
        layout_hash: str | Collection[str] | None = None) -> Bundle:
    """
    Read and check a bundle.

    :param folder: looked for as :func:`ocrrl_ros.core.resources.bundle_path` says.
    :param kind: ``base`` or ``residual``; another kind on disk is refused. None takes any.
    :param task: when given, the bundle must serve this task.
    :param layout_hash: when given, the bundle must have been trained for this layout, or one of
        these.
    :raises BundleError: missing, truncated, altered or unfitting; the message says which.
    """
    folder = bundle_path(folder)
    text = _read_bytes(folder / MANIFEST_NAME, f'no model bundle at {folder}')
    manifest = _parse_manifest(text, folder / MANIFEST_NAME)
    if kind is not None and manifest.kind != kind:
        raise BundleError(f'{folder} is a {manifest.kind!r} bundle; a {kind!r} bundle is needed')
    if 'policy.onnx' not in manifest.files:
        raise BundleError(f'{folder / MANIFEST_NAME} names no policy.onnx')
    contents = {
        name: _read_checked(folder, name, expected) for name, expected in manifest.files.items()}
    if hash_layout(manifest.layout) != manifest.layout_hash:
        raise BundleError(
            f'{folder / MANIFEST_NAME}: layout_hash {manifest.layout_hash[:12]} does not match '
            'the layout it stands for')
    known = (layout_hash,) if isinstance(layout_hash, str) else layout_hash
    if known is not None and manifest.layout_hash not in known:
        raise BundleError(
            f'{folder} was trained for observation layout {manifest.layout_hash[:12]}; this '
            f'program builds layout {", ".join(one[:12] for one in known)}: retrain or take a '
            'matching version')
    if task is not None and task not in manifest.tasks:
        raise BundleError(
            f'{folder} serves task {", ".join(manifest.tasks)}; asked for {task!r}')
    return Bundle(folder, manifest, hashlib.sha256(text).hexdigest(), contents)


def _read_bytes(path: Path, complaint: str) -> bytes:
    """Return what is in a file, or complain."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f'{complaint}: {error}') from error


def _parse_manifest(text: bytes, path: Path) -> Manifest:
    """Return the manifest that the bytes of manifest.json say, or say why not."""
    try:
        content = json.loads(text.decode('utf-8'))
    except (ValueError, RecursionError) as error:
        raise BundleError(f'{path} is no JSON (truncated?): {error}') from error
    try:
        return from_mapping(Manifest, content, str(path))
    except ConfigError as error:
        raise BundleError(str(error)) from error


def _read_checked(folder: Path, name: str, expected: str) -> bytes:
    """Return the bytes of one file that have its hash; refuse names that leave the folder."""
    path = folder / name
    if Path(name).name != name or name == '..':
        raise BundleError(f'{folder / MANIFEST_NAME} names {name!r}; a plain name is allowed')
    if not path.is_file():
        raise BundleError(f'{path} is missing, though {MANIFEST_NAME} names it')
    data = _read_bytes(path, f'cannot read {path}')
    actual = hashlib.sha256(data).hexdigest()
    if actual != expected:
        raise BundleError(
            f'{path} is truncated or altered: sha256 {actual[:12]}, manifest says {expected[:12]}')
    return data
