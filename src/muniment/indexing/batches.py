"""Gathers parsed files into bounded batches: what one checkpoint writes to both stores."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from muniment.jobs import FileFailure
from muniment.languages import kind_of, language_of
from muniment.lexical import LexicalChunk
from muniment.manifest import FileUpdate, NewChunk
from muniment.parsing import HelperPool, ParsedChunk, ParsedFile, ReadRequest, parse_file
from muniment.planning import FileStamp
from muniment.scanning import FAILURES, FoundFile, SkipReason

POLL_SECONDS = 0.2  # how often a pass that waits for a helper asks whether it has to stop


@dataclass(frozen=True, slots=True)
class BatchLimits:
    files: int
    chunks: int
    seconds: float


@dataclass
class Batch:
    """What one checkpoint writes. Chunk ids are relative until ``numbered``."""

    updates: list[tuple[str, FileStamp, list[ParsedChunk] | None]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    failures: list[FileFailure] = field(default_factory=list)
    by_lines: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
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
            for parsed in chunks:
                chunk = parsed.chunk
                new.append(NewChunk(next_id, chunk.start_line, chunk.end_line, chunk.symbol, parsed.text_hash))
                documents.append(
                    LexicalChunk(
                        next_id, path, chunk.text, chunk.start_line, chunk.end_line,
                        chunk.symbol, chunk.defines, language, kind, parsed.words,
                    )
                )  # fmt: skip
                next_id += 1
            rows.append(FileUpdate(path, stamp, new))
        return rows, documents


class BatchReader:
    """Turns a plan's files into batches: the first one here, the rest in helper processes if there are any.

    ``known`` are the stamps that the plan was made from; ``check`` raises when the pass has to stop.
    """

    def __init__(
        self,
        max_file_bytes: int,
        target: int,
        known: Mapping[str, FileStamp],
        check: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_file_bytes = max_file_bytes
        self._target = target
        self._known = known
        self._check = check
        self._clock = clock
        self._pool: HelperPool | None = None
        self._outrun: set[str] = set()

    def batches(
        self,
        files: Iterable[FoundFile],
        limits: Iterator[BatchLimits],
        pool: HelperPool | None = None,
        *,
        begin_here: bool = True,
    ) -> Iterator[Batch]:
        """Each batch ends at the first of its limits; ``limits`` is asked anew for each.

        ``begin_here``: the first one is read by this process, while the helpers start.
        """
        requests = (self._request(file) for file in files if file.path not in self._outrun)
        batch, limit, started = Batch(), next(limits), self._clock()
        parsed = self._here(requests)
        if pool is not None and not begin_here:
            self._pool, parsed = pool, self._by_helpers(pool, requests)
        while (item := next(parsed, None)) is not None:
            self._add(item, batch)
            full = batch.files >= limit.files or batch.chunk_count >= limit.chunks
            if full or self._clock() - started >= limit.seconds:
                yield batch
                batch, limit, started = Batch(), next(limits), self._clock()
                if pool is not None and self._pool is None:
                    self._pool = pool
                    parsed = self._by_helpers(pool, requests)
        if batch.files:
            yield batch

    def read_ahead(self) -> set[str]:
        """Paths that helpers have read, or read now, and that are in no batch yet; some may be in the last one."""
        return {request.file.path for request in self._pool.flying()} if self._pool is not None else set()

    def outrun(self, paths: Iterable[str]) -> None:
        """Another plan indexes these in a newer state: they are not read any more, and what was read ahead of them is
        dropped."""
        self._outrun.update(paths)

    def _request(self, file: FoundFile) -> ReadRequest:
        known = self._known.get(file.path)
        current = known is not None and known.target >= self._target and not known.skipped
        return ReadRequest(file, known.content_hash if known and current else None)

    def _here(self, requests: Iterable[ReadRequest]) -> Iterator[ParsedFile]:
        for request in requests:
            self._check()
            yield parse_file(request, self._max_file_bytes)

    def _by_helpers(self, pool: HelperPool, requests: Iterable[ReadRequest]) -> Iterator[ParsedFile]:
        for _, future in pool.parse(requests):
            while True:
                self._check()
                try:
                    group = future.result(POLL_SECONDS)
                    break
                except TimeoutError:
                    continue
            for parsed in group:
                if parsed.path not in self._outrun:
                    yield parsed

    def _add(self, parsed: ParsedFile, batch: Batch) -> None:
        batch.files += 1
        batch.last_file = parsed.path
        if parsed.left_out is not None:
            self._leave_out(parsed, parsed.left_out, batch)
            return
        stamp = FileStamp(
            parsed.size, parsed.mtime_ns, parsed.content_hash, self._target, None, None,
            parsed.by_lines, sum(parsed.masked.values()), parsed.pushed,
        )  # fmt: skip
        if parsed.chunks is None:
            known = self._known[parsed.path]
            stamp = replace(stamp, by_lines=known.by_lines, masked=known.masked)
        else:
            batch.chunk_count += len(parsed.chunks)
            batch.masked.update(parsed.masked)
            batch.by_lines.update([parsed.by_lines] if parsed.by_lines else [])
        batch.updates.append((parsed.path, stamp, parsed.chunks))

    def _leave_out(self, parsed: ParsedFile, reason: SkipReason, batch: Batch) -> None:
        stamp = FileStamp(parsed.size, parsed.mtime_ns, None, self._target, pushed=parsed.pushed)
        if reason == SkipReason.VANISHED:
            batch.removed.append(parsed.path)
            batch.skipped[reason] += 1
        elif reason in FAILURES:
            known = self._known.get(parsed.path)
            if known is not None and known.content_hash is not None:
                # what is indexed of it goes on answering, cut and masked as it was: the next pass tries again
                kept = replace(known, size=parsed.size, mtime_ns=parsed.mtime_ns, pushed=parsed.pushed, error=reason)
                batch.updates.append((parsed.path, kept, None))
            else:
                batch.updates.append((parsed.path, replace(stamp, error=reason), []))
            batch.failures.append(FileFailure(path=parsed.path, reason=reason))
        else:
            batch.updates.append((parsed.path, replace(stamp, skipped=reason), []))
            batch.skipped[reason] += 1
