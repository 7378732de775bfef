"""The memories of record: what may become one, how they change, and how they are found again."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from muniment.embedding import Embedder, Vectors
from muniment.errors import InvalidValue, MemorySuperseded, UnknownMemory, UnknownProject
from muniment.memory.database import MemoryDatabase, by_id, by_number, page_by_number
from muniment.memory.filters import MemoryFilters
from muniment.memory.finding import find
from muniment.memory.listing import newest
from muniment.memory.model import (
    MAX_BATCH,
    Anchor,
    Draft,
    Memory,
    MemoryHit,
    SimilarMemory,
    StaleMemory,
    Stored,
    Topic,
    check_ids,
    clean_draft,
    clean_source,
    clean_tags,
    clean_text,
    new_memory_id,
)
from muniment.memory.overview import topics, unused
from muniment.memory.reads import ReadCounter, write_down
from muniment.memory.transfer import Imported, Record, take_in
from muniment.memory.words import coverage
from muniment.project import Project

DUPLICATE = 0.95  # cosine above which a new memory is not stored
SIMILAR = 0.80  # cosine from which the answer points at what is there
MAX_SIMILAR = 5
# A model reads only the beginning of a long text: there, the words must agree too before it counts as a duplicate.
READ_WHOLE = 800  # characters
SAME_WORDS = 0.95
MAX_LIMIT = 100
MAX_PAGE = 500
MAX_AGE_DAYS = 36_500
EXPORT_PAGE = 500


class MemoryStore:
    """Memories of all projects. Safe to share among threads, and to open in several processes at once.

    An acknowledged memory survives a crash of process or machine. When the embedder's name differs from the one a
    memory was stored with, the first use of its project embeds it anew: slow once, never wrong.
    """

    def __init__(self, path: Path, embedder: Embedder, clock: Callable[[], datetime]) -> None:
        self._database = MemoryDatabase(path, embedder)
        self._clock = clock
        self._reads = ReadCounter()

    def close(self) -> None:
        """Raises what ``write_reads`` raises, and is closed then all the same."""
        try:
            self.write_reads()
        finally:
            self._database.close()

    def keep_only(self, project_ids: Collection[str]) -> None:
        """Lets go of what is held in memory for every other project."""
        self._database.keep_only(project_ids)

    # --- storing -------------------------------------------------------------------------------------------------

    def store(
        self,
        project: Project,
        content: str,
        tags: str | Sequence[str] = (),
        source: str | None = None,
        *,
        supersedes: str | None = None,
        anchor: Anchor | None = None,
    ) -> Stored:
        """Stores a memory, unless the project has one that says nearly the same.

        ``supersedes``: the id of one that this one replaces; it is kept, but found only by who asks for it, and
        nothing counts as a duplicate then. Raises InvalidValue, UnknownMemory, MemorySuperseded, and UnknownProject
        when the project was removed meanwhile.
        """
        tags = tags if isinstance(tags, str) else list(tags)
        draft = Draft(content=content, tags=tags, source=source, supersedes=supersedes, anchor=anchor)
        return self._store(project, [clean_draft(draft)])[0]

    def store_batch(self, project: Project, drafts: Sequence[Draft]) -> list[Stored]:
        """All of them or none: an error names the item that is wrong, as in ``memories[3].content``."""
        if not drafts:
            raise InvalidValue("memories", [], "name at least one memory")
        if len(drafts) > MAX_BATCH:
            raise InvalidValue("memories", f"{len(drafts)} memories", f"one call stores at most {MAX_BATCH}")
        clean = [clean_draft(draft, f"memories[{place}].") for place, draft in enumerate(drafts)]
        return self._store(project, clean)

    def _store(self, project: Project, drafts: Sequence[Draft]) -> list[Stored]:
        vectors = self._database.embed([draft.content for draft in drafts])
        self._database.adopt([project.id])
        stored: list[Stored] = []
        with self._database.write() as writer:
            if writer.execute("SELECT 1 FROM removed_projects WHERE project_id = ?", (project.id,)).fetchone():
                raise UnknownProject(project.name, [])
            fresh: list[tuple[str, str, Vectors]] = []  # of this call: no reader sees them before the commit
            for draft, vector in zip(drafts, vectors, strict=True):
                near = self._near(project.id, draft, vector, fresh)
                if isinstance(near, Stored):
                    stored.append(near)
                    continue
                memory_id = self._insert(project, draft, vector)
                fresh.append((memory_id, draft.content, vector))
                message = None if not near else "Similar memories exist; supersede or delete those that it replaces."
                stored.append(
                    Stored(id=memory_id, created=True, supersedes=draft.supersedes, similar=near, message=message)
                )
        return stored

    def _insert(self, project: Project, draft: Draft, vector: Vectors) -> str:
        writer, memory_id, now = self._database.writer, new_memory_id(), self._now()
        if draft.supersedes:
            self._hide(project.id, draft.supersedes, memory_id)
        anchor = draft.anchor.model_dump_json() if draft.anchor else None
        said = (memory_id, project.id, project.name, draft.source, now, now, anchor, draft.content)
        writer.execute(
            "INSERT INTO memories (id, project_id, project, source, created_at, updated_at, anchor, content, sequence,"
            " model, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*said, self._database.next_sequence(), self._database.model, vector.tobytes()),
        )
        self._tag(project.id, memory_id, list(draft.tags))
        return memory_id

    def _hide(self, project_id: str, memory_id: str, superseded_by: str) -> None:
        known = self._row(project_id, memory_id)
        if known.superseded_by:
            raise MemorySuperseded(memory_id, known.superseded_by)
        self._database.writer.execute(
            "UPDATE memories SET superseded_by = ?, sequence = ? WHERE id = ?",
            (superseded_by, self._database.next_sequence(), memory_id),
        )

    def _near(
        self, project_id: str, draft: Draft, vector: Vectors, fresh: Sequence[tuple[str, str, Vectors]]
    ) -> Stored | list[SimilarMemory]:
        """The refusal of a duplicate, or the similar ones. Inside the write transaction: nobody else can store."""
        with self._database.read() as reader:
            found = self._database.matrix(reader, project_id).nearest(vector, MAX_SIMILAR, min_score=SIMILAR)
            known = by_number(reader, [number for number, _ in found])
        near = [(known[number].id, known[number].content, score) for number, score in found]
        near += [(one, content, float(vector @ other)) for one, content, other in fresh]
        near = sorted(
            (one for one in near if one[2] >= SIMILAR and one[0] != draft.supersedes), key=lambda one: -one[2]
        )
        for memory_id, content, score in near:
            if not draft.supersedes and score > DUPLICATE and _covers(content, draft.content):
                message = (
                    f"Not stored: memory {memory_id} says nearly the same (similarity {score:.2f})."
                    f" If this is to replace it, store it with supersedes={memory_id}."
                )
                return Stored(id=memory_id, created=False, duplicate_of=memory_id, message=message)
        return [SimilarMemory(id=one, score=round(score, 4)) for one, _, score in near[:MAX_SIMILAR]]

    # --- changing ------------------------------------------------------------------------------------------------

    def update(
        self,
        project_id: str,
        memory_id: str,
        *,
        content: str | None = None,
        tags: str | Sequence[str] | None = None,
        source: str | None = None,
        anchor: Anchor | None = None,
        drop_anchor: bool = False,
    ) -> Memory:
        """Changes what is given; keeps the id and the time it was stored. An empty ``source`` takes it away.

        Raises InvalidValue when nothing is given, and UnknownMemory.
        """
        if content is None and tags is None and source is None and anchor is None and not drop_anchor:
            raise InvalidValue("update", "nothing", "give content, tags, source or the code it is about")
        content = clean_text("content", content) if content is not None else None
        vector = self._database.embed([content])[0] if content is not None else None
        wanted = clean_tags(tags) if tags is not None else None
        changes: dict[str, object] = {}
        if content is not None and vector is not None:
            changes |= {"content": content, "model": self._database.model, "vector": vector.tobytes()}
        if source is not None:
            changes["source"] = clean_source(source)
        if anchor is not None or drop_anchor:
            changes["anchor"] = anchor.model_dump_json() if anchor is not None else None
        with self._database.write():
            self._row(project_id, memory_id)
            self._change(memory_id, changes)
            if wanted is not None:
                self._untag(project_id, memory_id)
                self._tag(project_id, memory_id, wanted)
            return self._row(project_id, memory_id)

    def retag(
        self,
        project_id: str,
        memory_id: str,
        *,
        add: str | Sequence[str] = (),
        remove: str | Sequence[str] = (),
        replace: str | Sequence[str] | None = None,
    ) -> Memory:
        """Adds and removes tags, or replaces all of them. Raises InvalidValue and UnknownMemory."""
        added, removed = clean_tags(add, "add_tags"), clean_tags(remove, "remove_tags")
        wanted = clean_tags(replace, "set_tags") if replace is not None else None
        if wanted is None and not added and not removed:
            raise InvalidValue("tags", "nothing", "give add_tags, remove_tags or set_tags")
        if wanted is not None and (added or removed):
            raise InvalidValue("set_tags", wanted, "give it alone, or add_tags and remove_tags")
        with self._database.write():
            known = self._row(project_id, memory_id)
            tags = wanted if wanted is not None else clean_tags([*(set(known.tags) - set(removed)), *added])
            self._change(memory_id, {})
            self._untag(project_id, memory_id)
            self._tag(project_id, memory_id, tags)
            return self._row(project_id, memory_id)

    def delete(self, project_id: str, memory_ids: Sequence[str]) -> int:
        """Deletes those of the ids that the project has and returns their number; UnknownMemory when it has none.

        What a deleted memory had superseded is found again.
        """
        ids = check_ids("memory_ids", memory_ids)
        with self._database.write():
            deleted = sum(self._delete(project_id, memory_id) for memory_id in ids)
        if not deleted:
            raise UnknownMemory(", ".join(memory_ids), project_id)
        return deleted

    def _delete(self, project_id: str, memory_id: str) -> bool:
        writer = self._database.writer
        found = writer.execute(
            "DELETE FROM memories WHERE id = ? AND project_id = ? RETURNING number", (memory_id, project_id)
        ).fetchall()
        for row in found:
            tombstone = (project_id, self._database.next_sequence(), row["number"])
            writer.execute("INSERT INTO removed (project_id, sequence, number) VALUES (?, ?, ?)", tombstone)
        hidden = writer.execute("SELECT id FROM memories WHERE superseded_by = ?", (memory_id,)).fetchall()
        for row in hidden:
            writer.execute(
                "UPDATE memories SET superseded_by = NULL, sequence = ? WHERE id = ?",
                (self._database.next_sequence(), row["id"]),
            )
        return bool(found)

    def _change(self, memory_id: str, changes: dict[str, object]) -> None:
        columns = {**changes, "updated_at": self._now(), "sequence": self._database.next_sequence()}
        assignments = ", ".join(f"{column} = ?" for column in columns)
        self._database.writer.execute(f"UPDATE memories SET {assignments} WHERE id = ?", (*columns.values(), memory_id))

    def _tag(self, project_id: str, memory_id: str, tags: Iterable[str]) -> None:
        rows = [(project_id, tag, memory_id) for tag in tags]
        self._database.writer.executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)

    def _untag(self, project_id: str, memory_id: str) -> None:
        self._database.writer.execute(
            "DELETE FROM tags WHERE project_id = ? AND memory_id = ?", (project_id, memory_id)
        )

    def _row(self, project_id: str, memory_id: str) -> Memory:
        """As of the open write transaction."""
        found = [memory for memory in by_id(self._database.writer, [memory_id]) if memory.project_id == project_id]
        if not found:
            raise UnknownMemory(memory_id, project_id)
        return found[0]

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat()

    # --- finding -------------------------------------------------------------------------------------------------

    def search(
        self,
        projects: str | Sequence[str],
        query: str,
        *,
        tags: str | Iterable[str] = (),
        limit: int = 5,
        min_score: float = 0.0,
        after: str | datetime | None = None,
        before: str | datetime | None = None,
        source: str | None = None,
        include_superseded: bool = False,
    ) -> list[MemoryHit]:
        """The nearest memories of the projects (by id), best first: exact cosine over all that pass the filters.

        ``tags``: a memory with any of them passes; ``source``: those whose source begins so; ``after``, ``before``:
        when it was stored, see ``MemoryFilters``. The order is that of the scores, but for near ties, which words
        shared with the query decide, and for identifiers in the query (ORD-1234, max_retries), which lift the
        memories that contain them. Raises InvalidValue.
        """
        project_ids = [projects] if isinstance(projects, str) else list(dict.fromkeys(projects))
        query = clean_text("query", query)
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidValue("limit", limit, f"it must be from 1 to {MAX_LIMIT}")
        if not 0.0 <= min_score <= 1.0:
            raise InvalidValue("min_score", min_score, "it must be from 0 to 1")
        filters = MemoryFilters.of(tags, after, before, source, include_superseded=include_superseded)
        return find(self._database, project_ids, query, filters, limit, min_score)

    def newest(
        self,
        project_ids: Sequence[str],
        *,
        tags: str | Iterable[str] = (),
        limit: int = 50,
        cursor: str | None = None,
        after: str | datetime | None = None,
        before: str | datetime | None = None,
        source: str | None = None,
        include_superseded: bool = False,
    ) -> tuple[list[Memory], str | None]:
        """Without a question: the latest stored first, and the ``cursor`` of the next page. Raises InvalidValue."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidValue("limit", limit, f"it must be from 1 to {MAX_PAGE}")
        filters = MemoryFilters.of(tags, after, before, source, include_superseded=include_superseded)
        with self._database.read() as reader:
            return newest(reader, list(dict.fromkeys(project_ids)), filters, limit, cursor)

    def get(self, project_id: str, memory_id: str) -> Memory:
        """Raises UnknownMemory."""
        return self.get_all(project_id, [memory_id])[0]

    def get_all(self, project_id: str, memory_ids: Sequence[str]) -> list[Memory]:
        """Those of the ids that the project has, in their order. Raises UnknownMemory when it has none."""
        ids = check_ids("memory_ids", memory_ids)
        with self._database.read() as reader:
            found = {memory.id: memory for memory in by_id(reader, ids) if memory.project_id == project_id}
        if not found:
            raise UnknownMemory(", ".join(ids), project_id)
        return [found[memory_id] for memory_id in ids if memory_id in found]

    def count(self, project_id: str) -> int:
        """Superseded memories count too: they are kept."""
        with self._database.read() as reader:
            row = reader.execute("SELECT count(*) FROM memories WHERE project_id = ?", (project_id,)).fetchone()
        return int(row[0])

    def topics(self, project_ids: Sequence[str]) -> list[Topic]:
        """The tags of the projects' memories, most used first."""
        with self._database.read() as reader:
            return topics(reader, project_ids)

    # --- keeping it small ----------------------------------------------------------------------------------------

    def count_reads(self, memory_ids: Iterable[str]) -> None:
        """That these were shown to someone. Written down by ``write_reads``: no search waits for a write."""
        self._reads.count(memory_ids, self._clock())

    def write_reads(self) -> None:
        """Writes down what was counted. Raises sqlite3.OperationalError when the database is locked for long."""
        taken = self._reads.take()
        if not taken:
            return
        try:
            with self._database.write() as writer:
                write_down(writer, taken)
        except BaseException:
            self._reads.put_back(taken)
            raise

    def stale(self, project_id: str, max_age_days: float) -> list[StaleMemory]:
        """The memories that were neither read nor changed for so long, the longest unused first."""
        if not 0 <= max_age_days <= MAX_AGE_DAYS:
            raise InvalidValue("max_age_days", max_age_days, f"it must be from 0 to {MAX_AGE_DAYS:,}")
        self.write_reads()
        with self._database.read() as reader:
            return unused(reader, project_id, self._clock() - timedelta(days=max_age_days))

    def prune(self, project_id: str, max_age_days: float) -> list[StaleMemory]:
        """Deletes them, and returns what it deleted. One that is read or changed meanwhile stays."""
        self.stale(project_id, max_age_days)
        with self._database.write() as writer:
            gone = unused(writer, project_id, self._clock() - timedelta(days=max_age_days))
            for memory in gone:
                self._delete(project_id, memory.id)
        return gone

    # --- moving --------------------------------------------------------------------------------------------------

    def export(self, project_id: str) -> Iterator[Memory]:
        """Every memory of the project, superseded ones too, in the order they came. Changes meanwhile may show."""
        after = 0
        while True:
            with self._database.read() as reader:
                page = page_by_number(reader, project_id, after, EXPORT_PAGE)
            yield from page.values()
            if len(page) < EXPORT_PAGE:
                return
            after = max(page)

    def take_in(self, project: Project, records: Sequence[Record], *, dry_run: bool = False) -> Imported:
        """Takes in exported memories with their ids and dates, at most MAX_BATCH; harmless to repeat.

        One that is known is replaced by a later state of it and left alone otherwise. Raises UnknownProject.
        """
        return take_in(self._database, project, records, dry_run=dry_run)


def _covers(stored: str, new: str) -> bool:
    return len(new) <= READ_WHOLE or coverage(new, stored) >= SAME_WORDS
