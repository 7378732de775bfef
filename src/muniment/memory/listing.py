"""Memories page by page, the latest stored first."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from muniment.errors import InvalidValue
from muniment.memory.database import COLUMNS, memory_of
from muniment.memory.filters import MemoryFilters
from muniment.memory.model import Memory

UTC = "+00:00"  # as every time is stored
Place = tuple[str, int]  # when a memory was stored, and its number: both stay as they are


def newest(
    reader: sqlite3.Connection, project_ids: Sequence[str], filters: MemoryFilters, limit: int, cursor: str | None
) -> tuple[list[Memory], str | None]:
    """At most ``limit`` memories of all the projects, and the cursor of the page after. Raises InvalidValue."""
    before = _place(cursor) if cursor else None
    rows = [row for one in project_ids for row in _of_one(reader, one, filters, limit + 1, before)]
    rows.sort(key=_place_of, reverse=True)
    shown = rows[:limit]
    following = _cursor(*_place_of(shown[-1])) if len(rows) > limit else None
    return [memory_of(row) for row in shown], following


def _of_one(
    reader: sqlite3.Connection, project_id: str, filters: MemoryFilters, count: int, before: Place | None
) -> list[sqlite3.Row]:
    where, values = filters.where(project_id)
    if before is not None:
        where += " AND (created_at, number) < (?, ?)"
        values += before
    # the numbers first, from the index alone: sorting must not read the wide rows
    return reader.execute(
        f"SELECT {COLUMNS}, number FROM memories WHERE number IN"
        f" (SELECT number FROM memories WHERE {where} ORDER BY created_at DESC, number DESC LIMIT ?)",
        (*values, count),
    ).fetchall()


def _place_of(row: sqlite3.Row) -> Place:
    return row["created_at"], row["number"]


def _cursor(created_at: str, number: int) -> str:
    return f"{created_at.replace(UTC, 'Z')}/{number}"  # it goes into an address, where a plus is a space


def _place(cursor: str) -> Place:
    created_at, _, number = cursor.rpartition("/")
    created_at = created_at.replace("Z", UTC).replace(" ", "+")
    try:
        datetime.fromisoformat(created_at)
        if not 0 <= int(number) < 2**63:
            raise ValueError(number)
        return created_at, int(number)
    except ValueError as error:
        raise InvalidValue("cursor", cursor[:60], "it is not the next of a page") from error
