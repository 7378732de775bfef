"""Which memories of a project may answer, as SQL: filters apply before the ranking, so that they cost no recall."""

import json
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from muniment.errors import InvalidValue
from muniment.memory.matrix import EVER, Span
from muniment.memory.model import MAX_SOURCE, clean_tags, clean_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_CHARACTER = "\U0010ffff"
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MemoryFilters:
    """``tags``: any of them. ``after`` and ``before`` bound the time a memory was stored, both inclusive."""

    tags: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None
    source: str | None = None  # a prefix
    include_superseded: bool = False

    @classmethod
    def of(
        cls,
        tags: str | Iterable[str] = (),
        after: str | datetime | None = None,
        before: str | datetime | None = None,
        source: str | None = None,
        *,
        include_superseded: bool = False,
    ) -> Self:
        """Raises InvalidValue. Dates are ISO 8601; without a time zone they are UTC; see ``moment``."""
        since, until = moment("after", after), moment("before", before, end_of_day=True)
        if since and until and since > until:
            raise InvalidValue("after", str(after), f"it lies after before={before}, so that nothing can match")
        prefix = clean_text("source", source, MAX_SOURCE) if source and source.strip() else None
        return cls(tuple(clean_tags(tags)), since, until, prefix, include_superseded)

    @property
    def stored(self) -> Span:
        """When those that pass were stored."""
        since = microseconds(self.after) if self.after is not None else EVER[0]
        return since, microseconds(self.before) if self.before is not None else EVER[1]

    def numbers(self, reader: sqlite3.Connection, project_id: str) -> list[int] | None:
        """The numbers of the memories that pass, superseded or not; None when only ``stored`` is looked at besides."""
        if not self.tags and not self.source:
            return None
        where, values = self._narrowing(project_id)
        # one row with all of them: a hundred thousand rows would cost more than the search itself
        sql = f"SELECT json_group_array(number) FROM memories WHERE {where}"
        found: list[int] = json.loads(reader.execute(sql, values).fetchone()[0])
        return found

    def where(self, project_id: str) -> tuple[str, list[object]]:
        """The condition that they are for the project's memories, and the values of its placeholders."""
        where, values = self._narrowing(project_id)
        return (where if self.include_superseded else f"{where} AND superseded_by IS NULL"), values

    def _narrowing(self, project_id: str) -> tuple[str, list[object]]:
        if self.tags:
            # tags know their project, and ids stand in an index with the numbers: no wide row is read for them
            clauses = [
                "id IN (SELECT memory_id FROM tags WHERE project_id = ? AND tag IN (SELECT value FROM json_each(?)))"
            ]
            values: list[object] = [project_id, json.dumps(self.tags)]
        else:
            clauses, values = ["project_id = ?"], [project_id]
        for clause, bound in (("created_at >= ?", self.after), ("created_at <= ?", self.before)):
            if bound is not None:
                clauses.append(clause)
                values.append(bound.isoformat())
        if self.source:
            # the bounds for the index, the beginning for what lies beyond the last character there is
            clauses.append("source >= ? AND source < ? AND substr(source, 1, ?) = ?")
            values += [self.source, self.source + LAST_CHARACTER, len(self.source), self.source]
        return " AND ".join(clauses), values


CURRENT = MemoryFilters()  # all that nothing superseded


def microseconds(at: datetime) -> int:
    """Since 1970, exactly."""
    return (at - EPOCH) // timedelta(microseconds=1)


def moment(field: str, given: str | datetime | None, *, end_of_day: bool = False) -> datetime | None:
    """A point in time, in UTC; a date alone is its beginning, or with ``end_of_day`` its last instant.

    Raises InvalidValue.
    """
    if given is None or given == "":
        return None
    if isinstance(given, datetime):
        return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    text = given.strip()
    try:
        if DATE.fullmatch(text):
            start = datetime.combine(date.fromisoformat(text), time(), UTC)
            return start + timedelta(days=1, microseconds=-1) if end_of_day else start
        if DATE.match(text):
            parsed = datetime.fromisoformat(text)
            return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidValue(field, given[:40], "it is no date; write 2026-01-31 or 2026-01-31T15:00:00Z")
