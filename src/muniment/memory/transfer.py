"""Memories as lines of JSON: what an export writes and an import takes in, ids and dates kept."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b

from pydantic import BaseModel, ConfigDict, ValidationError

from muniment.embedding import Vectors
from muniment.errors import InvalidValue, UnknownProject
from muniment.memory.database import MemoryDatabase
from muniment.memory.model import Anchor, Memory, clean_source, clean_tags, clean_text
from muniment.project import Project

MAX_ID = 64  # characters
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
        id=clean_text(f"{field}: id", record.id, MAX_ID),
        content=clean_text(f"{field}: content", record.content),
        tags=clean_tags(record.tags, f"{field}: tags"),
        source=clean_source(record.source, f"{field}: source"),
        created_at=_utc(record.created_at),
        updated_at=_utc(record.updated_at),
        superseded_by=record.superseded_by,
        anchor=record.anchor,
    )


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def take_in(database: MemoryDatabase, project: Project, records: Sequence[Record], *, dry_run: bool) -> Imported:
    """See ``MemoryStore.take_in``."""
    wanted = {record.id: record for record in records}  # of one id in several states the last line counts
    with database.read() as reader:
        news = _news(reader, project.id, wanted.values())
    told = Imported(
        added=sum(is_new for _, is_new in news),
        updated=sum(not is_new for _, is_new in news),
        unchanged=len(wanted) - len(news),
        dry_run=dry_run,
    )
    if dry_run or not news:
        return told
    vectors = database.embed([record.content for record, _ in news])
    with database.write() as writer:
        if writer.execute("SELECT 1 FROM removed_projects WHERE project_id = ?", (project.id,)).fetchone():
            raise UnknownProject(project.name, [])
        still = {record.id for record, _ in _news(writer, project.id, [record for record, _ in news])}
        for (record, _), vector in zip(news, vectors, strict=True):
            if record.id in still:
                _put(database, project, record, vector)
    return told


def _news(reader: sqlite3.Connection, project_id: str, records: Iterable[Record]) -> list[tuple[Record, bool]]:
    """The records that change anything, each with whether it is new here."""
    news = []
    for record in records:
        memory_id = _id_here(reader, project_id, record.id)
        known = reader.execute("SELECT updated_at FROM memories WHERE id = ?", (memory_id,)).fetchone()
        if known is None or datetime.fromisoformat(known["updated_at"]) < record.updated_at:
            news.append((record, known is None))
    return news


def _id_here(reader: sqlite3.Connection, project_id: str, memory_id: str) -> str:
    """Its own, unless another project has it: then always the same other one, so that repeating is harmless."""
    owner = reader.execute("SELECT project_id FROM memories WHERE id = ?", (memory_id,)).fetchone()
    if owner is None or owner["project_id"] == project_id:
        return memory_id
    return blake2b(f"{project_id}/{memory_id}".encode(), digest_size=ID_BYTES).hexdigest()


def _put(database: MemoryDatabase, project: Project, record: Record, vector: Vectors) -> None:
    writer = database.writer
    memory_id = _id_here(writer, project.id, record.id)
    columns = {
        "id": memory_id,
        "project_id": project.id,
        "project": project.name,
        "source": record.source,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
        "sequence": database.next_sequence(),
        "superseded_by": record.superseded_by and _id_here(writer, project.id, record.superseded_by),
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
