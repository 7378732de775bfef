"""The one writer of a lexical index, under the project's ``writer.lock``."""

import json
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tantivy import DocAddress, Document, Query, Searcher

from muniment.identifiers import index_text
from muniment.lexical.chunk import WORDS, LexicalChunk, chunk_words, file_key
from muniment.lexical.folder import all_ids, chunks_by_id, open_folder, typed_errors

log = logging.getLogger(__name__)
SHORTEST_MERGE_SECONDS: Final = 1.0
SMALLEST_HEAP_BYTES: Final = 15_000_000
MERGE_SHARE: Final = 0.25  # of the time that the index was open for writing


class LexicalWriter:
    """The one writer of a folder; holds it until ``close``. What is not committed is dropped.

    Raises LexicalIndexDamaged when the folder holds something else than an index of this schema: wipe it and rebuild.
    Writing raises DiskFull. Leaving the context closes without a commit.
    """

    def __init__(self, folder: Path, heap_bytes: int = 64_000_000, threads: int = 1) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with typed_errors(folder):
            self._index = open_folder(folder)
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
        with typed_errors(self.folder):
            for path in paths:
                self._writer.delete_documents_by_term("path", path)

    def delete_chunks(self, chunk_ids: Iterable[int]) -> None:
        with typed_errors(self.folder):
            # by term it would look for a signed number, and find none
            self._writer.delete_documents_by_query(Query.term_set_query(self._schema, "id", list(chunk_ids)))

    def delete_all(self) -> None:
        with typed_errors(self.folder):
            self._writer.delete_all_documents()

    def add(self, chunks: Iterable[LexicalChunk]) -> None:
        path, path_words, key = "", "", 0
        with typed_errors(self.folder):
            for chunk in chunks:
                if chunk.path != path:
                    path, path_words, key = chunk.path, index_text(chunk.path, WORDS), file_key(chunk.path)
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
        with typed_errors(self.folder):
            self._writer.commit()
        self._committed = True

    def rollback(self) -> None:
        with typed_errors(self.folder):
            self._writer.rollback()

    def texts(self, chunk_ids: Sequence[int]) -> dict[int, str]:
        """Committed texts by id; unknown ids are left out."""
        return {chunk_id: chunk.text for chunk_id, chunk in self.chunks(chunk_ids).items()}

    def chunks(self, chunk_ids: Sequence[int]) -> dict[int, LexicalChunk]:
        """Committed chunks by id with their texts; unknown ids are left out."""
        with typed_errors(self.folder):
            self._index.reload()
            return chunks_by_id(self._index.searcher(), self._schema, chunk_ids)

    def ids(self) -> list[int]:
        """The id of every committed chunk, in no order; more than once if it is there more than once."""
        with typed_errors(self.folder):
            self._index.reload()
            return all_ids(self._index.searcher())

    @property
    def deleted_chunks(self) -> int:
        """How many chunks still take space though they were deleted or replaced."""
        meta = json.loads((self.folder / "meta.json").read_bytes())
        return sum((segment["deletes"] or {}).get("num_deleted_docs", 0) for segment in meta["segments"])

    def beside_deleted(self, spared: int) -> list[int]:
        """Ids of the chunks that share a segment with deleted ones, worst segment first. Rewriting them frees the space
        of all deleted chunks but about ``spared``."""
        with typed_errors(self.folder):
            self._index.reload()
            return _beside_deleted(self._index.searcher(), self.deleted_chunks - spared)

    @property
    def num_chunks(self) -> int:
        """How many chunks are committed."""
        with typed_errors(self.folder):
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
