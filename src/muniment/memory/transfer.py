"""Memories as lines of JSON: what an export writes and an import takes in, ids and dates kept."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b

from pydantic import BaseModel, ConfigDict, ValidationError

from muniment.embedding import Vectors
from muniment.errors import InvalidValue, UnknownProject
from muniment.memory.database import MemoryDatabase
from muniment.memory.model import MAX_ID, MAX_SYMBOL, Anchor, Memory, clean_source, clean_tags, clean_text
from muniment.memory.rows import leads_to
from muniment.project import Project
from muniment.pushed import check_path

RESERVED = (".", "..", "export")  # what stands in their place in an address leads elsewhere
ID_BYTES = 8


class Record(BaseModel):
    """One line of an export. Fields of other exports that say nothing here are passed over."""

    model_config = ConfigDict(extra="ignore")

    id: str
    content: str
    tags: list[str] = []
    source: str | None = None
    created_at: datetime
    updated_at: datetime
    superseded_by: str | None = None
    anchor: Anchor | None = None


class Fate(StrEnum):
    ADDED = "added"
    UPDATED = "updated"
    AWAITS = "awaits"  # its successor, which may come with a later line


class Imported(BaseModel):
    """``added`` are new, ``updated`` were known in an earlier state, ``unchanged`` as they come or in a later one."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    dry_run: bool = False

    def __add__(self, other: "Imported") -> "Imported":
        return Imported(
            added=self.added + other.added,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
            dry_run=self.dry_run,
        )


def export_line(memory: Memory) -> str:
    return memory.model_dump_json(exclude={"code"}, exclude_none=True) + "\n"


def read_lines(lines: Iterable[str | bytes]) -> Iterator[Record]:
    """Empty lines are passed over. Raises InvalidValue with the number of the line that is no memory."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _record(number, line)


def _record(number: int, line: str | bytes) -> Record:
    field = f"line {number}"
    try:
        record = Record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        shown = ascii(line[:60].decode("utf-8", "replace") if isinstance(line, bytes) else line[:60])
        raise InvalidValue(field, shown, f"{where}: {first['msg']}" if where else str(first["msg"])) from error
    return Record(
        id=_id(f"{field}: id", record.id),
        content=clean_text(f"{field}: content", record.content),
        tags=clean_tags(record.tags, f"{field}: tags"),
        source=clean_source(record.source, f"{field}: source"),
        created_at=_utc(f"{field}: created_at", record.created_at),
        updated_at=_utc(f"{field}: updated_at", record.updated_at),
        superseded_by=_id(f"{field}: superseded_by", record.superseded_by) if record.superseded_by else None,
        anchor=record.anchor and _anchor(f"{field}: anchor", record.anchor),
    )


def _id(field: str, given: str) -> str:
    """As it stands in addresses."""
    memory_id = clean_text(field, given, MAX_ID)
    if "/" in memory_id or memory_id in RESERVED or not memory_id.isprintable():
        reason = "it cannot stand in an address; write another, as 'a-1', here and wherever superseded_by names it"
        raise InvalidValue(field, memory_id, reason)
    return memory_id


def _anchor(field: str, anchor: Anchor) -> Anchor:
    """As this product makes them: what is read of the disk later is what the path names."""
    try:
        check_path(anchor.path)
    except InvalidValue as error:
        raise InvalidValue(f"{field} path", anchor.path[:60], str(error.values["reason"])) from error
    lines = anchor.start_line, anchor.end_line
    if lines != (None, None) and (None in lines or not 1 <= (anchor.start_line or 0) <= (anchor.end_line or 0)):
        raise InvalidValue(f"{field} lines", f"{lines[0]}-{lines[1]}", "give both or none, the first from 1 on")
    symbol = anchor.symbol and anchor.symbol.strip()
    symbol = clean_text(f"{field} symbol", symbol, MAX_SYMBOL) if symbol else None
    clean_text(f"{field} hash", anchor.hash, MAX_ID)
    return anchor.model_copy(update={"symbol": symbol})


def _utc(field: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise InvalidValue(field, moment.isoformat(), "it lies outside of the calendar") from error


def take_in(database: MemoryDatabase, project: Project, records: Sequence[Record], *, dry_run: bool) -> Imported:
    """See ``MemoryStore.take_in``."""
    wanted: dict[str, Record] = {}  # of one id in several states the latest
    for record in records:
        if record.id not in wanted or wanted[record.id].updated_at <= record.updated_at:
            wanted[record.id] = record
    with database.browse() as reader:
        news = _news(reader, project.id, wanted.values())
    counts = Counter(news.values())
    told = Imported(
        added=counts[Fate.ADDED],
        updated=counts[Fate.UPDATED],
        unchanged=len(wanted) - counts[Fate.ADDED] - counts[Fate.UPDATED],
        dry_run=dry_run,
    )
    if dry_run or not news:
        return told
    changed = [wanted[record_id] for record_id in news]
    vectors = dict(zip(news, database.embed([record.content for record in changed]), strict=True))
    with database.write() as writer:
        if writer.execute("SELECT 1 FROM removed_projects WHERE project_id = ?", (project.id,)).fetchone():
            raise UnknownProject(project.name, [])
        for record in changed:
            memory_id = id_here(writer, project.id, record.id)
            known = _updated_at(writer, memory_id)
            if known is not None and known > record.updated_at:  # since it was looked at
                continue
            if known != record.updated_at:
                _put(database, project, memory_id, record, vectors[record.id])
            _supersede(database, project.id, memory_id, record.superseded_by)
    return told


def _news(reader: sqlite3.Connection, project_id: str, records: Iterable[Record]) -> dict[str, Fate]:
    """What becomes of the records that change anything, by id."""
    news = {}
    for record in records:
        memory_id = id_here(reader, project_id, record.id)
        known = _updated_at(reader, memory_id)
        if known is None:
            news[record.id] = Fate.ADDED
        elif known < record.updated_at:
            news[record.id] = Fate.UPDATED
        # a later state here may be that the successor was taken back
        elif known == record.updated_at and record.superseded_by and not _is_superseded(reader, memory_id):
            successor = id_here(reader, project_id, record.superseded_by)
            if not _is_there(reader, project_id, successor):
                news[record.id] = Fate.AWAITS
            elif not leads_to(reader, successor, memory_id):
                news[record.id] = Fate.UPDATED
    return news


def _updated_at(reader: sqlite3.Connection, memory_id: str) -> datetime | None:
    known = reader.execute("SELECT updated_at FROM memories WHERE id = ?", (memory_id,)).fetchone()
    return datetime.fromisoformat(known["updated_at"]) if known else None


def _is_superseded(reader: sqlite3.Connection, memory_id: str) -> bool:
    found = reader.execute("SELECT 1 FROM memories WHERE id = ? AND superseded_by IS NOT NULL", (memory_id,))
    return found.fetchone() is not None


def id_here(reader: sqlite3.Connection, project_id: str, memory_id: str) -> str:
    """Its own, unless another project has it: then always the same other one, so that repeating is harmless."""
    other = blake2b(f"{project_id}/{memory_id}".encode(), digest_size=ID_BYTES).hexdigest()
    rows = reader.execute("SELECT id, project_id FROM memories WHERE id IN (?, ?)", (memory_id, other)).fetchall()
    owners = {row["id"]: row["project_id"] for row in rows}
    # first: the project that it was copied from may be gone by now
    if owners.get(other) == project_id:
        return other
    return memory_id if owners.get(memory_id, project_id) == project_id else other


def _put(database: MemoryDatabase, project: Project, memory_id: str, record: Record, vector: Vectors) -> None:
    """Whether it is superseded stays as it is here: that is no part of what it says."""
    writer = database.writer
    columns = {
        "id": memory_id,
        "project_id": project.id,
        "project": project.name,
        "source": record.source,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
        "sequence": database.next_sequence(),
        "anchor": record.anchor.model_dump_json() if record.anchor else None,
        "content": record.content,
        "model": database.model,
        "vector": vector.tobytes(),
    }
    writer.execute(
        f"INSERT INTO memories ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in columns)}",
        tuple(columns.values()),
    )
    writer.execute("DELETE FROM tags WHERE memory_id = ?", (memory_id,))
    writer.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(project.id, tag, memory_id) for tag in record.tags])


def _supersede(database: MemoryDatabase, project_id: str, memory_id: str, successor: str | None) -> None:
    """Hides what has a successor here, and what has waited for this very memory to be its successor."""
    writer = database.writer
    if successor:
        row = (id_here(writer, project_id, successor), memory_id)
        writer.execute("INSERT OR IGNORE INTO awaited (successor, memory_id) VALUES (?, ?)", row)
    waiting = writer.execute(
        "SELECT successor, memory_id FROM awaited WHERE successor = ?1 OR memory_id = ?1", (memory_id,)
    ).fetchall()
    for row in waiting:
        if not _is_there(writer, project_id, row["successor"]):
            continue  # hidden behind nothing it would be lost
        if not leads_to(writer, row["successor"], row["memory_id"]):
            writer.execute(
                "UPDATE memories SET superseded_by = ?, sequence = ? WHERE id = ? AND superseded_by IS NULL",
                (row["successor"], database.next_sequence(), row["memory_id"]),
            )
        writer.execute("DELETE FROM awaited WHERE successor = ? AND memory_id = ?", tuple(row))


def _is_there(reader: sqlite3.Connection, project_id: str, memory_id: str) -> bool:
    found = reader.execute("SELECT 1 FROM memories WHERE id = ? AND project_id = ?", (memory_id, project_id))
    return found.fetchone() is not None
