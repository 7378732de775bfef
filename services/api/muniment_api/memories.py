"""What REST and MCP both answer about memories: found and cut to size, stored and told of, held against the code."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from muniment.errors import InvalidValue, UnknownMemory
from muniment.events import Event, EventType
from muniment.memory import Anchor, CodeState, Draft, Memory, MemoryFilters, Stored
from muniment.memory.model import check_ids, clean_tags
from muniment.project import Project
from muniment.queue import utc_now
from muniment.redis_client import REDIS_ERRORS
from muniment_api.deps import Services
from muniment_api.memory_shapes import (
    Change,
    Deleted,
    Expanded,
    FoundMemory,
    Mode,
    NewMemory,
    Pruned,
    Question,
    StoredBatch,
    Topics,
    cut,
)

logger = logging.getLogger(__name__)

ALL = "*"


# --- finding ----------------------------------------------------------------------------------------------------


def chosen(services: Services, project: Project, projects: str | Sequence[str] | None) -> list[Project]:
    """The project first, then the others that are asked for, each once. Raises UnknownProject."""
    given = [projects] if isinstance(projects, str) else projects or ()
    names = [name.strip() for one in given for name in one.split(",") if name.strip()]
    others = services.projects.all() if ALL in names else [services.projects.get(name) for name in names]
    return list({one.id: one for one in (project, *others)}.values())


def search(services: Services, project: Project, asked: Question) -> list[FoundMemory]:
    """The nearest memories of the projects, best first. What is shown of them counts as read, a probe does not.

    Raises InvalidValue and UnknownProject.
    """
    hits = services.memory.search(
        [one.id for one in chosen(services, project, asked.projects)],
        asked.query,
        asked.filters,
        limit=asked.limit,
        min_score=asked.min_score,
    )
    if asked.mode != Mode.PROBE:
        services.memory.count_reads(hit.id for hit in hits)
    return [_shown(hit, asked.mode, hit.score) for hit in services.code.checked(hits)]


def newest(
    services: Services,
    project: Project,
    filters: MemoryFilters,
    *,
    mode: Mode,
    limit: int,
    cursor: str | None,
    projects: Sequence[str] | None,
) -> tuple[list[FoundMemory], str | None]:
    """A page of the memories, the latest first, and the cursor of the next. To leaf through them is no read."""
    asked = [one.id for one in chosen(services, project, projects)]
    found, following = services.memory.newest(asked, filters, limit=limit, cursor=cursor)
    return [_shown(memory, mode) for memory in services.code.checked(found)], following


def expand(services: Services, project: Project, memory_ids: Sequence[str]) -> Expanded:
    """Raises InvalidValue, and UnknownMemory when the project has none of them."""
    ids = check_ids(memory_ids)
    with _by_name(project):
        found = services.memory.get_all(project.id, ids)
    services.memory.count_reads(memory.id for memory in found)
    known = {memory.id for memory in found}
    missing = [one for one in ids if one not in known]
    return Expanded(project=project.name, memories=services.code.checked(found), missing=missing)


def topics(services: Services, project: Project, projects: str | Sequence[str] | None = None) -> Topics:
    return Topics(items=services.memory.topics([one.id for one in chosen(services, project, projects)]))


def _shown(memory: Memory, mode: Mode, score: float | None = None) -> FoundMemory:
    content, truncated = cut(memory.content, mode)
    return FoundMemory(**{**dict(memory), "content": content, "score": score, "truncated": truncated})


# --- storing ----------------------------------------------------------------------------------------------------


def store(services: Services, project: Project, memory: NewMemory) -> Stored:
    """Stores a memory and tells of it. Raises InvalidValue, UnknownMemory, MemorySuperseded and UnknownProject."""
    draft = _draft(services, project, memory)
    with _by_name(project):
        stored = services.memory.store(
            project, draft.content, draft.tags, draft.source, supersedes=draft.supersedes, anchor=draft.anchor
        )
    _tell_stored(services, project, memory, stored)
    return stored


def store_batch(services: Services, project: Project, memories: Sequence[NewMemory]) -> StoredBatch:
    """All or none; an error names the item that is wrong."""
    drafts = []
    for place, memory in enumerate(memories):
        with _named(f"memories[{place}]."):
            drafts.append(_draft(services, project, memory))
    with _by_name(project):
        batch = StoredBatch(items=services.memory.store_batch(project, drafts))
    for memory, stored in zip(memories, batch.items, strict=True):
        if not _tell_stored(services, project, memory, stored):
            break
    return batch


def _draft(services: Services, project: Project, memory: NewMemory) -> Draft:
    return Draft(
        content=memory.content,
        tags=memory.tags,
        source=memory.source,
        supersedes=memory.supersedes,
        anchor=services.code.anchor(project, memory.path, memory.lines, memory.symbol),
    )


@contextmanager
def _by_name(project: Project) -> Iterator[None]:
    """The store knows a project by its id alone; who asks may never have seen it."""
    try:
        yield
    except UnknownMemory as error:
        raise UnknownMemory(str(error.values["memory_id"]), project.name) from error


@contextmanager
def _named(item: str) -> Iterator[None]:
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(
            f"{item}{error.values['field']}", error.values["value"], str(error.values["reason"])
        ) from error


def _tell_stored(services: Services, project: Project, memory: NewMemory, stored: Stored) -> bool:
    """False when Redis takes no event."""
    if not stored.created:
        return True
    new = {"id": stored.id, "tags": clean_tags(memory.tags)}
    if not tell(services, project, EventType.MEMORY_STORED, new):
        return False
    gone = {"id": stored.supersedes, "superseded_by": stored.id}
    return not stored.supersedes or tell(services, project, EventType.MEMORY_SUPERSEDED, gone)


# --- changing ---------------------------------------------------------------------------------------------------


def update(services: Services, project: Project, memory_id: str, change: Change) -> Memory:
    """Changes a memory and tells of it. A new text counts as written for the code as it is now.

    A successor by itself is no change of what the memory says. Raises InvalidValue and UnknownMemory.
    """
    with _by_name(project):
        known = services.memory.get(project.id, memory_id)
        updated = services.memory.update(
            project.id,
            memory_id,
            content=change.content,
            tags=change.tags,
            source=change.source,
            anchor=_new_anchor(services, project, known, change),
            drop_anchor=change.path == "" and not change.moves,
            superseded_by=change.superseded_by,
        )
    if updated.superseded_by not in (None, known.superseded_by):
        gone = {"id": updated.id, "superseded_by": updated.superseded_by}
        tell(services, project, EventType.MEMORY_SUPERSEDED, gone)
    if updated.updated_at == known.updated_at:
        return services.code.checked([updated])[0]
    return _told_of_change(services, project, updated)


def _new_anchor(services: Services, project: Project, known: Memory, change: Change) -> Anchor | None:
    """None: the anchor stays as it is."""
    if change.confirm_code and (change.moves or change.path is not None):
        raise InvalidValue("confirm_code", True, "path, lines and symbol take the code as it is anyway")
    if change.moves:
        path = change.path or (known.anchor.path if known.anchor else None)
        return services.code.anchor(project, path, change.lines, change.symbol)
    if change.confirm_code:
        return _confirmed(services, project, known, seen=True)
    if change.content is None or change.path is not None or known.anchor is None:
        return None
    try:
        return _confirmed(services, project, known, seen=False)
    except InvalidValue:  # the code is gone, or nobody can tell where it is: the memory goes on saying so
        return None


def _confirmed(services: Services, project: Project, memory: Memory, *, seen: bool) -> Anchor:
    """The anchor of a memory that holds for its code as that is now. Raises InvalidValue."""
    (checked,) = services.code.checked([memory])
    anchor = checked.anchor
    if anchor is None:
        raise InvalidValue("confirm_code", True, "the memory names no code; give path, with lines or symbol")
    if checked.code == CodeState.GONE:
        raise InvalidValue(
            "confirm_code", True, f"'{anchor.path}' is gone; give the path that replaces it, or '' for none"
        )
    if checked.code == CodeState.UNREADABLE:
        raise InvalidValue("confirm_code", True, f"'{anchor.path}' cannot be read now; try again when it can")
    if checked.code == CodeState.SAME:
        return anchor
    try:
        return services.code.renewed(project, anchor, seen=seen)
    except InvalidValue as error:
        raise InvalidValue(
            "confirm_code", True, f"what it names cannot be told in '{anchor.path}' any more; give lines"
        ) from error


def retag(
    services: Services,
    project: Project,
    memory_id: str,
    *,
    add: str | Sequence[str] = (),
    remove: str | Sequence[str] = (),
    replace: str | Sequence[str] | None = None,
) -> Memory:
    """Raises InvalidValue and UnknownMemory."""
    with _by_name(project):
        tagged = services.memory.retag(project.id, memory_id, add=add, remove=remove, replace=replace)
    return _told_of_change(services, project, tagged)


def delete(services: Services, project: Project, memory_ids: Sequence[str]) -> Deleted:
    """All or none, and tells of each. Raises InvalidValue, and UnknownMemory with those that the project lacks."""
    ids = check_ids(memory_ids)
    with _by_name(project):
        deleted = services.memory.delete(project.id, ids)
    for memory_id in ids:
        if not tell(services, project, EventType.MEMORY_DELETED, {"id": memory_id}):
            break  # two hundred waits for a server that hangs would last longer than anyone listens
    return Deleted(deleted=deleted)


def prune(services: Services, project: Project, max_age_days: float, *, dry_run: bool) -> Pruned:
    """Names the memories that were neither read nor changed for so long, or deletes them. Raises InvalidValue."""
    act = services.memory.stale if dry_run else services.memory.prune
    found = act(project.id, max_age_days)
    if found.count and not dry_run:
        tell(services, project, EventType.MEMORIES_PRUNED, {"deleted": found.count})
    return Pruned(dry_run=dry_run, count=found.count, memories=found.memories)


def _told_of_change(services: Services, project: Project, memory: Memory) -> Memory:
    tell(services, project, EventType.MEMORY_UPDATED, {"id": memory.id, "tags": memory.tags})
    (seen,) = services.code.checked([memory])
    return seen


def tell(services: Services, project: Project, kind: EventType, data: Mapping[str, object]) -> bool:
    """Whether Redis took it. The memory is of record already: that nobody can be told must not look like a failure."""
    event = Event(type=kind, at=utc_now(), project=project.name, project_id=project.id, data=dict(data))
    try:
        services.bus.publish(event)
    except REDIS_ERRORS as error:
        logger.warning("no event for %s of %s: %s", kind, project.name, error)
        return False
    return True
