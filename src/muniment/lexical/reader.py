"""Searches of a lexical index, while it is being written too."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tantivy import DocAddress, Document, Occur, Query, Searcher

from muniment.errors import InvalidValue
from muniment.identifiers import question_tokens
from muniment.lexical.chunk import LexicalChunk, stem
from muniment.lexical.folder import all_ids, chunks_by_id, open_folder, typed_errors
from muniment.lexical.globs import glob_pattern
from muniment.ranking import WEIGHTS, Weights, decayed, ordered

MAX_QUESTION_TERMS: Final = 64
CHUNKS_PER_FILE_WANTED: Final = 6  # chunks looked at for each file wanted: a file is judged by several of its chunks


@dataclass(frozen=True, slots=True)
class LexicalHit:
    """A file's best chunk; ``score`` (BM25, unbounded) counts the file's other matching chunks too."""

    chunk_id: int
    path: str
    start_line: int
    end_line: int
    symbol: str | None
    language: str | None
    kind: str
    score: float


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

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """None while nothing was ever committed; LexicalIndexDamaged when the folder cannot be read."""
        return cls(folder) if (folder / "meta.json").is_file() else None

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
        path_glob: str | None = None,
        language: str | None = None,
        kind: str | None = None,
    ) -> list[LexicalHit]:
        """The best files, one hit each, best first. Any text is a question; an invalid glob raises InvalidValue."""
        words = self._question(question)
        if words is None:
            return []
        clauses = [(Occur.Must, words), *((Occur.Must, query) for query in self._filters(path_glob, language, kind))]
        query = Query.boolean_query(clauses) if len(clauses) > 1 else words
        with typed_errors(self.folder):
            searcher = self._searcher()
            found = searcher.search(query, limit * CHUNKS_PER_FILE_WANTED, count=False).hits
            addresses = [address for _, address in found]
            files = searcher.fast_field_values("file", addresses)
            scores = decayed(((key, float(hit[0])) for key, hit in zip(files, found, strict=True)), self._weights)
            best: dict[object, DocAddress] = {}
            for key, address in zip(files, addresses, strict=True):
                best.setdefault(key, address)
            return [_hit(searcher.doc(best[key]), scores[key]) for key in ordered(scores)[:limit]]

    def _question(self, question: str) -> Query | None:
        terms = [term for token in question_tokens(question) for term in stem(token)]
        fields = (("body", self._weights.body), ("path_words", self._weights.path), ("names", self._weights.names))
        wanted = [
            (Occur.Should, Query.boost_query(Query.term_query(self._schema, field, term, "freq"), weight))
            for term in list(dict.fromkeys(terms))[:MAX_QUESTION_TERMS]
            for field, weight in fields
            if weight
        ]
        return Query.boolean_query(wanted) if wanted else None

    def _filters(self, path_glob: str | None, language: str | None, kind: str | None) -> Iterator[Query]:
        filters = [Query.term_query(self._schema, "language", language, "basic")] if language else []
        if kind:
            filters.append(Query.term_query(self._schema, "kind", kind, "basic"))
        if path_glob:
            try:
                filters.append(Query.regex_query(self._schema, "path", glob_pattern(path_glob)))
            except ValueError as error:
                raise InvalidValue("path_glob", path_glob, str(error)) from error
        return (Query.const_score_query(query, 0.0) for query in filters)


def _hit(document: Document, score: float) -> LexicalHit:
    return LexicalHit(
        chunk_id=document.get_first("id") or 0,
        path=document.get_first("path") or "",
        start_line=document.get_first("start_line") or 0,
        end_line=document.get_first("end_line") or 0,
        symbol=document.get_first("symbol"),
        language=document.get_first("language"),
        kind=document.get_first("kind") or "code",
        score=score,
    )
