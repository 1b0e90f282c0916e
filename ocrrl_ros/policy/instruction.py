# SPDX-License-Identifier: Apache-2.0
"""
Turn an instruction into a fixed vector by hashing its words.

Small on purpose: the embedded base policy is a stand-in for a VLA whose language model lives in
its own process. Feature hashing (Weinberger et al., ICML 2009) needs no vocabulary, so a new task
or paraphrase never changes the input layout.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np

SIZE = 64
_HASHES_PER_WORD = 2


def embed_instruction(text: str) -> np.ndarray:
    """
    Return the unit-norm embedding (64,) float32 of a sentence; zero for an empty one.

    Case and punctuation do not matter; word order does not either.
    """
    vector = np.zeros(SIZE, dtype=np.float32)
    for word in re.findall(r'[^\W_]+', text.lower()):
        digest = hashlib.sha256(word.encode()).digest()
        for k in range(_HASHES_PER_WORD):
            sign = 1.0 if digest[4 * k + 1] & 1 else -1.0
            vector[digest[4 * k] % SIZE] += sign
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector
