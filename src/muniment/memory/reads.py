"""Counts how often memories are read, in memory, until someone writes the counts down: no search waits for a write."""

import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC, datetime


class ReadCounter:
    """Safe for threads. Counts that were not written are lost with the process: they guide a clean-up, no more.

    ``writing`` is held from ``take`` until what was taken is written: whoever then reads the counts has them all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.writing = threading.Lock()
        self._counts: dict[str, tuple[int, datetime]] = {}

    def count(self, memory_ids: Iterable[str], now: datetime) -> None:
        with self._lock:
            for memory_id in memory_ids:
                self._counts[memory_id] = (self._counts.get(memory_id, (0, now))[0] + 1, now)

    def take(self) -> list[tuple[str, int, datetime]]:
        """(id, reads, last of them) since the last call."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return [(memory_id, reads, last) for memory_id, (reads, last) in taken.items()]

    def put_back(self, taken: Iterable[tuple[str, int, datetime]]) -> None:
        """What could not be written."""
        with self._lock:
            for memory_id, reads, last in taken:
                known, later = self._counts.get(memory_id, (0, last))
                self._counts[memory_id] = (known + reads, max(last, later))


def write_down(writer: sqlite3.Connection, taken: Iterable[tuple[str, int, datetime]]) -> None:
    """Adds the counts; those of memories that were deleted meanwhile are dropped."""
    writer.executemany(
        "INSERT INTO reads (number, reads, last_read_at) SELECT number, ?, ? FROM memories WHERE id = ?"
        " ON CONFLICT (number) DO UPDATE SET reads = reads + excluded.reads,"
        " last_read_at = max(last_read_at, excluded.last_read_at)",
        [(reads, last.astimezone(UTC).isoformat(), memory_id) for memory_id, reads, last in taken],
    )
