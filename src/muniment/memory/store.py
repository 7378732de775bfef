"""The memories of record, in ``memories.sqlite``, and the search over them.

Every change carries an increasing sequence number, removals leave a tombstone: so each process keeps the vectors of
a project in memory and, before it answers, takes over what changed since, whoever changed it.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from muniment.embedding import Embedder, Vectors
from muniment.errors import InvalidValue, UnknownMemory, UnknownProject
from muniment.memory.matrix import VectorMatrix
from muniment.memory.model import (
    MAX_SOURCE,
    Memory,
    MemoryHit,
    SimilarMemory,
    Stored,
    clean_tags,
    clean_text,
    new_memory_id,
)
from muniment.memory.words import coverage, lift
from muniment.project import Project
from muniment.sqlite import connect, immediate, snapshot

DUPLICATE = 0.95  # cosine above which a new memory is not stored
SIMILAR = 0.80  # cosine from which the answer points at what is there
MAX_SIMILAR = 5
# A model reads only the beginning of a long text: there, the words must agree too before it counts as a duplicate.
READ_WHOLE = 800  # characters
SAME_WORDS = 0.95
MAX_LIMIT = 100
POOL = 50  # candidates by meaning that the words of the query may reorder
EMBED_BATCH = 32

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS memories (
        id TEXT PRIMARY KEY,
        project_id TEXT NOT NULL,
        project TEXT NOT NULL,
        source TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        content TEXT NOT NULL,
        model TEXT NOT NULL,
        vector BLOB NOT NULL  -- float32, unit length
    )
    """,
    "CREATE INDEX IF NOT EXISTS memories_by_change ON memories (project_id, sequence)",
    """
    CREATE TABLE IF NOT EXISTS tags (
        project_id TEXT NOT NULL,
        tag TEXT NOT NULL,
        memory_id TEXT NOT NULL REFERENCES memories (id) ON DELETE CASCADE,
        PRIMARY KEY (project_id, tag, memory_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS tags_by_memory ON tags (memory_id)",
    """
    CREATE TABLE IF NOT EXISTS removed (
        project_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        memory_id TEXT NOT NULL,
        PRIMARY KEY (project_id, sequence)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE IF NOT EXISTS removed_projects (project_id TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS changes (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), sequence INTEGER)",
    "INSERT OR IGNORE INTO changes VALUES (1, 0)",
)
COLUMNS = """id, project, project_id, content, source, created_at, updated_at,
    (SELECT json_group_array(tag) FROM tags WHERE memory_id = memories.id) AS tags"""


class MemoryStore:
    """Memories of all projects. Safe to share among threads, and to open in several processes at once.

    An acknowledged memory survives a crash of process or machine. When the embedder's name differs from the one a
    memory was stored with, the first use of its project embeds it anew: slow once, never wrong.
    """

    def __init__(self, path: Path, embedder: Embedder, clock: Callable[[], datetime]) -> None:
        self._embedder = embedder
        self._clock = clock
        # Two connections: a search must not wait while a store waits for another process's write lock.
        # Lock order: _writing, the database's write lock, _reading.
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._writer, self._reader = connect(path, synchronous="full"), connect(path)
        self._matrices: dict[str, VectorMatrix] = {}
        with immediate(self._writer):
            for statement in SCHEMA:
                self._writer.execute(statement)

    def close(self) -> None:
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    def store(
        self, project: Project, content: str, tags: str | Iterable[str] = (), source: str | None = None
    ) -> Stored:
        """Stores a memory, unless the project has one that says nearly the same.

        Raises InvalidValue, and UnknownProject when the project was removed meanwhile.
        """
        content = clean_text("content", content)
        tags = clean_tags(tags)
        source = clean_text("source", source, MAX_SOURCE) if source and source.strip() else None
        vector = self._embed([content])[0]
        self._adopt([project.id])
        with self._write() as writer:
            if writer.execute("SELECT 1 FROM removed_projects WHERE project_id = ?", (project.id,)).fetchone():
                raise UnknownProject(project.name, [])
            near = self._near(project.id, content, vector)
            if isinstance(near, Stored):
                return near
            memory_id, now = new_memory_id(), self._clock().astimezone(UTC).isoformat()
            said = (memory_id, project.id, project.name, source, now, now, content)
            writer.execute(
                "INSERT INTO memories (id, project_id, project, source, created_at, updated_at, content, sequence,"
                " model, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*said, self._next_sequence(), self._embedder.name, vector.tobytes()),
            )
            writer.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(project.id, tag, memory_id) for tag in tags])
        message = "Similar memories exist; delete those that this one replaces." if near else None
        return Stored(id=memory_id, created=True, similar=near, message=message)

    def search(
        self,
        projects: str | Sequence[str],
        query: str,
        *,
        tags: str | Iterable[str] = (),
        limit: int = 5,
        min_score: float = 0.0,
    ) -> list[MemoryHit]:
        """The nearest memories of the projects (by id), best first: exact cosine over all that pass the filters.

        ``tags``: a memory with any of them passes. The order is that of the scores, but for near ties, which words
        shared with the query decide, and for identifiers in the query (ORD-1234, max_retries), which lift the
        memories that contain them. Raises InvalidValue.
        """
        project_ids = [projects] if isinstance(projects, str) else list(dict.fromkeys(projects))
        query = clean_text("query", query)
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidValue("limit", limit, f"it must be from 1 to {MAX_LIMIT}")
        if not 0.0 <= min_score <= 1.0:
            raise InvalidValue("min_score", min_score, "it must be from 0 to 1")
        wanted = clean_tags(tags)
        vector = self._embed([query])[0]
        self._adopt(project_ids)
        scores: dict[str, float] = {}
        with self._read() as reader:
            for project_id in project_ids:
                among = _tagged(reader, project_id, wanted) if wanted else None
                matrix = self._caught_up(reader, project_id)
                scores.update(matrix.nearest(vector, max(POOL, 2 * limit), among=among, min_score=min_score))
            pool = fetch(reader, scores)
        hits = [MemoryHit(**dict(memory), score=round(scores[memory.id], 4)) for memory in pool]
        hits.sort(key=lambda hit: (scores[hit.id] + lift(query, hit.content), hit.updated_at, hit.id), reverse=True)
        return hits[:limit]

    def get(self, project_id: str, memory_id: str) -> Memory:
        """Raises UnknownMemory."""
        with self._read() as reader:
            found = [memory for memory in fetch(reader, [memory_id]) if memory.project_id == project_id]
        if not found:
            raise UnknownMemory(memory_id, project_id)
        return found[0]

    def delete(self, project_id: str, memory_ids: Sequence[str]) -> int:
        """Deletes those of the ids that the project has and returns their number; UnknownMemory when it has none."""
        if not memory_ids:
            raise InvalidValue("memory_ids", memory_ids, "name at least one memory")
        deleted = 0
        with self._write() as writer:
            for memory_id in dict.fromkeys(memory_ids):
                found = writer.execute("DELETE FROM memories WHERE id = ? AND project_id = ?", (memory_id, project_id))
                if found.rowcount:
                    deleted += 1
                    tombstone = (project_id, self._next_sequence(), memory_id)
                    writer.execute("INSERT INTO removed (project_id, sequence, memory_id) VALUES (?, ?, ?)", tombstone)
        if not deleted:
            raise UnknownMemory(", ".join(memory_ids), project_id)
        return deleted

    def count(self, project_id: str) -> int:
        with self._read() as reader:
            row = reader.execute("SELECT count(*) FROM memories WHERE project_id = ?", (project_id,)).fetchone()
        return int(row[0])

    def keep_only(self, project_ids: Collection[str]) -> None:
        """Lets go of what is held in memory for every other project."""
        with self._reading:
            for project_id in self._matrices.keys() - set(project_ids):
                del self._matrices[project_id]

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._writing, immediate(self._writer):
            yield self._writer

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading, snapshot(self._reader):
            yield self._reader

    def _next_sequence(self) -> int:
        row = self._writer.execute("UPDATE changes SET sequence = sequence + 1 RETURNING sequence").fetchone()
        return int(row["sequence"])

    def _embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.asarray(self._embedder.embed(texts), dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1.0
        unit: Vectors = vectors / lengths
        return unit

    def _near(self, project_id: str, content: str, vector: Vectors) -> Stored | list[SimilarMemory]:
        """The refusal of a duplicate, or the similar ones. Inside the write transaction: nobody else can store."""
        with self._read() as reader:
            matrix = self._caught_up(reader, project_id)
            near = matrix.nearest(vector, MAX_SIMILAR, min_score=SIMILAR)
            texts = {memory.id: memory.content for memory in fetch(reader, [memory_id for memory_id, _ in near])}
        for memory_id, score in near:
            if score > DUPLICATE and _covers(texts[memory_id], content):
                message = (
                    f"Not stored: memory {memory_id} says nearly the same (similarity {score:.2f})."
                    " Delete that one first if this is to replace it."
                )
                return Stored(id=memory_id, created=False, duplicate_of=memory_id, message=message)
        return [SimilarMemory(id=memory_id, score=round(score, 4)) for memory_id, score in near]

    def _caught_up(self, reader: sqlite3.Connection, project_id: str) -> VectorMatrix:
        """The project's vectors as of the reader's snapshot."""
        matrix = self._matrices.setdefault(project_id, VectorMatrix(self._embedder.dimensions))
        since = (project_id, matrix.sequence)
        seen = matrix.sequence
        # removals first: what is in the table is alive, also when it came back under an id that was removed
        for row in reader.execute(
            "SELECT memory_id, sequence FROM removed WHERE project_id = ? AND sequence > ?", since
        ):
            matrix.drop(row["memory_id"])
            matrix.foreign.discard(row["memory_id"])
            seen = max(seen, row["sequence"])
        for row in reader.execute(
            "SELECT id, sequence, model, vector FROM memories WHERE project_id = ? AND sequence > ?", since
        ):
            if row["model"] == self._embedder.name:
                matrix.put(row["id"], np.frombuffer(row["vector"], dtype=np.float32))
                matrix.foreign.discard(row["id"])
            else:
                matrix.drop(row["id"])
                matrix.foreign.add(row["id"])
            seen = max(seen, row["sequence"])
        matrix.sequence = seen
        return matrix

    def _adopt(self, project_ids: Sequence[str]) -> None:
        """Embeds anew what another model embedded, a few at a time and outside every lock."""
        with self._read() as reader:
            foreign = [memory for one in project_ids for memory in self._caught_up(reader, one).foreign]
        for start in range(0, len(foreign), EMBED_BATCH):
            batch = json.dumps(foreign[start : start + EMBED_BATCH])
            with self._read() as reader:
                rows = reader.execute(
                    "SELECT id, sequence, content FROM memories WHERE id IN (SELECT value FROM json_each(?))", (batch,)
                ).fetchall()
            if not rows:  # deleted meanwhile
                continue
            vectors = self._embed([row["content"] for row in rows])
            with self._write() as writer:
                for row, vector in zip(rows, vectors, strict=True):
                    # the sequence tells whether it is still the text that was embedded
                    writer.execute(
                        "UPDATE memories SET model = ?, vector = ?, sequence = ? WHERE id = ? AND sequence = ?",
                        (self._embedder.name, vector.tobytes(), self._next_sequence(), row["id"], row["sequence"]),
                    )


def _covers(stored: str, new: str) -> bool:
    return len(new) <= READ_WHOLE or coverage(new, stored) >= SAME_WORDS


def _tagged(reader: sqlite3.Connection, project_id: str, tags: Sequence[str]) -> set[str]:
    rows = reader.execute(
        "SELECT memory_id FROM tags WHERE project_id = ? AND tag IN (SELECT value FROM json_each(?))",
        (project_id, json.dumps(tags)),
    )
    return {row["memory_id"] for row in rows}


def fetch(reader: sqlite3.Connection, memory_ids: Iterable[str]) -> list[Memory]:
    rows = reader.execute(
        f"SELECT {COLUMNS} FROM memories WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(memory_ids)),),
    )
    return [Memory.model_validate({**dict(row), "tags": sorted(json.loads(row["tags"]))}) for row in rows]
