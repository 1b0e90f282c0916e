# SPDX-License-Identifier: Apache-2.0
"""Random streams of an episode, paired across policies (protocol, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
import hashlib

import numpy as np
from ocrrl_ros.core.errors import ConfigError

STREAM_NAMES = ('initial', 'sensor', 'base', 'perturbation')


@dataclass(frozen=True, kw_only=True)
class Streams:
    """
    Independent generators of one episode.

    One consumer drawing more or fewer numbers never shifts another stream, so two
    policies that run from the same seed meet the same initial state and sensor noise.
    """

    initial: np.random.Generator
    """Object and arm start state."""
    sensor: np.random.Generator
    """Depth noise and pose-sensor noise."""
    base: np.random.Generator
    """Chunk latency and any randomness of the base policy."""
    perturbation: np.random.Generator
    """Pushes and other disturbances."""


def _word(text: str) -> int:
    """Return a stable 64-bit number for a name."""
    return int.from_bytes(hashlib.sha256(text.encode('utf-8')).digest()[:8], 'big')


def episode_rngs(task: str, domain: str, eval_seed: int, episode: int) -> Streams:
    """
    Return the streams of one episode: SeedSequence(task, domain, seed, episode, stream).

    :param task: task name.
    :param domain: domain name.
    :param eval_seed: seed of the whole evaluation, >= 0.
    :param episode: index of the episode, >= 0.
    :raises ConfigError: a negative seed or episode.
    """
    if eval_seed < 0 or episode < 0:
        raise ConfigError(
            f'eval_seed {eval_seed} and episode {episode} must both be >= 0')
    entropy = [_word(task), _word(domain), int(eval_seed), int(episode)]
    return Streams(**{
        name: np.random.default_rng(np.random.SeedSequence([*entropy, _word(name)]))
        for name in STREAM_NAMES})
