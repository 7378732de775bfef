"""A costly embedder whose vectors are kept on disk, so that no text is ever embedded twice on one host."""

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from muniment.embedding import Embedder, Vectors
from muniment.embedding.cache_file import CacheFile

HASH_BYTES = 16


class CachedEmbedder:
    """Answers from ``<folder>/<name>.sqlite`` what it can and asks ``embedder`` for the rest, ``batch_texts`` at once:
    each answer is kept before the next is asked for, so that a failure loses no more than one.

    Threads may share one; several processes may use one folder, which may be deleted at any moment. A cached vector is
    the fresh one bit by bit. Raises what the embedder raises and nothing else.
    """

    def __init__(self, embedder: Embedder, folder: Path, max_bytes: int, now: Callable[[], float] = time.time) -> None:
        self._embedder = embedder
        self._file = CacheFile(folder / f"{embedder.name}.sqlite", max_bytes, now)
        self._dimensions: int | None = None  # of the embedder's answers; before the first one it is not asked

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def source(self) -> str | None:
        return self._embedder.source

    @property
    def batch_texts(self) -> int:
        return self._embedder.batch_texts

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As the embedder's, and each distinct text at most once."""
        if not texts:
            return self._embedder.embed(texts)
        hashes = [_text_hash(text) for text in texts]
        wanted = dict(zip(hashes, texts, strict=True))
        found = self._agreeing(self._file.find(list(wanted)))
        while missing := [text_hash for text_hash in wanted if text_hash not in found][: self.batch_texts]:
            fresh = self._embedder.embed([wanted[text_hash] for text_hash in missing])
            self._dimensions = fresh.shape[1]
            made = dict(zip(missing, fresh, strict=True))
            self._file.keep(made)
            found = self._agreeing(found) | made
        return np.stack([found[text_hash] for text_hash in hashes])

    def close(self) -> None:
        self._file.close()

    def _agreeing(self, found: Mapping[bytes, Vectors]) -> dict[bytes, Vectors]:
        """Without vectors of another length: once a server had another model by that name."""
        lengths = {len(vector) for vector in found.values()}
        right = self._dimensions or (min(lengths) if len(lengths) == 1 else None)
        return {text_hash: vector for text_hash, vector in found.items() if len(vector) == right}


def _text_hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
