"""Whether the manifest agrees with itself: what it counts beside its tables, against the tables. And how to recount."""

import sqlite3
from dataclasses import dataclass

from muniment.manifest.guard import COUNTED, GuardedDatabase
from muniment.sqlite import snapshot

_USED = "(SELECT slot, COUNT(*) AS n FROM chunks GROUP BY slot)"
_HELD = """(SELECT c.file_id AS file_id, COUNT(*) AS n, SUM(s.embedded = 0) AS lacking
            FROM chunks c JOIN slots s ON s.id = c.slot GROUP BY c.file_id)"""

REFERENCES = f"""SELECT 'slot ' || s.id || ': ' || s.refs || ' instead of ' || COALESCE(u.n, 0)
    FROM slots s LEFT JOIN {_USED} AS u ON u.slot = s.id WHERE s.refs != COALESCE(u.n, 0)"""
FILE_COUNTS = f"""SELECT f.path || ': ' || f.chunks || ' chunks, ' || f.pending || ' without vector, instead of '
                         || COALESCE(h.n, 0) || ' and ' || COALESCE(h.lacking, 0)
    FROM files f LEFT JOIN {_HELD} AS h ON h.file_id = f.id
    WHERE f.chunks != COALESCE(h.n, 0) OR f.pending != COALESCE(h.lacking, 0)"""
HOMELESS = """SELECT 'chunk ' || c.id || CASE WHEN f.id IS NULL THEN ' of no file' ELSE ' of ' || f.path END
    FROM chunks c LEFT JOIN files f ON f.id = c.file_id LEFT JOIN slots s ON s.id = c.slot
    WHERE f.id IS NULL OR s.id IS NULL"""


@dataclass(frozen=True, slots=True)
class Census:
    """Each wrong item in words. ``damage`` is what SQLite says of its own file."""

    damage: list[str]
    homeless: list[str]
    references: list[str]
    file_counts: list[str]
    counters: list[str]


def take_census(connection: sqlite3.Connection) -> Census:
    """Reads all of it as of one moment, also while another process writes."""
    damage = [line for line in _texts(connection, "PRAGMA quick_check(20)") if line != "ok"]
    if damage:
        return Census(damage, [], [], [], [])
    with snapshot(connection):
        homeless, references, file_counts = (_texts(connection, sql) for sql in (HOMELESS, REFERENCES, FILE_COUNTS))
        return Census([], homeless, references, file_counts, _wrong_counters(connection))


def _texts(connection: sqlite3.Connection, sql: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(sql)]


def _wrong_counters(connection: sqlite3.Connection) -> list[str]:
    kept = connection.execute("SELECT * FROM counters").fetchone()
    if kept is None:
        return ["the row of counters is gone"]
    counted = {name: connection.execute(f"SELECT {sql}").fetchone()[0] for name, sql in COUNTED.items()}
    wrong = [f"{name}: {kept[name]} instead of {right}" for name, right in counted.items() if kept[name] != right]
    last = connection.execute("SELECT MAX(id) FROM chunks").fetchone()[0]
    if last is not None and last >= kept["next_chunk"]:
        wrong.append(f"next_chunk: {kept['next_chunk']} though there is a chunk {last}")
    return wrong


def recount_all(guarded: GuardedDatabase) -> None:
    """Makes everything that is counted agree with the tables. Chunks of no file leave; their texts are orphans then."""
    with guarded.write() as db:
        db.execute("DELETE FROM chunks WHERE file_id NOT IN (SELECT id FROM files)")
        db.execute("INSERT OR IGNORE INTO counters VALUES (1, 0, 0, 0, 0, 0, 1, 0)")
        db.execute(f"UPDATE slots SET refs = COALESCE((SELECT u.n FROM {_USED} AS u WHERE u.slot = slots.id), 0)")
        db.execute("UPDATE files SET chunks = 0, pending = 0")
        db.execute(f"UPDATE files SET chunks = h.n, pending = h.lacking FROM {_HELD} AS h WHERE files.id = h.file_id")
        db.execute("UPDATE counters SET next_chunk = MAX(next_chunk, COALESCE((SELECT MAX(id) + 1 FROM chunks), 1))")
        guarded.recount()
