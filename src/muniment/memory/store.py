"""The memories of record: what may become one, how they change, and how they are found again."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from muniment.embedding import Embedder, Vectors
from muniment.errors import InvalidValue, UnknownMemory, UnknownProject
from muniment.memory.database import MemoryDatabase, by_id, by_number, page_by_number, same_text
from muniment.memory.filters import CURRENT, MemoryFilters
from muniment.memory.finding import find
from muniment.memory.listing import newest
from muniment.memory.model import (
    MAX_BATCH,
    Anchor,
    Draft,
    Memory,
    MemoryHit,
    SimilarMemory,
    StaleMemories,
    StaleMemory,
    Stored,
    Topic,
    check_ids,
    clean_draft,
    clean_source,
    clean_tags,
    clean_text,
)
from muniment.memory.overview import count_unused, topics, unused
from muniment.memory.reads import ReadCounter, write_down
from muniment.memory.rows import RowWriter
from muniment.memory.transfer import Imported, Record, take_in
from muniment.memory.words import coverage, foreign_signs
from muniment.project import Project

DUPLICATE = 0.95  # cosine above which a new memory is not stored
SIMILAR = 0.80  # cosine from which the answer points at what is there
MAX_SIMILAR = 5
SIMILAR_EXIST = (
    "Similar memories exist: update those that this one replaces with superseded_by={memory_id},"
    " delete those that are wrong."
)
COMPARED = 50  # of long texts with one beginning the nearest need not be the same one
# A model reads only the beginning of a long text: there, the words must agree too before it counts as a duplicate.
READ_WHOLE = 800  # characters
SAME_WORDS = 0.95
MAX_LIMIT = 100
MAX_PAGE = 500
MAX_AGE_DAYS = 36_500
EXPORT_PAGE = 500
STALE_SHOWN = 200
PRUNED_AT_ONCE = 200


class MemoryStore:
    """Memories of all projects. Safe to share among threads, and to open in several processes at once.

    An acknowledged memory survives a crash of process or machine. When the embedder's name differs from the one a
    memory was stored with, the first use of its project embeds it anew: slow once, never wrong.
    """

    def __init__(self, path: Path, embedder: Embedder, clock: Callable[[], datetime]) -> None:
        self._database = MemoryDatabase(path, embedder)
        self._rows = RowWriter(self._database)
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
        by: dict[str, int] = {}
        for place, draft in enumerate(clean):
            if draft.supersedes and by.setdefault(draft.supersedes, place) != place:
                reason = f"memories[{by[draft.supersedes]}] supersedes it already"
                raise InvalidValue(f"memories[{place}].supersedes", draft.supersedes, reason)
        return self._store(project, clean)

    def _store(self, project: Project, drafts: Sequence[Draft]) -> list[Stored]:
        vectors = self._database.embed([draft.content for draft in drafts])
        self._database.adopt([project.id])
        stored: list[Stored] = []
        with self._database.write() as writer:
            if writer.execute("SELECT 1 FROM removed_projects WHERE project_id = ?", (project.id,)).fetchone():
                raise UnknownProject(project.name, [])
            fresh: list[tuple[str, str, Vectors]] = []  # of this call: no reader sees them before the commit
            superseded = {draft.supersedes for draft in drafts if draft.supersedes}
            for draft, vector in zip(drafts, vectors, strict=True):
                near = self._near(project.id, draft, vector, fresh, superseded)
                if isinstance(near, Stored):
                    stored.append(near)
                    continue
                field = f"memories[{len(stored)}]." if len(drafts) > 1 else ""
                memory_id = self._rows.insert(project, draft, vector, self._clock(), field)
                fresh.append((memory_id, draft.content, vector))
                message = SIMILAR_EXIST.format(memory_id=memory_id) if near else None
                stored.append(
                    Stored(id=memory_id, created=True, supersedes=draft.supersedes, similar=near, message=message)
                )
        return stored

    def _near(
        self,
        project_id: str,
        draft: Draft,
        vector: Vectors,
        fresh: Sequence[tuple[str, str, Vectors]],
        superseded: Collection[str],
    ) -> Stored | list[SimilarMemory]:
        """The refusal of a duplicate, or the similar ones. Inside the write transaction: nobody else can store."""
        with self._database.read() as reader:
            found = dict(self._database.matrix(reader, project_id).nearest(vector, COMPARED, min_score=SIMILAR))
            # words that the model does not know: the text lies near nothing, not even itself, or as near to many others
            if not vector.any() or (len(found) == COMPARED and min(found.values()) > DUPLICATE):
                found |= dict.fromkeys(same_text(reader, project_id, draft.content), 1.0)
            known = by_number(reader, found)
        near = [(known[number].id, known[number].content, score) for number, score in found.items()]
        near += [
            (one, content, 1.0 if content == draft.content else float(vector @ other)) for one, content, other in fresh
        ]
        near = [one for one in near if one[2] >= SIMILAR and one[0] not in superseded]
        near.sort(key=lambda one: -one[2])
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
        superseded_by: str | None = None,
    ) -> Memory:
        """Changes what is given; keeps the id and the time it was stored. An empty ``source`` takes it away.

        ``superseded_by``: the id of the memory that replaces this one; empty, none does any more. A successor by itself
        is no change of what the memory says; to take one back is. Raises InvalidValue when nothing is given, and
        UnknownMemory.
        """
        (memory_id,) = check_ids([memory_id])
        says = content is not None or tags is not None or source is not None or anchor is not None or drop_anchor
        if not says and superseded_by is None:
            raise InvalidValue("update", "nothing", "give content, tags, source, superseded_by or the code it is about")
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
        successor = superseded_by.strip() if superseded_by is not None else None
        with self._database.write():
            self._rows.get(project_id, memory_id)
            if successor is not None:
                self._rows.supersede(project_id, memory_id, successor, self._clock())
            if says:
                self._rows.change(memory_id, changes, self._clock())
            if wanted is not None:
                self._rows.tag(project_id, memory_id, wanted)
            return self._rows.get(project_id, memory_id)

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
        (memory_id,) = check_ids([memory_id])
        added, removed = clean_tags(add, "add_tags"), clean_tags(remove, "remove_tags")
        wanted = clean_tags(replace, "set_tags") if replace is not None else None
        if wanted is None and not added and not removed:
            raise InvalidValue("tags", "nothing", "give add_tags, remove_tags or set_tags")
        if wanted is not None and (added or removed):
            raise InvalidValue("set_tags", wanted, "give it alone, or add_tags and remove_tags")
        with self._database.write():
            known = self._rows.get(project_id, memory_id)
            tags = wanted if wanted is not None else clean_tags([*(set(known.tags) - set(removed)), *added])
            self._rows.change(memory_id, {}, self._clock())
            self._rows.tag(project_id, memory_id, tags)
            return self._rows.get(project_id, memory_id)

    def delete(self, project_id: str, memory_ids: Sequence[str]) -> int:
        """All of them or none, and returns their number. Raises UnknownMemory with those that the project lacks.

        What a deleted memory had superseded is found again.
        """
        ids = check_ids(memory_ids)
        with self._database.write():
            unknown = [memory_id for memory_id in ids if not self._rows.delete(project_id, memory_id)]
            if unknown:
                raise UnknownMemory(", ".join(unknown), project_id)
            self._rows.trim(project_id)
        return len(ids)

    # --- finding -------------------------------------------------------------------------------------------------

    def search(
        self,
        projects: str | Sequence[str],
        query: str,
        filters: MemoryFilters = CURRENT,
        *,
        limit: int = 5,
        min_score: float = 0.0,
    ) -> list[MemoryHit]:
        """The nearest memories of the projects (by id), best first: exact cosine over all that pass the filters.

        The order is that of the scores, but for near ties, which words shared with the query decide, and for
        identifiers in the query (ORD-1234, max_retries), which lift the memories that contain them. Raises
        InvalidValue.
        """
        project_ids = [projects] if isinstance(projects, str) else list(dict.fromkeys(projects))
        query = clean_text("query", query)
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidValue("limit", limit, f"it must be from 1 to {MAX_LIMIT}")
        if not 0.0 <= min_score <= 1.0:
            raise InvalidValue("min_score", min_score, "it must be from 0 to 1")
        return find(self._database, project_ids, query, filters, limit, min_score)

    def newest(
        self,
        project_ids: Sequence[str],
        filters: MemoryFilters = CURRENT,
        *,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Memory], str | None]:
        """Without a question: the latest stored first, and the ``cursor`` of the next page. Raises InvalidValue."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidValue("limit", limit, f"it must be from 1 to {MAX_PAGE}")
        with self._database.read() as reader:
            return newest(reader, list(dict.fromkeys(project_ids)), filters, limit, cursor)

    def get(self, project_id: str, memory_id: str) -> Memory:
        """Raises UnknownMemory."""
        return self.get_all(project_id, [memory_id])[0]

    def get_all(self, project_id: str, memory_ids: Sequence[str]) -> list[Memory]:
        """Those of the ids that the project has, in their order. Raises UnknownMemory when it has none."""
        ids = check_ids(memory_ids)
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
        with self._database.browse() as reader:
            return topics(reader, project_ids)

    # --- keeping it small ----------------------------------------------------------------------------------------

    def count_reads(self, memory_ids: Iterable[str]) -> None:
        """That these were shown to someone. Written down by ``write_reads``: no search waits for a write."""
        self._reads.count(memory_ids, self._clock())

    def write_reads(self) -> None:
        """Writes down what was counted. Raises sqlite3.OperationalError when the database is locked for long."""
        with self._reads.writing:
            taken = self._reads.take()
            if not taken:
                return
            try:
                with self._database.write() as writer:
                    write_down(writer, taken)
            except BaseException:
                self._reads.put_back(taken)
                raise

    def stale(self, project_id: str, max_age_days: float) -> StaleMemories:
        """The memories that were neither read nor changed for so long, the longest unused first."""
        since = self._since(max_age_days)
        self.write_reads()
        with self._database.browse() as reader:
            count = count_unused(reader, project_id, since)
            return StaleMemories(count=count, memories=unused(reader, project_id, since, STALE_SHOWN))

    def prune(self, project_id: str, max_age_days: float) -> StaleMemories:
        """Deletes them, and returns what it deleted. One that is read or changed meanwhile stays; reads by way of
        another gateway count some seconds later."""
        since, shown, count = self._since(max_age_days), list[StaleMemory](), 0
        while True:
            self.write_reads()
            # a few at a time: nobody else can store meanwhile
            with self._database.write() as writer:
                gone = unused(writer, project_id, since, PRUNED_AT_ONCE)
                for memory in gone:
                    self._rows.delete(project_id, memory.id)
                self._rows.trim(project_id)
            count += len(gone)
            shown += gone[: STALE_SHOWN - len(shown)]
            if len(gone) < PRUNED_AT_ONCE:
                return StaleMemories(count=count, memories=shown)

    def _since(self, max_age_days: float) -> datetime:
        if not 0 <= max_age_days <= MAX_AGE_DAYS:
            raise InvalidValue("max_age_days", max_age_days, f"it must be from 0 to {MAX_AGE_DAYS:,}")
        return self._clock() - timedelta(days=max_age_days)

    # --- moving --------------------------------------------------------------------------------------------------

    def export(self, project_id: str) -> Iterator[Memory]:
        """Every memory of the project, superseded ones too, in the order they came. Changes meanwhile may show."""
        after = 0
        while True:
            with self._database.browse() as reader:
                page = page_by_number(reader, project_id, after, EXPORT_PAGE)
            yield from page.values()
            if len(page) < EXPORT_PAGE:
                return
            after = max(page)

    def take_in(self, project: Project, records: Sequence[Record], *, dry_run: bool = False) -> Imported:
        """Takes in exported memories with their ids and dates, at most MAX_BATCH; harmless to repeat.

        One that is known is replaced by a later state of it, superseded when the same state of it was elsewhere, and
        left alone otherwise. Raises UnknownProject.
        """
        return take_in(self._database, project, records, dry_run=dry_run)


def _covers(stored: str, new: str) -> bool:
    """Whether a text adds nothing to one whose vector is as good as the same."""
    if foreign_signs(stored) != foreign_signs(new):
        return False
    return len(new) <= READ_WHOLE or coverage(new, stored) >= SAME_WORDS
