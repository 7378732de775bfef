"""One project, indexed in this process, its vectors compared exactly."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from muniment.chunking import chunk_file
from muniment.embedding import Embedder
from muniment.languages import kind_of, language_of
from muniment.lexical import LexicalChunk, LexicalReader, LexicalWriter
from muniment.ranking import WEIGHTS, Candidate, Subject, Weights, rank
from muniment.search import FILES_RANKED, SLOTS_ASKED

WORDS, MEANING, BOTH = "words", "meaning", "both"
MAX_BYTES: Final = 1_000_000


def chunks_of(root: Path) -> Iterator[LexicalChunk]:
    number = 0
    for file in sorted(root.rglob("*")):
        if not file.is_file() or file.stat().st_size > MAX_BYTES or b"\0" in (content := file.read_bytes()):
            continue
        path = file.relative_to(root).as_posix()
        for chunk in chunk_file(path, content.decode("utf-8", "replace")).chunks:
            number += 1
            yield LexicalChunk(
                number,
                path,
                chunk.text,
                chunk.start_line,
                chunk.end_line,
                chunk.symbol,
                chunk.defines,
                language_of(path),
                kind_of(path),
            )


class Corpus:
    def __init__(self, root: Path, folder: Path, embedder: Embedder) -> None:
        self._chunks = list(chunks_of(root))
        self._folder = folder
        self._embedder = embedder
        self._vectors = embedder.embed([chunk.text for chunk in self._chunks])
        self._reader = lru_cache(maxsize=1)(lambda weights: LexicalReader(self._folder, weights))
        with LexicalWriter(folder) as writer:
            writer.add(self._chunks)
            writer.commit()

    @property
    def size(self) -> int:
        """In chunks."""
        return len(self._chunks)

    def ask(self, question: str, weights: Weights = WEIGHTS, by: str = BOTH) -> list[str]:
        """Distinct files, best first."""
        words = self._words(question, weights) if by != MEANING else []
        meaning = self._meaning(question) if by != WORDS else None
        return [self._chunks[found - 1].path for found, _ in rank(words, meaning, Subject.of(question), weights)]

    def _words(self, question: str, weights: Weights) -> list[Candidate]:
        hits = self._reader(weights).search(question, FILES_RANKED)
        return [Candidate(hit.path, hit.chunk_id, hit.kind, hit.score) for hit in hits]

    def _meaning(self, question: str) -> list[Candidate]:
        near = self._vectors @ self._embedder.embed([question])[0]
        best = [self._chunks[row] for row in np.argsort(-near)[:SLOTS_ASKED]]
        return [Candidate(chunk.path, chunk.chunk_id, chunk.kind, float(near[chunk.chunk_id - 1])) for chunk in best]
