"""What a project's memories are about, and which of them nobody uses."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from muniment.memory.model import StaleMemory, Topic

SHOWN = 200  # characters of a memory's beginning, enough to know it by


def topics(reader: sqlite3.Connection, project_ids: Sequence[str]) -> list[Topic]:
    """Tags of memories that are not superseded, most used first, then by name."""
    rows = reader.execute(
        "SELECT tag, count(*) AS memories, max(updated_at) AS updated_at"
        " FROM tags JOIN memories ON memories.id = tags.memory_id"
        " WHERE tags.project_id IN (SELECT value FROM json_each(?)) AND superseded_by IS NULL"
        " GROUP BY tag ORDER BY memories DESC, tag",
        (json.dumps(project_ids),),
    )
    return [Topic.model_validate(dict(row)) for row in rows]


def count_unused(reader: sqlite3.Connection, project_id: str, since: datetime) -> int:
    row = reader.execute(f"SELECT count(*) {_UNUSED}", _unused_values(project_id, since)).fetchone()
    return int(row[0])


def unused(reader: sqlite3.Connection, project_id: str, since: datetime, limit: int) -> list[StaleMemory]:
    """The memories that were neither read nor changed since, the longest unused first."""
    rows = reader.execute(
        "SELECT id, substr(content, 1, ?) AS content,"
        " (SELECT json_group_array(tag) FROM tags WHERE memory_id = memories.id) AS tags, last_used_at"
        f" FROM memories JOIN (SELECT memories.number AS number, {_LAST_USED} AS last_used_at {_UNUSED}"
        " ORDER BY last_used_at LIMIT ?) AS stale ON stale.number = memories.number ORDER BY last_used_at, id",
        (SHOWN, *_unused_values(project_id, since), limit),
    )
    return [StaleMemory.model_validate({**dict(row), "tags": sorted(json.loads(row["tags"]))}) for row in rows]


# from an index alone: the wide rows are read only of those that are shown
_LAST_USED = "max(memories.updated_at, coalesce(reads.last_read_at, ''))"
_UNUSED = (
    "FROM memories INDEXED BY memories_by_date LEFT JOIN reads ON reads.number = memories.number"
    f" WHERE memories.project_id = ? AND {_LAST_USED} < ?"
)


def _unused_values(project_id: str, since: datetime) -> tuple[str, str]:
    return project_id, since.astimezone(UTC).isoformat()
