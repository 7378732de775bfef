"""Finds memories: exact cosine over all that pass the filters; identifiers bring in what meaning alone would miss."""

import sqlite3
from collections.abc import Collection, Sequence

from muniment.embedding import Vectors
from muniment.memory.database import MemoryDatabase, by_number
from muniment.memory.filters import MemoryFilters
from muniment.memory.matrix import VectorMatrix
from muniment.memory.model import Memory, MemoryHit
from muniment.memory.words import identifiers, lift

POOL = 50  # candidates by meaning that the words of the query may reorder
NAMED = 200  # candidates by identifier; what occurs oftener tells nothing apart
NAMED_ANYWHERE = 2_000  # the same over all projects


def find(
    database: MemoryDatabase,
    project_ids: Sequence[str],
    query: str,
    filters: MemoryFilters,
    limit: int,
    min_score: float,
) -> list[MemoryHit]:
    """The nearest memories of the projects, best first. ``query`` is cleaned."""
    vector = database.embed([query])[0]
    database.adopt(project_ids)
    scores: dict[int, float] = {}
    with database.read() as reader:
        for project_id in project_ids:
            matrix = database.matrix(reader, project_id)
            among = filters.numbers(reader, project_id)
            scores.update(_candidates(reader, matrix, project_id, query, vector, among, max(POOL, 2 * limit)))
        pool = by_number(reader, [number for number, score in scores.items() if score >= min_score])
    return [_hit(memory, scores[number]) for number, memory in ordered(pool, scores, query)[:limit]]


def ordered(pool: dict[int, Memory], scores: dict[int, float], query: str) -> list[tuple[int, Memory]]:
    """By cosine and what words add to it; of equals, the latest first."""

    def place(item: tuple[int, Memory]) -> tuple[object, ...]:
        number, memory = item
        return scores[number] + lift(query, said(memory)), memory.updated_at, memory.id

    return sorted(pool.items(), key=place, reverse=True)


def said(memory: Memory) -> str:
    """What an identifier of a question may stand in."""
    anchored = f"{memory.anchor.path} {memory.anchor.symbol or ''}" if memory.anchor else ""
    return " ".join([memory.content, memory.source or "", *memory.tags, anchored])


def _candidates(
    reader: sqlite3.Connection,
    matrix: VectorMatrix,
    project_id: str,
    query: str,
    vector: Vectors,
    among: Collection[int] | None,
    count: int,
) -> list[tuple[int, float]]:
    named = _named(reader, project_id, query, superseded=among is not None)
    if among is not None:
        named &= set(among)
    return matrix.nearest(vector, count, among=among) + matrix.scores(vector, named)


def _named(reader: sqlite3.Connection, project_id: str, query: str, *, superseded: bool) -> set[int]:
    """The memories that hold an identifier of the query; none if there are too many of them."""
    wanted = identifiers(query)
    if not wanted:
        return set()
    phrases = " OR ".join('"' + token.replace('"', '""') + '"' for token in sorted(wanted))
    # the plus: a join would begin at the project's memories and ask for the words of each
    rows = reader.execute(
        "SELECT number FROM memories WHERE number IN (SELECT rowid FROM words WHERE words MATCH ? LIMIT ?)"
        " AND +project_id = ? AND (? OR superseded_by IS NULL) LIMIT ?",
        (phrases, NAMED_ANYWHERE, project_id, superseded, NAMED + 1),
    ).fetchall()
    return {row["number"] for row in rows} if len(rows) <= NAMED else set()


def _hit(memory: Memory, score: float) -> MemoryHit:
    return MemoryHit(**{**dict(memory), "score": round(score, 4)})
