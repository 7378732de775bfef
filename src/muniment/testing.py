"""Fakes for tests, ours and those of whoever builds on Muniment: deterministic, in memory, without models."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import numpy as np

from muniment.embedding import Vectors


class ManualClock:
    """A clock that moves only when told to; call it for the time (UTC)."""

    def __init__(self, start: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


class HashedWordsEmbedder:
    """Embeds a text as the sum of one fixed random direction per word: shared words make near vectors.

    ``calls`` holds what was asked of it, in order.
    """

    def __init__(self, dimensions: int = 256, name: str = "hashed-words-1") -> None:
        self.name = name
        self.dimensions = dimensions
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row] += self._direction(word)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1.0
        vectors /= lengths
        return vectors

    def _direction(self, word: str) -> Vectors:
        # the name is part of the seed: another model gives other vectors, as in life
        seed = int.from_bytes(blake2b(f"{self.name}\0{word}".encode(), digest_size=8).digest(), "big")
        return np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)
