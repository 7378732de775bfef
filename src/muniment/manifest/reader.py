"""What searches and status read of a manifest. Every read is one short statement: a long one would let the WAL grow."""

import json
import re
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, field_validator

from muniment.manifest.census import Census, take_census
from muniment.manifest.listing import FilePage, Listing
from muniment.manifest.schema import VERSION
from muniment.planning import FileStamp
from muniment.sqlite import connect, select_in, snapshot

STAMP_COLUMNS = "path, size, mtime_ns, hash, target, skipped, error, by_lines, masked, pushed"


class Counters(BaseModel, frozen=True):
    """How far the index is. ``files_total`` counts the files that belong into it, as far as a scan has told."""

    files_total: int = 0
    files_lexical: int = 0
    files_vector: int = 0
    files_failed: int = 0
    chunks: int = 0
    extra: int = 0


class IndexMeta(BaseModel, frozen=True):
    generation: int = 0
    settings_of: datetime | None = None  # when the project that the last plan was made for was changed last
    clean: bool = True  # the last writer ended in order; False while one writes
    incomplete: bool = False  # a plan for the whole tree was made and not carried out to its end
    target: int = 0
    content: str | None = None  # versions of chunker and masking that the files are, or are being, cut with
    content_target: int = 0  # the reindex generation that the change of those versions asked for
    collection: str | None = None  # the one that searches ask
    reused: int = 0  # another one whenever a slot may have come to another text, or to that text's vector
    building: str | None = None  # the one that is filled beside it, for another model
    model_source: str | None = None  # where the active collection's model came from, if it is not a bundled one
    scanned_at: datetime | None = None  # when the last complete scan was made: the index is as of then
    commit: str | None = None  # git HEAD at that scan
    reconciled_at: datetime | None = None  # when a reconcile last ended
    reconciled_files: int | None = None
    warnings: list[str] = []  # why the last complete scan found nothing to index
    roots: dict[str, tuple[int, int]] = {}  # device and inode of each root at that scan, by its path

    @field_validator("warnings", "roots", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value


class ChunkPlace(NamedTuple):
    start_line: int
    end_line: int
    symbol: str | None


class SlotChunk(NamedTuple):
    slot: int
    text_hash: bytes
    chunk_id: int
    path: str
    start_line: int
    end_line: int
    symbol: str | None


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """What the lexical index has to hold. Without path or hash: the row of its file or slot is lost."""

    id: int
    path: str | None
    start_line: int
    end_line: int
    text_hash: bytes | None


class ManifestReader:
    """Thread-safe: one connection behind a lock, each call one statement."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._state: tuple[int, Counters, IndexMeta] | None = None

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """None while there is no manifest yet, or only one that another version wrote: it will be built anew."""
        try:
            connection = connect(path, create=False)
        except FileNotFoundError:
            return None
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'counters'").fetchone() is None:
            connection.close()
            return None
        if connection.execute("SELECT value FROM meta WHERE key = 'schema' AND value != ?", (VERSION,)).fetchone():
            connection.close()
            return None
        return cls(connection)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def _rows_in(self, sql: str, values: Iterable[object]) -> list[sqlite3.Row]:
        with self._lock:
            return list(select_in(self._connection, sql, values))

    def counters(self) -> Counters:
        return self.state()[0]

    def meta(self) -> IndexMeta:
        return self.state()[1]

    def state(self) -> tuple[Counters, IndexMeta]:
        """Both of one moment. Read once per commit: every answer tells them."""
        with self._lock:
            if self._connection.total_changes:  # a commit of its own does not change the number
                return _read_state(self._connection)
            commits = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            if self._state is None or self._state[0] != commits:
                with snapshot(self._connection):
                    self._state = (commits, *_read_state(self._connection))
            return self._state[1:]

    def slot_chunks(self, slots: Sequence[int]) -> list[SlotChunk]:
        """Every chunk whose text lies in one of the slots and whose vector is in the active collection."""
        sql = """SELECT s.id, s.text_hash, c.id, f.path, c.start_line, c.end_line, c.symbol FROM slots s
                 JOIN chunks c ON c.slot = s.id JOIN files f ON f.id = c.file_id
                 WHERE s.embedded = 1 AND s.id IN ({})"""
        return [SlotChunk._make(row) for row in self._rows_in(sql, slots)]

    def places(self, chunk_ids: Iterable[int]) -> dict[int, ChunkPlace]:
        """Where each of these chunks lies in its file; unknown ones are left out."""
        sql = "SELECT id, start_line, end_line, symbol FROM chunks WHERE id IN ({})"
        return {row["id"]: ChunkPlace(*tuple(row)[1:]) for row in self._rows_in(sql, chunk_ids)}

    def slots_of(self, chunk_ids: Iterable[int]) -> list[int]:
        """The slot of each of these chunks, in no order; unknown ones are left out."""
        return [row["slot"] for row in self._rows_in("SELECT slot FROM chunks WHERE id IN ({})", chunk_ids)]

    def hashes_of(self, slots: Iterable[int]) -> dict[int, bytes]:
        """The hash of the text that each of these slots stands for now."""
        sql = "SELECT id, text_hash FROM slots WHERE id IN ({})"
        return {row["id"]: row["text_hash"] for row in self._rows_in(sql, slots)}

    def chunks_of(self, path: str) -> list[SlotChunk]:
        """The chunks of a file in its order; none of a file that is unknown or holds nothing."""
        sql = """SELECT s.id, s.text_hash, c.id, f.path, c.start_line, c.end_line, c.symbol FROM files f
                 JOIN chunks c ON c.file_id = f.id JOIN slots s ON s.id = c.slot WHERE f.path = ? ORDER BY c.id"""
        return [SlotChunk._make(row) for row in self._rows(sql, (path,))]

    def with_chunks(self, paths: Iterable[str]) -> set[str]:
        """Those of the paths whose text is indexed."""
        return {row["path"] for row in self._rows_in("SELECT path FROM files WHERE chunks > 0 AND path IN ({})", paths)}

    def paths_ending(self, end: str, limit: int) -> list[str]:
        """At most so many indexed paths that end in these folders and this name, without regard to case."""
        pattern = "%/" + re.sub(r"[%_\\]", r"\\\g<0>", end)
        sql = "SELECT path FROM files WHERE path LIKE ? ESCAPE '\\' AND chunks > 0 ORDER BY path LIMIT ?"
        return [row["path"] for row in self._rows(sql, (pattern, limit))]

    def stored_chunks(self, after: int, limit: int) -> list[StoredChunk]:
        """A page of all chunks, by id."""
        sql = """SELECT c.id, f.path, c.start_line, c.end_line, s.text_hash FROM chunks c
                 LEFT JOIN files f ON f.id = c.file_id LEFT JOIN slots s ON s.id = c.slot
                 WHERE c.id > ? ORDER BY c.id LIMIT ?"""
        return [StoredChunk(*row) for row in self._rows(sql, (after, limit))]

    def embedded(self, after: int, limit: int, *, beside: bool = False) -> dict[int, bytes]:
        """A page of the slots whose vector the active collection has to hold, or the one that is built ``beside`` it:
        slot -> text hash, by slot. Freed slots included: their text may come back."""
        column = "embedded_next" if beside else "embedded"
        sql = f"SELECT id, text_hash FROM slots WHERE {column} = 1 AND id > ? ORDER BY id LIMIT ?"
        return {row["id"]: row["text_hash"] for row in self._rows(sql, (after, limit))}

    def slot_ids(self) -> set[int]:
        return {row["id"] for row in self._rows("SELECT id FROM slots")}

    def interrupted_paths(self) -> list[str]:
        """The batch that was open when its writer died, or is open now."""
        return [row["path"] for row in self._rows("SELECT path FROM open_batch ORDER BY path")]

    def census(self) -> Census:
        with self._lock:
            return take_census(self._connection)

    def files(self, paths: Iterable[str]) -> dict[str, FileStamp]:
        sql = f"SELECT {STAMP_COLUMNS} FROM files WHERE path IN ({{}})"
        return {row["path"]: stamp(row) for row in self._rows_in(sql, paths)}

    def listed(self, listing: Listing) -> FilePage:
        """One page of the files, in the order of their paths."""
        return listing.page(self._rows(*listing.query()))


def _read_state(connection: sqlite3.Connection) -> tuple[Counters, IndexMeta]:
    row = connection.execute("SELECT * FROM counters").fetchone()
    meta: dict[str, Any] = {row["key"]: row["value"] for row in connection.execute("SELECT key, value FROM meta")}
    return Counters.model_validate(dict(row)) if row else Counters(), IndexMeta.model_validate(meta)


def stamp(row: sqlite3.Row) -> FileStamp:
    """A row of STAMP_COLUMNS."""
    size, mtime_ns, content_hash, target, skipped, error, by_lines, masked, pushed = tuple(row)[1:]
    return FileStamp(size, mtime_ns, content_hash, target, skipped, error, by_lines, masked, bool(pushed))
