"""The vectors of one model on disk, by the hash of their text: one SQLite file, bounded, safe to delete at any moment.

Nothing here raises: whatever is wrong with the file means "not found" or "not kept", and a line in the log.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import numpy as np

from muniment.embedding import Vectors
from muniment.errors import DiskFull
from muniment.sqlite import connect, immediate

log = logging.getLogger(__name__)
T = TypeVar("T")

BUSY_MILLISECONDS = 200  # a question must not wait for another process's write; what is not kept is no loss
ASKED_AT_ONCE = 500
LEAST_TRIMMED = 500
USED_SECONDS = 3600  # "used" is that coarse, so that a hit seldom writes
REST_SECONDS = 60.0  # without the cache, after what deleting the file does not mend: disk full, no permission
FLOAT = np.dtype("<f4")
CHECK_BYTES = 4
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}  # the last: other tables than ours
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS vectors (
        hash BLOB PRIMARY KEY,
        used INTEGER NOT NULL,  -- hours since 1970
        vector BLOB NOT NULL    -- float32, and the CRC-32 of hash and vector
    )
    """,
    "CREATE INDEX IF NOT EXISTS vectors_by_use ON vectors (used)",
)


class CacheFile:
    """Threads share one, and processes one path. Opens the file at first use: not before a fork."""

    def __init__(self, path: Path, max_bytes: int, now: Callable[[], float] = time.time) -> None:
        """``max_bytes`` bounds all ``*.sqlite`` of the folder: those of other models go first, then what was least
        recently used.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._now = now
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._rests_until = 0.0

    def find(self, hashes: Sequence[bytes]) -> dict[bytes, Vectors]:
        """Those that are there, bit by bit as they were kept."""
        found: dict[bytes, Vectors] = {}
        hour = self._hour()
        unused: list[bytes] = []

        def read(connection: sqlite3.Connection) -> None:
            for start in range(0, len(hashes), ASKED_AT_ONCE):
                part = hashes[start : start + ASKED_AT_ONCE]
                marks = ",".join("?" * len(part))
                query = f"SELECT hash, used, vector FROM vectors WHERE hash IN ({marks})"
                for text_hash, used, blob in connection.execute(query, part):
                    vector = _decode(text_hash, blob)
                    if vector is not None:
                        found[text_hash] = vector
                        if used < hour:
                            unused.append(text_hash)

        def touch(connection: sqlite3.Connection) -> None:
            with immediate(connection):
                rows = [(hour, text_hash) for text_hash in unused]
                connection.executemany("UPDATE vectors SET used = ? WHERE hash = ?", rows)

        self._try(read)
        if unused:
            self._try(touch)
        return found

    def keep(self, vectors: Mapping[bytes, Vectors]) -> None:
        rows = [(text_hash, self._hour(), _encode(text_hash, vector)) for text_hash, vector in vectors.items()]

        def write(connection: sqlite3.Connection) -> None:
            with immediate(connection):
                connection.executemany("INSERT OR REPLACE INTO vectors (hash, used, vector) VALUES (?, ?, ?)", rows)
            self._trim(connection, max(LEAST_TRIMMED, 2 * len(rows)))

        self._try(write)

    def close(self) -> None:
        with self._lock:
            self._close()

    def _hour(self) -> int:
        return int(self._now() // USED_SECONDS)

    def _try(self, action: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._lock:
            if 0 < self._rests_until - self._now() <= REST_SECONDS:  # a clock that was set back must not prolong it
                return None
            try:
                return action(self._opened())
            except (sqlite3.Error, DiskFull, OSError) as error:
                self._recover(error)
        return None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and _inode(self._path) != self._inode:
            self._close()  # deleted under way
        if self._connection is None:
            if _size(self._path) > 2 * self._max_bytes:
                # the bound was lowered: rows can be taken out, but the file would never shrink
                log.info("the vector cache %s is larger than it may be now: begun anew", self._path)
                _delete(self._path)
            self._connection = connect(self._path)
            self._inode = _inode(self._path)
            self._connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
            if self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'vectors_by_use'").fetchone() is None:
                with immediate(self._connection):
                    for statement in SCHEMA:
                        self._connection.execute(statement)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _recover(self, error: Exception) -> None:
        """With the lock held: makes the next call find a new file, or no cache for a while."""
        kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if kind in BUSY:
            return
        deleted = self._connection is not None and _inode(self._path) != self._inode
        self._close()
        if deleted:
            return
        if kind in DAMAGE:
            log.warning("the vector cache %s is damaged and begun anew: %s", self._path, error)
            try:
                _delete(self._path)
                return
            except OSError as undeletable:
                error = undeletable
        log.warning("the vector cache %s cannot be used; going on without it: %s", self._path, error)
        self._rests_until = self._now() + REST_SECONDS

    def _trim(self, connection: sqlite3.Connection, rows: int) -> None:
        """Takes out one batch if there is too much: every call adds less than that."""
        others = _delete_oldest(self._other_files(), self._max_bytes - _used_bytes(connection))
        if _used_bytes(connection) + others > self._max_bytes:
            with immediate(connection):
                connection.execute(
                    "DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY used, rowid LIMIT ?)",
                    (rows,),
                )

    def _other_files(self) -> list[Path]:
        return [path for path in self._path.parent.glob("*.sqlite") if path != self._path]


def _encode(text_hash: bytes, vector: Vectors) -> bytes:
    data = np.ascontiguousarray(vector, FLOAT).tobytes()
    return data + crc32(data, crc32(text_hash)).to_bytes(CHECK_BYTES, "little")


def _decode(text_hash: bytes, blob: bytes) -> Vectors | None:
    """None if it is not what was kept: a file whose log was deleted alone may hold anything."""
    if not isinstance(blob, bytes) or len(blob) <= CHECK_BYTES or len(blob) % FLOAT.itemsize:
        return None
    data, check = blob[:-CHECK_BYTES], blob[-CHECK_BYTES:]
    if crc32(data, crc32(text_hash)).to_bytes(CHECK_BYTES, "little") != check:
        return None
    return np.frombuffer(data, FLOAT).astype(np.float32)


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Of the file's pages those that hold something."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _delete_oldest(paths: Iterable[Path], allowed: int) -> int:
    """Leaves at most ``allowed`` bytes of them and returns how many there are."""
    found = sorted(((_modified(path), path, _size(path)) for path in paths), reverse=True)
    total = sum(size for _, _, size in found)
    while found and total > allowed:
        _, path, size = found.pop()
        log.info("the vector cache %s of another model makes room", path)
        _delete(path)
        total -= size
    return total


def _delete(path: Path) -> None:
    # its log first: a new file beside an old log would be taken for damaged
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
