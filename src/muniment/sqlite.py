"""Opening SQLite the one way every store here does: WAL, a busy timeout, explicit transactions."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from muniment.errors import DiskFull

BUSY_SECONDS = 10.0
BIND_LIMIT = 500  # values in one statement


def connect(
    path: Path, *, synchronous: Literal["normal", "full"] = "normal", create: bool = True
) -> sqlite3.Connection:
    """Opens a database in autocommit mode with rows by name; write through ``immediate``.

    The connection may be used from any thread, by one at a time, but never in a forked child. ``create`` makes
    the folder too; without it a missing database raises FileNotFoundError. Raises DiskFull.
    """
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.is_file():
        raise FileNotFoundError(path)
    # mode=rw: a database deleted after the check above must not come back as an empty one
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        with disk_full_named(path):
            _use_wal(connection)
            connection.execute(f"PRAGMA synchronous={synchronous}")
            connection.execute("PRAGMA foreign_keys=ON")
    except (sqlite3.Error, DiskFull):
        connection.close()
        raise
    return connection


@contextmanager
def disk_full_named(path: Path) -> Iterator[None]:
    """Raises DiskFull for SQLite's own words for it."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}:
            raise DiskFull(str(path)) from error
        raise


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection kept its lock for longer than anyone waits for it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is broken: that does not become better by waiting."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A write transaction that takes the lock at once: what is read inside cannot change before the commit.

    Raises DiskFull when there is no space left; then, as after any error, nothing of it is written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException as error:
        # SQLite itself rolls back on some errors (disk full, I/O): then there is nothing left to roll back
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise DiskFull(connection.execute("PRAGMA database_list").fetchone()["file"]) from error
        raise


def select_in(connection: sqlite3.Connection, sql: str, values: Iterable[object]) -> Iterator[sqlite3.Row]:
    """Runs ``sql`` with ``{}`` replaced by placeholders, for a bounded number of the values at a time."""
    pending = list(values)
    for start in range(0, len(pending), BIND_LIMIT):
        part = pending[start : start + BIND_LIMIT]
        yield from connection.execute(sql.format(",".join("?" * len(part))), part).fetchall()


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A read transaction: every query inside sees the same state. Keep it short, the log grows behind it."""
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        connection.execute("ROLLBACK")


def _use_wal(connection: sqlite3.Connection) -> None:
    # two openers that both turn a new file to WAL: SQLite refuses one at once, without its busy timeout
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
