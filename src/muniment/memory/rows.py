"""Writes single memories inside an open write transaction: rows, tags, tombstones, and who supersedes whom."""

from collections.abc import Iterable
from datetime import UTC, datetime

from muniment.embedding import Vectors
from muniment.errors import InvalidValue, MemorySuperseded, UnknownMemory
from muniment.memory.database import MemoryDatabase, by_id
from muniment.memory.model import Draft, Memory, new_memory_id
from muniment.project import Project


class RowWriter:
    """Every method within ``MemoryDatabase.write`` alone."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def get(self, project_id: str, memory_id: str) -> Memory:
        """As of the open transaction. Raises UnknownMemory."""
        found = [memory for memory in by_id(self._database.writer, [memory_id]) if memory.project_id == project_id]
        if not found:
            raise UnknownMemory(memory_id, project_id)
        return found[0]

    def insert(self, project: Project, draft: Draft, vector: Vectors, now: datetime, field: str) -> str:
        """The new memory's id. Raises UnknownMemory and MemorySuperseded for what it is to supersede, or, when
        ``field`` names its place in a batch, InvalidValue."""
        memory_id, at = new_memory_id(), now.astimezone(UTC).isoformat()
        if draft.supersedes:
            try:
                self._hide(project.id, draft.supersedes, memory_id)
            except (UnknownMemory, MemorySuperseded) as error:
                if not field:
                    raise
                raise InvalidValue(f"{field}supersedes", draft.supersedes, error.body().message.rstrip(".")) from error
        anchor = draft.anchor.model_dump_json() if draft.anchor else None
        said = (memory_id, project.id, project.name, draft.source, at, at, anchor, draft.content)
        self._database.writer.execute(
            "INSERT INTO memories (id, project_id, project, source, created_at, updated_at, anchor, content, sequence,"
            " model, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*said, self._database.next_sequence(), self._database.model, vector.tobytes()),
        )
        self.tag(project.id, memory_id, draft.tags)
        return memory_id

    def _hide(self, project_id: str, memory_id: str, superseded_by: str) -> None:
        known = self.get(project_id, memory_id)
        if known.superseded_by:
            raise MemorySuperseded(memory_id, known.superseded_by)
        self._database.writer.execute(
            "UPDATE memories SET superseded_by = ?, sequence = ? WHERE id = ?",
            (superseded_by, self._database.next_sequence(), memory_id),
        )

    def change(self, memory_id: str, changes: dict[str, object], now: datetime) -> None:
        """Sets columns, and when that was."""
        at = now.astimezone(UTC).isoformat()
        columns = {**changes, "updated_at": at, "sequence": self._database.next_sequence()}
        assignments = ", ".join(f"{column} = ?" for column in columns)
        self._database.writer.execute(f"UPDATE memories SET {assignments} WHERE id = ?", (*columns.values(), memory_id))

    def tag(self, project_id: str, memory_id: str, tags: Iterable[str]) -> None:
        """Instead of the tags that it has."""
        writer = self._database.writer
        writer.execute("DELETE FROM tags WHERE project_id = ? AND memory_id = ?", (project_id, memory_id))
        writer.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(project_id, tag, memory_id) for tag in tags])

    def delete(self, project_id: str, memory_id: str) -> bool:
        """Whether it was there. What it had superseded is found again, unless it was superseded itself."""
        writer = self._database.writer
        gone = writer.execute(
            "DELETE FROM memories WHERE id = ? AND project_id = ? RETURNING number, superseded_by",
            (memory_id, project_id),
        ).fetchall()
        for row in gone:
            tombstone = (project_id, self._database.next_sequence(), row["number"])
            writer.execute("INSERT INTO removed (project_id, sequence, number) VALUES (?, ?, ?)", tombstone)
            hidden = writer.execute("SELECT id FROM memories WHERE superseded_by = ?", (memory_id,)).fetchall()
            for one in hidden:
                writer.execute(
                    "UPDATE memories SET superseded_by = ?, sequence = ? WHERE id = ?",
                    (row["superseded_by"], self._database.next_sequence(), one["id"]),
                )
        return bool(gone)
