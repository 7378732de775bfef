"""Searches of a lexical index, while it is being written too."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Self

from tantivy import DocAddress, Occur, Query, Searcher

from muniment.identifiers import TASK_WORDS, question_tokens, tokens
from muniment.languages import kind_of
from muniment.lexical.chunk import LexicalChunk, stem, stems
from muniment.lexical.folder import all_ids, chunks_at, chunks_by_id, open_folder, typed_errors
from muniment.lexical.lookups import (
    Globs,
    best_of_many_files,
    filter_clauses,
    passing,
    with_neighbours,
)
from muniment.ranking import WEIGHTS, Subject, Weights, decayed, ordered

MAX_QUESTION_TERMS: Final = 64
PATHS_KNOWN: Final = 2_000
NEARLY: Final = 0.5  # of the score of a file's best chunk
MOST_OF_A_FILE: Final = 5  # chunks
CHUNKS_PER_FILE_WANTED: Final = 6  # chunks looked at for each file wanted: a file is judged by several of its chunks


@dataclass(frozen=True, slots=True)
class LexicalHit:
    """A file's best chunk; ``score`` (BM25, unbounded) counts the file's other matching chunks too.

    ``others``: the chunks of the file that match nearly as well, best first.
    """

    chunk_id: int
    path: str
    kind: str
    score: float
    others: tuple[int, ...] = ()


class LexicalReader:
    """Searches committed chunks; sees each commit of the writer at its next call. Safe for threads."""

    def __init__(self, folder: Path, weights: Weights = WEIGHTS) -> None:
        self.folder = folder
        self._weights = weights
        self._lock = threading.Lock()
        self._seen = self._stamp()
        with typed_errors(folder):
            self._index = open_folder(folder)
        self._schema = self._index.schema
        self._paths: dict[int, str] = {}  # by the key of the file, which never stands for another one

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """None while nothing was ever committed; LexicalIndexDamaged when the folder cannot be read."""
        return cls(folder) if (folder / "meta.json").is_file() else None

    @property
    def commit(self) -> tuple[int, int]:
        """Another one after every commit."""
        return self._stamp()

    def _stamp(self) -> tuple[int, int]:
        """Changes with every commit: tantivy replaces meta.json by renaming."""
        try:
            stat = (self.folder / "meta.json").stat()
        except FileNotFoundError:
            return (0, 0)
        return (stat.st_ino, stat.st_mtime_ns)

    def _searcher(self) -> Searcher:
        stamp = self._stamp()
        with self._lock:
            if stamp not in (self._seen, (0, 0)):
                self._index.reload()
                self._seen = stamp
            return self._index.searcher()

    @property
    def num_chunks(self) -> int:
        with typed_errors(self.folder):
            return self._searcher().num_docs

    def chunks(self, chunk_ids: Sequence[int]) -> dict[int, LexicalChunk]:
        """Chunks by id with their texts; unknown ids are left out."""
        with typed_errors(self.folder):
            return chunks_by_id(self._searcher(), self._schema, chunk_ids)

    def texts(self, chunk_ids: Sequence[int]) -> dict[int, str]:
        return {chunk_id: chunk.text for chunk_id, chunk in self.chunks(chunk_ids).items()}

    def ids(self) -> list[int]:
        """The id of every chunk, in no order; more than once if it is there more than once."""
        with typed_errors(self.folder):
            return all_ids(self._searcher())

    def search(
        self,
        question: str,
        limit: int,
        *,
        path_glob: Globs = None,
        language: str | None = None,
        kind: str | None = None,
    ) -> list[LexicalHit]:
        """The best files, one hit each, best first. Any text is a question; an invalid glob raises InvalidValue."""
        words = self._question(question)
        if words is None:
            return []
        clauses = [(Occur.Must, words), *filter_clauses(self._schema, path_glob, language, kind)]
        query = Query.boolean_query(clauses) if len(clauses) > 1 else words
        with typed_errors(self.folder):
            searcher = self._searcher()
            found = best_of_many_files(searcher, self._schema, query, limit * CHUNKS_PER_FILE_WANTED, limit)
            scores = decayed(((key, score) for key, score, _ in found), self._weights)
            good = _good_chunks(found)
            keys = ordered(scores)[:limit]
            flat = searcher.fast_field_values("id", [address for key in keys for address in good[key]])
            ids = iter([int(chunk_id or 0) for chunk_id in flat])
            hits = []
            for key in keys:
                path = self._path(searcher, key, good[key][0])
                best, *others = islice(ids, len(good[key]))
                hits.append(LexicalHit(best, path, kind_of(path), scores[key], tuple(others)))
            return hits

    def _path(self, searcher: Searcher, key: int, address: DocAddress) -> str:
        """Reading what is stored of sixty chunks takes as long as finding them."""
        path = self._paths.get(key)
        if path is None:
            path = searcher.doc(address).get_first("path") or ""
            if len(self._paths) >= PATHS_KNOWN:
                self._paths.clear()
            self._paths[key] = path
        return path

    def _question(self, question: str) -> Query | None:
        weights = self._weights
        worth: dict[str, float] = {}
        for token in question_tokens(question):
            for term in stem(token):
                worth.setdefault(term, weights.task if token in TASK_WORDS else 1.0)
        written_out = set(stems(symbol.lower() for symbol in Subject.of(question).symbols))
        wanted = []
        for term in self._telling(list(worth)):
            names = weights.names + (weights.symbol if term in written_out else 0.0)
            for field, weight in (("body", weights.body), ("path_words", weights.path), ("names", names)):
                if weight:
                    query = Query.term_query(self._schema, field, term, "freq")
                    wanted.append((Occur.Should, Query.boost_query(query, weight * worth[term])))
        return Query.boolean_query(wanted) if wanted else None

    def _telling(self, terms: list[str]) -> list[str]:
        """Of too many words those that the fewest chunks hold."""
        if len(terms) <= MAX_QUESTION_TERMS:
            return terms
        with typed_errors(self.folder):
            searcher = self._searcher()
            counts = {term: searcher.doc_freq("body", term) for term in terms}
        known = [term for term in terms if counts[term]] or terms
        return sorted(known, key=counts.__getitem__)[:MAX_QUESTION_TERMS]

    def count_passing(self, path_glob: Globs, language: str | None, kind: str | None) -> int:
        """How many chunks pass a filter."""
        with typed_errors(self.folder):
            found = self._searcher().search(passing(self._schema, path_glob, language, kind), 1)
            return int(found.count or 0)  # type: ignore[attr-defined]

    def passing(self, limit: int, path_glob: Globs, language: str | None, kind: str | None) -> list[int]:
        """Ids of at most so many chunks that pass a filter, in no order."""
        with typed_errors(self.folder):
            searcher = self._searcher()
            found = searcher.search(passing(self._schema, path_glob, language, kind), limit, count=False).hits
            return [int(one or 0) for one in searcher.fast_field_values("id", [address for _, address in found])]

    def with_all_words(
        self, text: str, question: str, path_glob: Globs, language: str | None, kind: str | None
    ) -> Callable[[int, int], list[tuple[LexicalChunk, float]]]:
        """Reads chunks that hold every word of the text, with their BM25 scores for the question, best first: after the
        first ``skip`` at most ``limit`` more. However often it is called, it sees one commit."""
        terms = list(dict.fromkeys(term for token in tokens(text) for term in stem(token)))[:MAX_QUESTION_TERMS]
        words = self._question(question)
        if not terms or words is None:
            return lambda _skip, _limit: []
        every = [(Occur.Must, Query.term_query(self._schema, "body", term, "freq")) for term in terms]
        clauses = [*every, (Occur.Should, words), *filter_clauses(self._schema, path_glob, language, kind)]
        query = Query.boolean_query(clauses)
        with typed_errors(self.folder):
            searcher = self._searcher()

        def read(skip: int, limit: int) -> list[tuple[LexicalChunk, float]]:
            with typed_errors(self.folder):
                found = searcher.search(query, limit, count=False, offset=skip).hits
                chunks = chunks_at(searcher, [address for _, address in found])
            return [(chunk, float(score)) for chunk, (score, _) in zip(chunks, found, strict=True)]

        return read

    def with_neighbours(self, chunk: LexicalChunk, lines: int) -> list[LexicalChunk]:
        """The chunk and those before and after it in its file, in order, as far as so many lines around it reach."""
        with typed_errors(self.folder):
            return with_neighbours(self._searcher(), self._schema, chunk, lines)

    def frequencies(self, question: str) -> dict[str, int]:
        """In how many chunks each word of a question occurs: stems, as ``stems`` makes them."""
        with typed_errors(self.folder):
            searcher = self._searcher()
            return {term: searcher.doc_freq("body", term) for term in dict.fromkeys(stems(question_tokens(question)))}


def _good_chunks(found: Iterable[tuple[int, float, DocAddress]]) -> dict[int, list[DocAddress]]:
    """By file its best chunk, and those nearly as good; ``found``: (file, score, address), best first."""
    best: dict[int, float] = {}
    good: dict[int, list[DocAddress]] = {}
    for key, score, address in found:
        chunks = good.setdefault(key, [])
        if score >= NEARLY * best.setdefault(key, score) and len(chunks) < MOST_OF_A_FILE:
            chunks.append(address)
    return good
