"""Tables of the manifest.

A *slot* is one distinct chunk text and the id of its vector: identical text is embedded and stored once. A freed slot
(refs = 0) keeps its text hash, so that a text that comes back finds its vector again, until another text takes it over.
``embedded`` tells of the active collection, ``embedded_next`` of the one that is filled beside it for another model.

``left_out`` holds what the scan itself left out; what only the reading of a file ruled out has a row in ``files``.
"""

VERSION = 2
BELOW = "(path = ? OR (path >= ? AND path < ?))"  # a file, or what lies below a folder; takes below_values

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    hash BLOB,
    target INTEGER NOT NULL,
    skipped TEXT,
    error TEXT,
    by_lines TEXT,
    masked INTEGER NOT NULL,
    pushed INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    pending INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS files_pending ON files (id) WHERE pending > 0;
CREATE INDEX IF NOT EXISTS files_not_indexed ON files (id) WHERE skipped IS NOT NULL OR hash IS NULL;
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY,
    file_id INTEGER NOT NULL,
    start_line INTEGER NOT NULL,
    end_line INTEGER NOT NULL,
    symbol TEXT,
    slot INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS chunks_file ON chunks (file_id);
CREATE INDEX IF NOT EXISTS chunks_slot ON chunks (slot);
CREATE TABLE IF NOT EXISTS slots (
    id INTEGER PRIMARY KEY,
    text_hash BLOB NOT NULL UNIQUE,
    refs INTEGER NOT NULL,
    embedded INTEGER NOT NULL,
    embedded_next INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS slots_pending ON slots (id) WHERE embedded = 0 AND refs > 0;
CREATE INDEX IF NOT EXISTS slots_pending_next ON slots (id) WHERE embedded_next = 0 AND refs > 0;
CREATE INDEX IF NOT EXISTS slots_free ON slots (id) WHERE refs = 0;
CREATE TABLE IF NOT EXISTS left_out (
    path TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    failed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_batch (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    files_total INTEGER NOT NULL,
    files_lexical INTEGER NOT NULL,
    files_vector INTEGER NOT NULL,
    files_failed INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    next_chunk INTEGER NOT NULL,
    extra INTEGER NOT NULL
);
INSERT OR IGNORE INTO counters VALUES (1, 0, 0, 0, 0, 0, 1, 0);
"""


def below_values(path: str) -> tuple[str, str, str]:
    return path, path + "/", path + "0"  # '0' is the character after '/'
