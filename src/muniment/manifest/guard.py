"""A manifest opened for writing: every transaction first makes sure that no other writer has come since."""

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from muniment.errors import LeaseLost
from muniment.manifest.schema import SCHEMA, VERSION
from muniment.sqlite import connect, disk_full_named, immediate

log = logging.getLogger(__name__)
SPACE_MILLISECONDS = 200  # to wait for readers
FEWEST_EMPTY_PAGES = 1_000
_FILES = "(SELECT COUNT(*) FROM files)"
_NOT_INDEXED = "(SELECT COUNT(*) FROM files WHERE skipped IS NOT NULL OR hash IS NULL)"
# the counters that follow from the tables, as differences that partial indexes can count
COUNTED = {
    "files_lexical": f"{_FILES} - {_NOT_INDEXED}",
    "files_vector": f"{_FILES} - {_NOT_INDEXED} - (SELECT COUNT(*) FROM files WHERE pending > 0)",
    "files_failed": "(SELECT COUNT(*) FROM files WHERE (skipped IS NOT NULL OR hash IS NULL) AND error IS NOT NULL)",
    "chunks": "(SELECT COUNT(*) FROM chunks)",
}


class OtherFormat(sqlite3.DatabaseError):
    """Another version of the schema wrote this manifest: the index has to be built anew."""


class GuardedDatabase:
    """Raises the generation when it opens; ``write`` raises LeaseLost once another writer has raised it further."""

    def __init__(self, path: Path, project_id: str) -> None:
        self._project_id = project_id
        # full: a power loss must not take back a note of an open batch that the lexical index has committed since
        self.connection = connect(path, synchronous="full")
        try:
            self._check_format()
            with disk_full_named(path):
                self.connection.executescript(SCHEMA)
            with immediate(self.connection):
                self.set("schema", VERSION)
                self.clean = bool(self.get("clean", 1))
                self.generation = int(str(self.get("generation", 0))) + 1
                self.set("generation", self.generation)
                self.set("clean", 0)
        except BaseException:
            self.connection.close()
            raise

    def _check_format(self) -> None:
        if self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            found = self.get("schema", VERSION)
            if found != VERSION:
                raise OtherFormat(f"the manifest has schema {found}, this version writes {VERSION}")

    def close(self, *, clean: bool) -> None:
        if clean:
            with self.write():
                self.set("clean", 1)
            self._give_back_space()
        self.connection.close()

    def _give_back_space(self) -> None:
        """The log, that SQLite keeps at its largest size while anyone reads, and pages that hold nothing any more."""
        try:
            self.connection.execute(f"PRAGMA busy_timeout = {SPACE_MILLISECONDS}")
            empty, pages = (
                self.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
            )
            if empty >= FEWEST_EMPTY_PAGES and empty > pages / 2:
                self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:  # a long reader, a full disk: the next writer tries again
            log.info("the manifest of %s keeps its size: %s", self._project_id, error)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        with immediate(self.connection):
            if self.get("generation", 0) != self.generation:
                raise LeaseLost(self._project_id)
            yield self.connection

    def get(self, key: str, default: object) -> object:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else row["value"]

    def set(self, key: str, value: object) -> None:
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def select(self, ids: Iterable[int]) -> None:
        """Fills the temporary table ``selected``; inside a transaction."""
        self.connection.execute("CREATE TEMP TABLE IF NOT EXISTS selected (id INTEGER PRIMARY KEY)")
        self.connection.execute("DELETE FROM selected")
        self.connection.executemany("INSERT OR IGNORE INTO selected VALUES (?)", ((number,) for number in ids))

    def recount(self) -> None:
        """Brings the counters up to what the tables hold; inside the transaction that changed them."""
        counted = ", ".join(f"{name} = ({sql})" for name, sql in COUNTED.items())
        self.connection.execute(f"UPDATE counters SET {counted}")
