"""``memories.sqlite`` and its vectors: two connections, and a matrix for each project, caught up when it is read."""

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from muniment.embedding import Embedder, Vectors
from muniment.memory.filters import microseconds
from muniment.memory.matrix import VectorMatrix
from muniment.memory.model import Memory
from muniment.memory.schema import prepare
from muniment.sqlite import connect, immediate, snapshot

EMBED_BATCH = 32
BEGINNING_WORDS = 32  # of a text, by which the words' index is asked for it
READ_AT_ONCE = 5_000  # vectors, 8 MB
TRIMMED = 0  # number of a tombstone that stands for all before it; memories count from 1

COLUMNS = """id, project, project_id, content, source, created_at, updated_at, superseded_by, anchor,
    (SELECT json_group_array(tag) FROM tags WHERE memory_id = memories.id) AS tags"""


class MemoryDatabase:
    """Safe to share among threads, and to open in several processes at once. ``writer``: within ``write`` alone."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._embedder = embedder
        # Three connections: a search must not wait while a store waits for another process's write lock, nor while
        # somebody reads all there is. Lock order: _writing, the database's write lock, _reading.
        self._writing, self._reading, self._browsing = threading.Lock(), threading.Lock(), threading.Lock()
        self._adopting = threading.Lock()
        self.writer = connect(path, synchronous="full")
        prepare(self.writer)
        self._reader, self._browser = connect(path), connect(path)
        self._matrices: dict[str, VectorMatrix] = {}

    @property
    def model(self) -> str:
        return self._embedder.name

    def close(self) -> None:
        with self._writing, self._reading, self._browsing:
            self.writer.close()
            self._reader.close()
            self._browser.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        with self._writing, immediate(self.writer):
            yield self.writer

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        with self._reading, snapshot(self._reader):
            yield self._reader

    @contextmanager
    def browse(self) -> Iterator[sqlite3.Connection]:
        """To read much at leisure: no search waits for it."""
        with self._browsing, snapshot(self._browser):
            yield self._browser

    def next_sequence(self) -> int:
        """Of the next change. Inside a write transaction."""
        row = self.writer.execute("UPDATE changes SET sequence = sequence + 1 RETURNING sequence").fetchone()
        return int(row["sequence"])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, float32."""
        vectors = np.asarray(self._embedder.embed(texts), dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1.0
        unit: Vectors = vectors / lengths
        return unit

    def keep_only(self, project_ids: Collection[str]) -> None:
        """Lets go of what is held in memory for every other project."""
        with self._reading:
            for project_id in self._matrices.keys() - set(project_ids):
                del self._matrices[project_id]

    def matrix(self, reader: sqlite3.Connection, project_id: str) -> VectorMatrix:
        """The project's vectors as of the reader's snapshot. Use it within ``read`` alone."""
        matrix = self._matrices.setdefault(project_id, VectorMatrix(self._embedder.dimensions))
        since = (project_id, matrix.sequence)
        removed = reader.execute(
            "SELECT number, sequence FROM removed WHERE project_id = ? AND sequence > ?", since
        ).fetchall()
        if any(row["number"] == TRIMMED for row in removed):  # nobody knows any more what else was removed
            matrix = self._matrices[project_id] = VectorMatrix(self._embedder.dimensions)
            since = (project_id, matrix.sequence)
        seen = matrix.sequence
        # removals first: what is in the table is alive, also when it came back after it was removed
        for row in removed:
            matrix.drop(row["number"])
            matrix.foreign.discard(row["number"])
            seen = max(seen, row["sequence"])
        changed = reader.execute(
            "SELECT number, sequence, model, vector, created_at, superseded_by IS NOT NULL AS hidden FROM memories"
            " WHERE project_id = ? AND sequence > ?",
            since,
        )
        while rows := changed.fetchmany(READ_AT_ONCE):
            self._take(matrix, rows)
            seen = max(seen, *(row["sequence"] for row in rows))
        matrix.sequence = seen
        return matrix

    def _take(self, matrix: VectorMatrix, rows: Sequence[sqlite3.Row]) -> None:
        ours = [row for row in rows if row["model"] == self._embedder.name]
        if ours:
            numbers = [row["number"] for row in ours]
            vectors = np.frombuffer(b"".join(row["vector"] for row in ours), dtype=np.float32)
            stored = [microseconds(datetime.fromisoformat(row["created_at"])) for row in ours]
            hidden = [bool(row["hidden"]) for row in ours]
            matrix.put(numbers, vectors.reshape(len(ours), -1), stored, hidden)
            matrix.foreign.difference_update(numbers)
        for row in rows:
            if row["model"] != self._embedder.name:
                matrix.drop(row["number"])
                matrix.foreign.add(row["number"])

    def adopt(self, project_ids: Sequence[str]) -> None:
        """Embeds anew what another model embedded, a few at a time and outside every lock of the database."""
        if not self._foreign(project_ids):
            return
        with self._adopting:  # who waited finds it done
            foreign = self._foreign(project_ids)
            for start in range(0, len(foreign), EMBED_BATCH):
                self._adopt(foreign[start : start + EMBED_BATCH])

    def _foreign(self, project_ids: Sequence[str]) -> list[int]:
        with self.read() as reader:
            return [number for one in project_ids for number in self.matrix(reader, one).foreign]

    def _adopt(self, numbers: Sequence[int]) -> None:
        with self.read() as reader:
            rows = reader.execute(
                "SELECT number, sequence, content FROM memories"
                " WHERE number IN (SELECT value FROM json_each(?)) AND model <> ?",
                (json.dumps(numbers), self.model),
            ).fetchall()
        if not rows:  # deleted, or adopted by another process meanwhile
            return
        vectors = self.embed([row["content"] for row in rows])
        with self.write() as writer:
            for row, vector in zip(rows, vectors, strict=True):
                # the sequence tells whether it is still the text that was embedded
                writer.execute(
                    "UPDATE memories SET model = ?, vector = ?, sequence = ? WHERE number = ? AND sequence = ?",
                    (self.model, vector.tobytes(), self.next_sequence(), row["number"], row["sequence"]),
                )


def memory_of(row: sqlite3.Row) -> Memory:
    """Of a row with COLUMNS."""
    anchor = json.loads(row["anchor"]) if row["anchor"] else None
    return Memory.model_validate({**dict(row), "tags": sorted(json.loads(row["tags"])), "anchor": anchor})


def by_id(reader: sqlite3.Connection, memory_ids: Iterable[str]) -> list[Memory]:
    """Those that there are, in no order."""
    rows = reader.execute(
        f"SELECT {COLUMNS} FROM memories WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(memory_ids)),),
    )
    return [memory_of(row) for row in rows]


def by_number(reader: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, Memory]:
    rows = reader.execute(
        f"SELECT {COLUMNS}, number FROM memories WHERE number IN (SELECT value FROM json_each(?))",
        (json.dumps(list(numbers)),),
    )
    return {row["number"]: memory_of(row) for row in rows}


def same_text(reader: sqlite3.Connection, project_id: str, content: str) -> list[int]:
    """Memories that say exactly this. Of signs without a letter or digit, which no index holds, by looking at all."""
    where, values = "project_id = ? AND content = ? AND superseded_by IS NULL", [project_id, content]
    if any(sign.isalnum() for sign in content):
        begins = quoted(" ".join(content.split()[:BEGINNING_WORDS]))
        where = f"+{where} AND number IN (SELECT rowid FROM words WHERE words MATCH ?)"  # begun at the words
        values.append(f"project_id : {quoted(project_id)} AND content : {begins}")
    return [row["number"] for row in reader.execute(f"SELECT number FROM memories WHERE {where}", values)]


def quoted(text: str) -> str:
    """As a phrase of the words' index."""
    return '"' + text.replace('"', '""') + '"'


def page_by_number(reader: sqlite3.Connection, project_id: str, after: int, count: int) -> dict[int, Memory]:
    """The next ``count`` memories of a project, in the order they came."""
    rows = reader.execute(
        f"SELECT {COLUMNS}, number FROM memories WHERE +project_id = ? AND number > ? ORDER BY number LIMIT ?",
        (project_id, after, count),
    )
    return {row["number"]: memory_of(row) for row in rows}
