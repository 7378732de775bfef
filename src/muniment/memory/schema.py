"""Tables of ``memories.sqlite``, and how a database of an earlier version becomes one of this.

A memory's ``number`` never changes and is never given again: the words' index and the reads point at it. Every change
carries an increasing ``sequence``, removals leave a tombstone, so that each process can take over what changed.
"""

import sqlite3
from typing import Final

from muniment.errors import DataTooNew
from muniment.sqlite import immediate

VERSION: Final = 2

_MEMORIES: Final = """
    CREATE TABLE IF NOT EXISTS {name} (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        project_id TEXT NOT NULL,
        project TEXT NOT NULL,
        source TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        superseded_by TEXT,  -- id of the memory that replaced this one
        anchor TEXT,  -- JSON: the code that this memory is about
        content TEXT NOT NULL,
        model TEXT NOT NULL,
        vector BLOB NOT NULL  -- float32, unit length
    )
    """

SCHEMA: Final = (
    _MEMORIES.format(name="memories"),
    "CREATE INDEX IF NOT EXISTS memories_by_change ON memories (project_id, sequence)",
    # covers what searches filter by: they never read the wide rows of what they leave out
    """
    CREATE INDEX IF NOT EXISTS memories_by_date
    ON memories (project_id, created_at, source, superseded_by, updated_at, number)
    """,
    """
    CREATE INDEX IF NOT EXISTS memories_by_source
    ON memories (project_id, source, created_at, superseded_by, number)
    """,
    "CREATE INDEX IF NOT EXISTS memories_superseded ON memories (superseded_by) WHERE superseded_by IS NOT NULL",
    """
    CREATE TABLE IF NOT EXISTS tags (
        project_id TEXT NOT NULL,
        tag TEXT NOT NULL,
        memory_id TEXT NOT NULL REFERENCES memories (id) ON DELETE CASCADE,
        PRIMARY KEY (project_id, tag, memory_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS tags_by_memory ON tags (memory_id)",
    # apart from the memories: a read is no change of one
    """
    CREATE TABLE IF NOT EXISTS reads (
        number INTEGER PRIMARY KEY REFERENCES memories (number) ON DELETE CASCADE,
        reads INTEGER NOT NULL,
        last_read_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS removed (
        project_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (project_id, sequence)
    ) WITHOUT ROWID
    """,
    # an import may bring what was superseded before it brings the successor, or without it
    """
    CREATE TABLE IF NOT EXISTS awaited (
        successor TEXT NOT NULL,
        memory_id TEXT NOT NULL REFERENCES memories (id) ON DELETE CASCADE,
        PRIMARY KEY (successor, memory_id)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE IF NOT EXISTS removed_projects (project_id TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS changes (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), sequence INTEGER)",
    "INSERT OR IGNORE INTO changes VALUES (1, 0)",
    """
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
        content, source, project_id, content='memories', content_rowid='number', detail='full',
        tokenize="unicode61 tokenchars '_'"
    )
    """,
    """
    CREATE TRIGGER IF NOT EXISTS words_added AFTER INSERT ON memories BEGIN
        INSERT INTO words (rowid, content, source, project_id)
        VALUES (new.number, new.content, new.source, new.project_id);
    END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS words_dropped AFTER DELETE ON memories BEGIN
        INSERT INTO words (words, rowid, content, source, project_id)
        VALUES ('delete', old.number, old.content, old.source, old.project_id);
    END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS words_changed AFTER UPDATE OF content, source ON memories BEGIN
        INSERT INTO words (words, rowid, content, source, project_id)
        VALUES ('delete', old.number, old.content, old.source, old.project_id);
        INSERT INTO words (rowid, content, source, project_id)
        VALUES (new.number, new.content, new.source, new.project_id);
    END
    """,
)


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables, or those of an earlier version into them. Raises DataTooNew. Two at once are harmless."""
    if _version(connection) == VERSION:
        return  # without a lock: who writes for long keeps nobody from opening
    # dropping a table deletes what refers to its rows, unless nobody looks at references; inert inside a transaction
    connection.execute("PRAGMA foreign_keys=OFF")
    try:
        with immediate(connection):
            version = _version(connection)
            if version > VERSION:
                raise DataTooNew("memories.sqlite", version, VERSION)
            if version < VERSION:
                _bring_up(connection)
                connection.execute(f"PRAGMA user_version={VERSION}")
    finally:
        connection.execute("PRAGMA foreign_keys=ON")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _bring_up(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'memories'").fetchone():
        columns = "id, project_id, project, source, created_at, updated_at, sequence, content, model, vector"
        connection.execute(_MEMORIES.format(name="memories_new"))
        connection.execute(
            f"INSERT INTO memories_new ({columns}) SELECT {columns} FROM memories ORDER BY created_at, id"
        )
        # in this order: renaming the old table away would take the references of the tags with it
        connection.execute("DROP TABLE memories")
        connection.execute("ALTER TABLE memories_new RENAME TO memories")
        connection.execute("DROP TABLE removed")  # who opens the database now has nothing to take back
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO words (words) VALUES ('rebuild')")
