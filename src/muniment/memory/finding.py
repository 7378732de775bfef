"""Finds memories: exact cosine over all that pass the filters; identifiers bring in what meaning alone would miss."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from muniment.memory.database import MemoryDatabase, by_number, quoted
from muniment.memory.filters import MemoryFilters
from muniment.memory.model import Memory, MemoryHit
from muniment.memory.words import identifiers, lift

POOL = 50  # candidates by meaning that the words of the query may reorder
NAMED = 200  # candidates by identifier; what occurs oftener tells nothing apart
WORDS = 32  # of a query that the model understands nothing of are asked for
IDENTIFIERS = 8  # of a query are asked for, the longest


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
    found = _Found(max(POOL, 2 * limit), min_score)
    with database.read() as reader:
        for project_id in project_ids:
            matrix = database.matrix(reader, project_id)
            among = filters.numbers(reader, project_id)
            hidden = filters.include_superseded
            if vector.any():
                near = matrix.nearest(
                    vector, found.most, among=among, min_score=min_score, hidden=hidden, stored=filters.stored
                )
                found.near.update(near)
                named = _named(reader, project_id, query, superseded=hidden)
                found.telling.update(named)
            else:  # the model knows no word of it, and would call any memory as near as any other
                named = {"": _with_words(reader, project_id, query, superseded=hidden)}
            for numbers in named.values():
                passing = numbers if among is None else numbers.intersection(among)
                found.add_named(matrix.scores(vector, passing, filters.stored))
        scores = found.scores()
        pool = by_number(reader, scores)
    return [_hit(memory, scores[number]) for number, memory in ordered(pool, scores, query, found.telling)[:limit]]


@dataclass(slots=True)
class _Found:
    """Candidates of all the projects by number, with their cosine: at most ``most`` by meaning.

    ``telling``: the identifiers of the query that some memories hold; ``_holds``: how many of them each does.
    """

    most: int
    min_score: float
    near: dict[int, float] = field(default_factory=dict)
    telling: set[str] = field(default_factory=set)
    _exact: dict[int, float] = field(default_factory=dict)
    _holds: Counter[int] = field(default_factory=Counter)

    def add_named(self, scores: Sequence[tuple[int, float]]) -> None:
        self._exact.update(scores)
        self._holds.update(number for number, _ in scores)

    def scores(self) -> dict[int, float]:
        """Of many projects together no more than of one: each candidate is read and compared word by word."""
        near = sorted(self.near.items(), key=lambda item: -item[1])[: self.most]
        exact = sorted(self._exact.items(), key=lambda item: (-self._holds[item[0]], -item[1]))[:NAMED]
        return dict(near) | {number: score for number, score in exact if score >= self.min_score}


def ordered(
    pool: dict[int, Memory], scores: dict[int, float], query: str, telling: Collection[str]
) -> list[tuple[int, Memory]]:
    """By cosine and what words add to it, ``telling`` being the identifiers that count; of equals, the latest first."""

    def place(item: tuple[int, Memory]) -> tuple[object, ...]:
        number, memory = item
        return scores[number] + lift(query, said(memory), telling), memory.updated_at, memory.id

    return sorted(pool.items(), key=place, reverse=True)


def said(memory: Memory) -> str:
    """What an identifier of a question may stand in."""
    anchored = f"{memory.anchor.path} {memory.anchor.symbol or ''}" if memory.anchor else ""
    return " ".join([memory.content, memory.source or "", *memory.tags, anchored])


def _named(reader: sqlite3.Connection, project_id: str, query: str, *, superseded: bool) -> dict[str, set[int]]:
    """The project's memories that hold an identifier of the query, for each that some hold, but not too many."""
    found: dict[str, set[int]] = {}
    for token in sorted(identifiers(query), key=len, reverse=True)[:IDENTIFIERS]:
        # begun at the words: a join would begin at the project's memories and ask for the words of each
        rows = reader.execute(
            "SELECT number, superseded_by FROM memories"
            " WHERE number IN (SELECT rowid FROM words WHERE words MATCH ? LIMIT ?)",
            (f"project_id : {quoted(project_id)} AND {{content source}} : {quoted(token)}", NAMED + 1),
        ).fetchall()
        if 0 < len(rows) <= NAMED:
            found[token] = {row["number"] for row in rows if superseded or row["superseded_by"] is None}
    return found


def _with_words(reader: sqlite3.Connection, project_id: str, query: str, *, superseded: bool) -> set[int]:
    """Memories that hold a word of the query, those with the most and the rarest: all that there is to go by."""
    any_word = " OR ".join(quoted(word) for word in query.split()[:WORDS])
    rows = reader.execute(
        "SELECT number, superseded_by FROM memories"
        " WHERE number IN (SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?)",
        (f"project_id : {quoted(project_id)} AND {{content source}} : ({any_word})", NAMED),
    ).fetchall()
    return {row["number"] for row in rows if superseded or row["superseded_by"] is None}


def _hit(memory: Memory, score: float) -> MemoryHit:
    return MemoryHit(**{**dict(memory), "score": round(score, 4)})
