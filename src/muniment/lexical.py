"""The lexical index of one project: every chunk's text, searchable by words. The only user of tantivy.

One process writes (under the project's ``writer.lock``), any number read. A commit replaces a file's chunks at once:
a reader sees all of the old ones or all of the new ones. Texts are stored here and nowhere else.
"""

import json
import logging
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tantivy import (
    DocAddress,
    Document,
    Filter,
    Index,
    Occur,
    Query,
    Schema,
    SchemaBuilder,
    Searcher,
    TextAnalyzerBuilder,
    Tokenizer,
)

from muniment.errors import DiskFull, InvalidValue, LexicalIndexDamaged, WriterBusy
from muniment.identifiers import WordCache, index_text, question_tokens
from muniment.ranking import WEIGHTS, Weights, decayed, ordered

log = logging.getLogger(__name__)
MAX_QUESTION_TERMS: Final = 64
MAX_GLOB: Final = 300
SHORTEST_MERGE_SECONDS: Final = 1.0
SMALLEST_HEAP_BYTES: Final = 15_000_000
MERGE_SHARE: Final = 0.25  # of the time that the index was open for writing
FULL_BYTES: Final = 1_000_000  # with less space than this a writer that died in silence has died of it
CHUNKS_PER_FILE_WANTED: Final = 6  # chunks looked at for each file wanted: a file is judged by several of its chunks
_ANALYZER: Final = "words"


@dataclass(frozen=True, slots=True)
class ChunkWords:
    """What is searched of a chunk, as stemmed tokens joined by spaces. Costs more than all the rest of adding it."""

    body: str
    names: str


@dataclass(frozen=True, slots=True)
class LexicalChunk:
    """Lines ``start_line``..``end_line`` (1-based, inclusive) of a file; ``chunk_id`` is unique in the project."""

    chunk_id: int
    path: str
    text: str
    start_line: int
    end_line: int
    symbol: str | None = None
    defines: tuple[str, ...] = ()
    language: str | None = None
    kind: str = "code"
    words: ChunkWords | None = None  # made beforehand, else made of text and ``defines`` when it is added


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


def glob_pattern(glob: str) -> str:
    """A regular expression, for Python and tantivy alike, that matches whole paths.

    ``*`` and ``?`` stay within a folder, ``**`` crosses folders, ``[ab]`` is one of them. A glob without a slash
    matches names at any depth; one that ends in a folder's plain name matches everything below it. Raises InvalidValue.
    """
    if len(glob) > MAX_GLOB:
        raise InvalidValue("path_glob", glob[:40] + "…", f"it is longer than {MAX_GLOB} characters")
    anchored = "/" in glob.rstrip("/")
    pattern = "" if anchored else r"([^\x00]*/)?"
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", glob.strip("/"), re.DOTALL):
        if token == "**/":
            pattern += r"([^\x00]*/)?"
        elif token == "**":
            pattern += r"[^\x00]*"
        elif token == "*":
            pattern += r"[^/]*"
        elif token == "?":
            pattern += r"[^/]"
        elif len(token) > 1:
            inside = re.sub(r"([\[\]\\^&~|])", r"\\\1", token[1:-1].removeprefix("!"))
            pattern += f"[^/{inside}]" if token[1] == "!" else f"[{inside}]"
        else:
            pattern += re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", token)
    if not re.search(r"[*?\[]", glob.strip("/").rpartition("/")[2]):
        pattern += r"(/[^\x00]*)?"
    try:
        re.compile(pattern)
    except re.error as error:
        raise InvalidValue("path_glob", glob, str(error)) from error
    return pattern


def _schema() -> Schema:
    builder = SchemaBuilder()
    builder.add_unsigned_field("id", stored=True, indexed=True, fast=True)
    builder.add_unsigned_field("file", fast=True)  # groups chunks by file without reading their stored fields
    builder.add_unsigned_field("start_line", stored=True)
    builder.add_unsigned_field("end_line", stored=True)
    builder.add_bytes_field("text", stored=True)
    builder.add_bytes_field("defines", stored=True)
    for name in ("path", "symbol", "language", "kind"):
        builder.add_text_field(name, stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("body", "path_words", "names"):
        builder.add_text_field(name, tokenizer_name=_ANALYZER, index_option="freq")
    return builder.build()


_stem: Final = TextAnalyzerBuilder(Tokenizer.whitespace()).filter(Filter.stemmer("english")).build().analyze
# stemmed once per distinct word: tantivy's own filter would stem every occurrence, for 60% more time in all
_words: Final = WordCache(lambda tokens: " ".join(_stem(tokens)))


def chunk_words(text: str, defines: Sequence[str]) -> ChunkWords:
    return ChunkWords(index_text(text, _words), index_text(" ".join(defines), _words) if defines else "")


def _file_key(path: str) -> int:
    return int.from_bytes(blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@contextmanager
def _typed_errors(folder: Path) -> Iterator[None]:
    """tantivy reports every failure as ValueError."""
    try:
        yield
    except UnicodeError:
        raise  # a ValueError too, but of the caller's: it must not look like damage, which wipes the index
    except ValueError as error:
        detail = str(error)
        if "No space left" in detail or "StorageFull" in detail or _writer_starved(folder, detail):
            raise DiskFull(str(folder)) from error
        if "LockBusy" in detail:
            raise WriterBusy(folder.parent.name) from error
        raise LexicalIndexDamaged(str(folder), detail) from error


def _writer_starved(folder: Path, detail: str) -> bool:
    """Whether a writing thread has died, which does not say of what, while the disk is full."""
    return "worker thread" in detail and folder.exists() and shutil.disk_usage(folder).free < FULL_BYTES


def _open(folder: Path) -> Index:
    index = Index(_schema(), str(folder), reuse=True)
    index.register_tokenizer(_ANALYZER, TextAnalyzerBuilder(Tokenizer.whitespace()).build())
    index.config_reader("manual")
    return index


def _chunk(document: Document) -> LexicalChunk:
    text = document.get_first("text")
    return LexicalChunk(
        chunk_id=document.get_first("id") or 0,
        path=document.get_first("path") or "",
        text=bytes(text or b"").decode(),
        start_line=document.get_first("start_line") or 0,
        end_line=document.get_first("end_line") or 0,
        symbol=document.get_first("symbol"),
        defines=tuple(bytes(document.get_first("defines") or b"").decode().split()),
        language=document.get_first("language"),
        kind=document.get_first("kind") or "code",
    )


def _chunks(searcher: Searcher, schema: Schema, chunk_ids: Sequence[int]) -> dict[int, LexicalChunk]:
    if not chunk_ids:
        return {}
    query = Query.term_set_query(schema, "id", list(chunk_ids))
    found = [address for _, address in searcher.search(query, len(chunk_ids), count=False).hits]
    # neighbours share a compressed block
    found.sort(key=lambda address: (address.segment_ord, address.doc))
    chunks = (_chunk(searcher.doc(address)) for address in found)
    return {chunk.chunk_id: chunk for chunk in chunks}


def _ids(searcher: Searcher) -> list[int]:
    if not searcher.num_docs:
        return []
    found = searcher.search(Query.all_query(), searcher.num_docs, count=False).hits
    return [int(number or 0) for number in searcher.fast_field_values("id", [address for _, address in found])]


def _beside_deleted(searcher: Searcher, wanted: int) -> list[int]:
    if not searcher.num_docs:
        return []
    addresses: dict[int, list[DocAddress]] = {}
    for _, address in searcher.search(Query.all_query(), searcher.num_docs, count=False).hits:
        addresses.setdefault(address.segment_ord, []).append(address)
    # numbers run through a segment; what is deleted behind its last chunk cannot be seen
    gaps = {number: max(each.doc for each in living) + 1 - len(living) for number, living in addresses.items()}
    picked: list[DocAddress] = []
    for number in sorted(gaps, key=lambda number: gaps[number] / len(addresses[number]), reverse=True):
        if wanted <= 0 or not gaps[number]:
            break
        wanted -= gaps[number]
        picked += sorted(addresses[number], key=lambda address: address.doc)
    return [int(chunk_id or 0) for chunk_id in searcher.fast_field_values("id", picked)]


class LexicalWriter:
    """The one writer of a folder; holds it until ``close``. What is not committed is dropped.

    Raises LexicalIndexDamaged when the folder holds something else than an index of this schema: wipe it and rebuild.
    Writing raises DiskFull. Leaving the context closes without a commit.
    """

    def __init__(self, folder: Path, heap_bytes: int = 64_000_000, threads: int = 1) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with _typed_errors(folder):
            self._index = _open(folder)
            self._writer = self._index.writer(heap_bytes, threads)
            self._writer.garbage_collect_files()
        self._schema = self._index.schema
        self._opened = time.monotonic()
        self._closed = False
        self._committed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def delete_paths(self, paths: Iterable[str]) -> None:
        """Drops every committed or added chunk of exactly these paths."""
        with _typed_errors(self.folder):
            for path in paths:
                self._writer.delete_documents_by_term("path", path)

    def delete_chunks(self, chunk_ids: Iterable[int]) -> None:
        with _typed_errors(self.folder):
            # by term it would look for a signed number, and find none
            self._writer.delete_documents_by_query(Query.term_set_query(self._schema, "id", list(chunk_ids)))

    def delete_all(self) -> None:
        with _typed_errors(self.folder):
            self._writer.delete_all_documents()

    def add(self, chunks: Iterable[LexicalChunk]) -> None:
        path, path_words, key = "", "", 0
        with _typed_errors(self.folder):
            for chunk in chunks:
                if chunk.path != path:
                    path, path_words, key = chunk.path, index_text(chunk.path, _words), _file_key(chunk.path)
                words = chunk.words or chunk_words(chunk.text, chunk.defines)
                document = Document()
                document.add_unsigned("id", chunk.chunk_id)
                document.add_unsigned("file", key)
                document.add_text("path", path)
                document.add_text("path_words", path_words)
                document.add_unsigned("start_line", chunk.start_line)
                document.add_unsigned("end_line", chunk.end_line)
                document.add_bytes("text", chunk.text.encode("utf-8", "replace"))
                document.add_text("body", words.body)
                document.add_text("kind", chunk.kind)
                if chunk.language:
                    document.add_text("language", chunk.language)
                if chunk.symbol:
                    document.add_text("symbol", chunk.symbol)
                if words.names:
                    document.add_text("names", words.names)
                    document.add_bytes("defines", " ".join(chunk.defines).encode("utf-8", "replace"))
                self._writer.add_document(document)

    def commit(self) -> None:
        """Makes deletions and additions visible together, and durable."""
        with _typed_errors(self.folder):
            self._writer.commit()
        self._committed = True

    def rollback(self) -> None:
        with _typed_errors(self.folder):
            self._writer.rollback()

    def texts(self, chunk_ids: Sequence[int]) -> dict[int, str]:
        """Committed texts by id; unknown ids are left out."""
        return {chunk_id: chunk.text for chunk_id, chunk in self.chunks(chunk_ids).items()}

    def chunks(self, chunk_ids: Sequence[int]) -> dict[int, LexicalChunk]:
        """Committed chunks by id with their texts; unknown ids are left out."""
        with _typed_errors(self.folder):
            self._index.reload()
            return _chunks(self._index.searcher(), self._schema, chunk_ids)

    def ids(self) -> list[int]:
        """The id of every committed chunk, in no order; more than once if it is there more than once."""
        with _typed_errors(self.folder):
            self._index.reload()
            return _ids(self._index.searcher())

    @property
    def deleted_chunks(self) -> int:
        """How many chunks still take space though they were deleted or replaced."""
        meta = json.loads((self.folder / "meta.json").read_bytes())
        return sum((segment["deletes"] or {}).get("num_deleted_docs", 0) for segment in meta["segments"])

    def beside_deleted(self, spared: int) -> list[int]:
        """Ids of the chunks that share a segment with deleted ones, worst segment first. Rewriting them frees the space
        of all deleted chunks but about ``spared``."""
        with _typed_errors(self.folder):
            self._index.reload()
            return _beside_deleted(self._index.searcher(), self.deleted_chunks - spared)

    @property
    def num_chunks(self) -> int:
        """How many chunks are committed."""
        with _typed_errors(self.folder):
            self._index.reload()
            return self._index.searcher().num_docs

    def close(self, timeout: float | None = None) -> None:
        """Waits for merges, the longer the more was written: an abandoned one costs space until the next, no data."""
        if self._closed:
            return
        self._closed = True
        if timeout is None:
            timeout = max(SHORTEST_MERGE_SECONDS, (time.monotonic() - self._opened) * MERGE_SHARE)
        merging = threading.Thread(target=self._merge, name="lexical-merge", daemon=True)
        merging.start()
        merging.join(timeout)
        if self._committed and not merging.is_alive():
            self._sweep()

    def _sweep(self) -> None:
        """Deletes the files of merged segments: the library spares what a searcher of its own has open."""
        try:
            self._index.reload()
            writer = self._index.writer(SMALLEST_HEAP_BYTES, 1)
            try:
                writer.garbage_collect_files()
            finally:
                writer.wait_merging_threads()  # frees the lock too
        except ValueError as error:
            log.warning("files in %s stay until the next pass: %s", self.folder, str(error))

    def _merge(self) -> None:
        try:
            self._writer.wait_merging_threads()
        except ValueError as error:
            log.warning("merging in %s: %s", self.folder, str(error))


class LexicalReader:
    """Searches committed chunks; sees each commit of the writer at its next call. Safe for threads."""

    def __init__(self, folder: Path, weights: Weights = WEIGHTS) -> None:
        self.folder = folder
        self._weights = weights
        self._lock = threading.Lock()
        self._seen = self._stamp()
        with _typed_errors(folder):
            self._index = _open(folder)
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
        with _typed_errors(self.folder):
            return self._searcher().num_docs

    def chunks(self, chunk_ids: Sequence[int]) -> dict[int, LexicalChunk]:
        """Chunks by id with their texts; unknown ids are left out."""
        with _typed_errors(self.folder):
            return _chunks(self._searcher(), self._schema, chunk_ids)

    def texts(self, chunk_ids: Sequence[int]) -> dict[int, str]:
        return {chunk_id: chunk.text for chunk_id, chunk in self.chunks(chunk_ids).items()}

    def ids(self) -> list[int]:
        """The id of every chunk, in no order; more than once if it is there more than once."""
        with _typed_errors(self.folder):
            return _ids(self._searcher())

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
        with _typed_errors(self.folder):
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
        terms = [term for token in question_tokens(question) for term in _stem(token)]
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
