"""Measures how well questions find their files: NDCG@10, recall@10 and MRR, mean over questions, then over projects.

Usage: python benchmarks/retrieval.py QUERIES.json CORPORA_DIR [--by words|meaning|both]

QUERIES.json is {project: {version, queries: [{query, files}]}}; CORPORA_DIR holds one folder <project>-<version> each.
The product's own chunking, lexical index, embedder and ranking run in this process; vectors are compared exactly.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from muniment.chunking import chunk_file
from muniment.embedding import Embedder
from muniment.embedding.static import StaticEmbedder
from muniment.identifiers import question_tokens
from muniment.languages import kind_of, language_of
from muniment.lexical import LexicalChunk, LexicalReader, LexicalWriter
from muniment.ranking import Candidate, rank
from muniment.search import FILES_RANKED, SLOTS_ASKED

TOP = 10


class Score(NamedTuple):
    ndcg: float
    recall: float
    mrr: float

    @classmethod
    def of(cls, ranked: Sequence[str], files: Sequence[str]) -> "Score":
        places = [place for place, path in enumerate(ranked[:TOP], start=1) if path in files]
        ideal = sum(1 / math.log2(place + 1) for place in range(1, min(TOP, len(files)) + 1))
        gain = sum(1 / math.log2(place + 1) for place in places)
        return cls(gain / ideal, len(places) / len(files), 1 / places[0] if places else 0.0)

    @classmethod
    def mean(cls, scores: Sequence["Score"]) -> "Score":
        return cls(*(fmean(column) for column in zip(*scores, strict=True)))


def chunks_of(root: Path) -> Iterator[LexicalChunk]:
    number = 0
    for file in sorted(root.rglob("*")):
        if not file.is_file() or file.stat().st_size > 1_000_000 or b"\0" in (content := file.read_bytes()):
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
    """One project, indexed; ``by`` says which of words and meaning take part."""

    def __init__(self, root: Path, folder: Path, embedder: Embedder, by: str) -> None:
        self.chunks = list(chunks_of(root))
        self.by = by
        self._embedder = embedder
        self._vectors = embedder.embed([chunk.text for chunk in self.chunks]) if by != "words" else np.empty((0, 0))
        with LexicalWriter(folder) as writer:
            writer.add(self.chunks)
            writer.commit()
        self._reader = LexicalReader(folder)

    def ask(self, question: str) -> list[str]:
        words = self._words(question) if self.by != "meaning" else []
        meaning = self._meaning(question) if self.by != "words" else None
        return [self.chunks[chunk_id - 1].path for chunk_id, _ in rank(words, meaning, question_tokens(question))]

    def _words(self, question: str) -> list[Candidate]:
        hits = self._reader.search(question, FILES_RANKED)
        return [Candidate(hit.path, hit.chunk_id, hit.kind, hit.score) for hit in hits]

    def _meaning(self, question: str) -> list[Candidate]:
        near = self._vectors @ self._embedder.embed([question])[0]
        best = [self.chunks[row] for row in np.argsort(-near)[:SLOTS_ASKED]]
        return [Candidate(chunk.path, chunk.chunk_id, chunk.kind, float(near[chunk.chunk_id - 1])) for chunk in best]


def run(queries: dict[str, Any], corpora: Path, by: str) -> Score:
    print(f"{'project':12} {'chunks':>7} {'questions':>9} {'ndcg@10':>8} {'recall@10':>9} {'mrr':>6} {'ms':>6}")
    embedder = StaticEmbedder()
    scores = []
    for project, wanted in queries.items():
        with tempfile.TemporaryDirectory() as folder:
            corpus = Corpus(corpora / f"{project}-{wanted['version']}", Path(folder), embedder, by)
            began = time.perf_counter()
            asked = [Score.of(corpus.ask(query["query"]), query["files"]) for query in wanted["queries"]]
            each = (time.perf_counter() - began) / len(asked) * 1000
        scores.append(score := Score.mean(asked))
        print(f"{project:12} {len(corpus.chunks):7} {len(asked):9} ", end="")
        print(f"{score.ndcg:8.4f} {score.recall:9.4f} {score.mrr:6.4f} {each:6.2f}", flush=True)
    return Score.mean(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--by", choices=("words", "meaning", "both"), default="both")
    arguments = parser.parse_args()
    mean = run(json.loads(arguments.queries.read_text()), arguments.corpora, arguments.by)
    print(f"{'mean':12} {'':7} {'':9} {mean.ndcg:8.4f} {mean.recall:9.4f} {mean.mrr:6.4f}")


if __name__ == "__main__":
    main()
