"""Writes single memories inside an open write transaction: rows, tags, tombstones, and who supersedes whom."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime

from muniment.embedding import Vectors
from muniment.errors import InvalidValue, MemorySuperseded, UnknownMemory
from muniment.memory.database import TRIMMED, MemoryDatabase, by_id
from muniment.memory.model import Draft, Memory, new_memory_id
from muniment.project import Project

# Of removals kept for each project; who is further behind reads the project anew, as after a start.
TOMBSTONES = 10_000


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
                self._current(project.id, draft.supersedes)
            except (UnknownMemory, MemorySuperseded) as error:
                if not field:
                    raise
                told = UnknownMemory(draft.supersedes, project.name) if isinstance(error, UnknownMemory) else error
                raise InvalidValue(f"{field}supersedes", draft.supersedes, told.body().message.rstrip(".")) from error
            self._hide(draft.supersedes, memory_id)
        anchor = draft.anchor.model_dump_json() if draft.anchor else None
        said = (memory_id, project.id, project.name, draft.source, at, at, anchor, draft.content)
        self._database.writer.execute(
            "INSERT INTO memories (id, project_id, project, source, created_at, updated_at, anchor, content, sequence,"
            " model, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*said, self._database.next_sequence(), self._database.model, vector.tobytes()),
        )
        self.tag(project.id, memory_id, draft.tags)
        return memory_id

    def supersede(self, project_id: str, memory_id: str, successor: str, now: datetime) -> None:
        """By one that is there already, instead of any other, or with "" by none any more.

        That it has a successor is no part of what it says. That it has none any more is a later state of it: else the
        next import of the earlier one would hide it again, and the next clean-up delete what was unused while hidden.
        Raises UnknownMemory, and InvalidValue when the memory would come to replace itself.
        """
        known = self.get(project_id, memory_id).superseded_by
        # what an import still waits for is overruled too
        gone = self._database.writer.execute("DELETE FROM awaited WHERE memory_id = ?", (memory_id,)).rowcount
        if not successor:
            if known or gone:
                self._hide(memory_id, None)
                self.change(memory_id, {}, now)
            return
        if known == successor:
            return
        self.get(project_id, successor)
        if leads_to(self._database.writer, successor, memory_id):
            reason = (
                "a memory cannot replace itself" if successor == memory_id else "it was itself replaced by this one"
            )
            raise InvalidValue("superseded_by", successor, reason)
        self._hide(memory_id, successor)

    def _current(self, project_id: str, memory_id: str) -> None:
        """Raises UnknownMemory and MemorySuperseded."""
        if successor := self.get(project_id, memory_id).superseded_by:
            raise MemorySuperseded(memory_id, successor)

    def _hide(self, memory_id: str, superseded_by: str | None) -> None:
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
                self._hide(one["id"], row["superseded_by"])
        return bool(gone)

    def trim(self, project_id: str) -> None:
        """Forgets removals but the latest, with a mark: who has not seen them yet must know that some are missing."""
        writer = self._database.writer
        oldest = writer.execute(
            "SELECT sequence FROM removed WHERE project_id = ? ORDER BY sequence DESC LIMIT 1 OFFSET ?",
            (project_id, TOMBSTONES),
        ).fetchone()
        if oldest is not None:
            mark = (project_id, oldest["sequence"])
            writer.execute("DELETE FROM removed WHERE project_id = ? AND sequence <= ?", mark)
            writer.execute("INSERT INTO removed (project_id, sequence, number) VALUES (?, ?, ?)", (*mark, TRIMMED))


def leads_to(reader: sqlite3.Connection, start: str, end: str) -> bool:
    """Whether the successors of ``start`` come to ``end``: then neither would be found any more."""
    seen: set[str] = set()
    here: str | None = start
    while here is not None and here not in seen:
        if here == end:
            return True
        seen.add(here)
        row = reader.execute("SELECT superseded_by FROM memories WHERE id = ?", (here,)).fetchone()
        here = row["superseded_by"] if row else None
    return False
