"""What searches and status read of a manifest. Every read is one short statement: a long one would let the WAL grow."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from muniment.planning import FileStamp
from muniment.sqlite import connect

BIND_LIMIT = 500


class Counters(BaseModel):
    """How far the index is. ``files_total`` counts the files that belong into it, as far as a scan has told."""

    files_total: int = 0
    files_lexical: int = 0
    files_vector: int = 0
    files_failed: int = 0
    chunks: int = 0
    extra: int = 0


class IndexMeta(BaseModel):
    generation: int = 0
    settings_of: datetime | None = None  # when the project that the last plan was made for was changed last
    incomplete: bool = False  # a plan for the whole tree was made and not carried out to its end
    target: int = 0
    collection: str | None = None
    scanned_at: datetime | None = None  # when the last complete scan was made: the index is as of then
    commit: str | None = None  # git HEAD at that scan
    reconciled_at: datetime | None = None  # when a reconcile last ended
    reconciled_files: int | None = None


@dataclass(frozen=True, slots=True)
class SlotChunk:
    slot: int
    text_hash: bytes
    chunk_id: int
    path: str
    start_line: int
    end_line: int
    symbol: str | None


class ManifestReader:
    """Thread-safe: one connection behind a lock, each call one statement."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """None while there is no manifest yet."""
        try:
            connection = connect(path, create=False)
        except FileNotFoundError:
            return None
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'counters'").fetchone() is None:
            connection.close()
            return None
        return cls(connection)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def _rows_in(self, sql: str, values: Iterable[object]) -> Iterator[sqlite3.Row]:
        """Runs ``sql`` with ``{}`` replaced by placeholders, a bounded number of values at a time."""
        pending = list(values)
        for start in range(0, len(pending), BIND_LIMIT):
            part = pending[start : start + BIND_LIMIT]
            yield from self._rows(sql.format(",".join("?" * len(part))), part)

    def counters(self) -> Counters:
        rows = self._rows("SELECT * FROM counters")
        return Counters.model_validate(dict(rows[0])) if rows else Counters()

    def meta(self) -> IndexMeta:
        values: dict[str, Any] = {row["key"]: row["value"] for row in self._rows("SELECT key, value FROM meta")}
        return IndexMeta.model_validate(values)

    def slot_chunks(self, slots: Sequence[int]) -> list[SlotChunk]:
        """Every chunk whose text lies in one of the slots."""
        sql = """SELECT s.id, s.text_hash, c.id, f.path, c.start_line, c.end_line, c.symbol FROM slots s
                 JOIN chunks c ON c.slot = s.id JOIN files f ON f.id = c.file_id WHERE s.id IN ({})"""
        return [SlotChunk(*row) for row in self._rows_in(sql, slots)]

    def files(self, paths: Iterable[str]) -> dict[str, FileStamp]:
        sql = "SELECT path, size, mtime_ns, hash, target, skipped, error FROM files WHERE path IN ({})"
        return {row["path"]: stamp(row) for row in self._rows_in(sql, paths)}


def stamp(row: sqlite3.Row) -> FileStamp:
    return FileStamp(row["size"], row["mtime_ns"], row["hash"], row["target"], row["skipped"], row["error"])
