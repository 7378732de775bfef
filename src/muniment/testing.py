"""Fakes for tests, ours and those of whoever builds on Muniment: deterministic, in memory, without models."""

import re
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from muniment.datafolder import ProjectFolder
from muniment.embedding import Vectors
from muniment.lexical import LexicalReader
from muniment.manifest import ManifestReader
from muniment.sqlite import connect
from muniment.vectors import VectorStore


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
        self.source: str | None = None
        self.batch_texts = 4_000
        self.dimensions = dimensions
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row] += _direction(self.name, word, self.dimensions)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1.0
        vectors /= lengths
        return vectors


@lru_cache(maxsize=10_000)
def _direction(model: str, word: str, dimensions: int) -> Vectors:
    # the name is part of the seed: another model gives other vectors, as in life
    seed = int.from_bytes(blake2b(f"{model}\0{word}".encode(), digest_size=8).digest(), "big")
    return np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)


def render_index(folder: ProjectFolder, vectors: VectorStore) -> str:
    """The whole state of an index as text, to compare two of them: ids, slots and times left out.

    Names every disagreement of the three stores (manifest, lexical index, vectors) as a line beginning with ``!``.
    """
    manifest = ManifestReader.open(folder.manifest)
    lexical = LexicalReader.open(folder.lexical)
    if manifest is None or lexical is None:
        return "no index"
    held = vectors.slots(manifest.meta().collection or "none")
    lines = [manifest.counters().model_dump_json()]
    with closing(connect(folder.manifest)) as db:
        rows = db.execute(
            "SELECT f.path, f.size, hex(f.hash), f.skipped, f.error, f.chunks, f.pending FROM files f ORDER BY f.path"
        ).fetchall()
        lines += [" ".join(map(str, row)) for row in rows]
        known: set[int] = set()
        for path, chunk_id, start, end, symbol, slot, text_hash, embedded in db.execute(
            """SELECT f.path, c.id, c.start_line, c.end_line, c.symbol, s.id, hex(s.text_hash), s.embedded
               FROM chunks c JOIN files f ON f.id = c.file_id JOIN slots s ON s.id = c.slot
               ORDER BY f.path, c.start_line, c.id"""
        ):
            known.add(chunk_id)
            found = lexical.chunks([chunk_id]).get(chunk_id)
            lines.append(f"  {path}:{start}-{end} {symbol} {text_hash} {embedded}")
            if found is None or (found.path, found.start_line, found.end_line) != (path, start, end):
                lines.append(f"! lexical index disagrees: {found}")
            if embedded and slot not in held:
                lines.append("! its vector is missing")
    if lexical.num_chunks != len(known):
        lines.append(f"! {lexical.num_chunks} chunks in the lexical index, {len(known)} in the manifest")
    manifest.close()
    return "\n".join(lines)
