"""Reads files into bounded batches: text, chunks and hashes, ready for both stores."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from muniment.chunking import Chunk, chunk_file
from muniment.jobs import FileFailure
from muniment.languages import kind_of, language_of
from muniment.lexical import LexicalChunk
from muniment.manifest import FileUpdate, NewChunk
from muniment.planning import FileStamp
from muniment.scanning import FAILURES, FoundFile, SkippedFile, SkipReason, read_text

HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class BatchLimits:
    files: int
    chunks: int
    seconds: float


@dataclass
class Batch:
    """What one checkpoint writes. Chunk ids are relative until ``numbered``."""

    updates: list[tuple[str, FileStamp, list[Chunk] | None]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failures: list[FileFailure] = field(default_factory=list)
    chunk_count: int = 0
    files: int = 0
    last_file: str | None = None

    @property
    def rewritten(self) -> list[str]:
        """Paths whose chunks the lexical index has to drop."""
        return self.removed + [path for path, _, chunks in self.updates if chunks is not None]

    def numbered(self, first_id: int) -> tuple[list[FileUpdate], list[LexicalChunk]]:
        """The rows for the manifest and the documents for the lexical index, with their final ids."""
        rows: list[FileUpdate] = []
        documents: list[LexicalChunk] = []
        next_id = first_id
        for path, stamp, chunks in self.updates:
            if chunks is None:
                rows.append(FileUpdate(path, stamp, None))
                continue
            language, kind = language_of(path), kind_of(path).value
            new: list[NewChunk] = []
            for chunk in chunks:
                new.append(NewChunk(next_id, chunk.start_line, chunk.end_line, chunk.symbol, text_hash(chunk.text)))
                documents.append(
                    LexicalChunk(
                        next_id, path, chunk.text, chunk.start_line, chunk.end_line,
                        chunk.symbol, chunk.defines, language, kind,
                    )
                )  # fmt: skip
                next_id += 1
            rows.append(FileUpdate(path, stamp, new))
        return rows, documents


def text_hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


class BatchReader:
    """Turns a plan's files into batches. ``known`` are the stamps that the plan was made from."""

    def __init__(self, max_file_bytes: int, target: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_file_bytes = max_file_bytes
        self._target = target
        self._clock = clock

    def batches(
        self, files: Iterable[FoundFile], known: dict[str, FileStamp], limits: Iterator[BatchLimits]
    ) -> Iterator[Batch]:
        """Each batch ends at the first of its limits; ``limits`` is asked anew for each."""
        batch, limit, started = Batch(), next(limits), self._clock()
        for file in files:
            self._read(file, known.get(file.path), batch)
            full = batch.files >= limit.files or batch.chunk_count >= limit.chunks
            if full or self._clock() - started >= limit.seconds:
                yield batch
                batch, limit, started = Batch(), next(limits), self._clock()
        if batch.files:
            yield batch

    def _read(self, file: FoundFile, known: FileStamp | None, batch: Batch) -> None:
        batch.files += 1
        batch.last_file = file.path
        content = read_text(file, self._max_file_bytes)
        if isinstance(content, SkippedFile):
            self._leave_out(file, known, content.reason, batch)
            return
        stamp = FileStamp(content.size, content.mtime_ns, content.content_hash, self._target)
        if known and known.content_hash == content.content_hash and known.target >= self._target and not known.skipped:
            batch.updates.append((file.path, stamp, None))
            return
        chunks = chunk_file(file.path, content.text)
        batch.updates.append((file.path, stamp, chunks))
        batch.chunk_count += len(chunks)

    def _leave_out(self, file: FoundFile, known: FileStamp | None, reason: SkipReason, batch: Batch) -> None:
        if reason == SkipReason.VANISHED:
            batch.removed.append(file.path)
            batch.skipped.append((file.path, reason))
        elif reason in FAILURES:
            # what is indexed of it goes on answering; the next pass tries again
            kept = known.content_hash if known else None
            stamp = FileStamp(file.size, file.mtime_ns, kept, self._target, error=reason)
            batch.updates.append((file.path, stamp, None if kept else []))
            batch.failures.append(FileFailure(path=file.path, reason=reason))
        else:
            stamp = FileStamp(file.size, file.mtime_ns, None, self._target, skipped=reason)
            batch.updates.append((file.path, stamp, []))
            batch.skipped.append((file.path, reason))
