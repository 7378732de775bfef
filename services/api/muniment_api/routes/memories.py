"""Memories: store, find, change, delete, move."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from muniment.errors import ErrorBody, InvalidValue
from muniment.memory import MAX_LIMIT, Imported, Memory, MemoryFilters, Stored
from muniment.memory.model import MAX_BATCH
from muniment.memory.store import MAX_PAGE
from muniment_api import memories
from muniment_api.deps import InProject, Use
from muniment_api.errors import MAX_IMPORT
from muniment_api.memory_shapes import (
    MAX_AGE_DAYS,
    Change,
    Deleted,
    FoundMemory,
    Mode,
    NewMemory,
    Pruned,
    Question,
    StoredBatch,
    Topics,
)
from muniment_api.memory_transfer import exported, take_in
from muniment_api.routes.bodies import Body

LIMIT = 5  # of a search
PAGE = 50  # of a list
NDJSON = "application/x-ndjson"
LINES: dict[str, Any] = {NDJSON: {"schema": {"type": "string", "description": "A memory as JSON on each line."}}}

router = APIRouter(prefix="/projects", tags=["memories"])
MemoryId = Annotated[str, Path(description="Its id.")]
Tags = str | list[str]
OtherProjects = Annotated[
    list[str] | None, Query(description="Further projects by name or id; repeatable; '*' is all.")
]


class Batch(Body):
    memories: list[NewMemory] = Field(description=f"At most {MAX_BATCH}.")


class MemoryChange(Body):
    """What is left out stays."""

    content: str | None = None
    tags: Tags | None = Field(None, description="All its tags from now on.")
    source: str | None = Field(None, description="Empty for none.")
    path: str | None = Field(None, description="The file that it is about; empty for none.")
    lines: str | None = Field(None, description="The lines of it: 12-40.")
    symbol: str | None = Field(None, description="Or the definition in it.")
    confirm_code: bool = Field(False, description="It holds for its code as that is now.")
    superseded_by: str | None = Field(None, description="Id of the memory that replaces it; empty for none.")


class TagChange(Body):
    add: Tags = ""
    remove: Tags = ""
    set: Tags | None = Field(None, description="Instead of all it has; goes alone.")


class Deletion(Body):
    memory_ids: list[str] = Field(description=f"At most {MAX_BATCH}.")


class CleanUp(Body):
    max_age_days: float = Field(MAX_AGE_DAYS, description="Days without a read or a change.")
    dry_run: bool = Field(True, description="Only name them; false deletes them for good.")


class MemoryPage(BaseModel):
    items: list[FoundMemory]
    next: str | None = None


@router.post(
    "/{p}/memories",
    status_code=201,
    summary="Store a memory",
    responses={200: {"model": Stored, "description": "Not stored: the project has one that says nearly the same."}},
)
def store_memory(project: InProject, body: NewMemory, use: Use, response: Response) -> Stored:
    """Once answered it is on the disk. Similar memories are named in the answer."""
    stored = memories.store(use, project, body)
    response.status_code = 201 if stored.created else 200
    return stored


@router.post("/{p}/memories/batch", summary="Store several memories")
def store_memories(project: InProject, body: Batch, use: Use) -> StoredBatch:
    """All of them, or on an error none: it names the item that is wrong."""
    return memories.store_batch(use, project, body.memories)


@router.get("/{p}/memories", summary="The memories nearest to a question, or all of them by date")
def search_memories(
    project: InProject,
    use: Use,
    q: Annotated[str | None, Query(description="What they should be about; left out, the latest come first.")] = None,
    tags: Annotated[list[str] | None, Query(description="Any of these; repeatable, or separated by commas.")] = None,
    limit: Annotated[
        int | None,
        Query(ge=1, le=MAX_PAGE, description=f"{LIMIT} of at most {MAX_LIMIT} with q, else {PAGE} of {MAX_PAGE}."),
    ] = None,
    mode: Annotated[Mode, Query(description="How much of each: a line, its beginning, or all.")] = Mode.FULL,
    min_score: Annotated[float | None, Query(ge=0, le=1, description="Least similarity to q.")] = None,
    after: Annotated[str | None, Query(description="Stored since this date or time.")] = None,
    before: Annotated[str | None, Query(description="Stored until this time, or the end of this day.")] = None,
    source: Annotated[str | None, Query(description="Whose source begins so.")] = None,
    projects: OtherProjects = None,
    include_superseded: Annotated[bool, Query(description="Also those that others replaced.")] = False,
    cursor: Annotated[str | None, Query(description="The ``next`` of the page before; without q.")] = None,
) -> MemoryPage:
    """With ``q`` best first, else by date and in pages."""
    filters = MemoryFilters.of(",".join(tags or ()), after, before, source, include_superseded=include_superseded)
    if q is None:
        if min_score is not None:
            raise InvalidValue("min_score", min_score, "without q there is nothing to be similar to")
        items, following = memories.newest(
            use, project, filters, mode=mode, limit=limit or PAGE, cursor=cursor, projects=projects
        )
        return MemoryPage(items=items, next=following)
    if cursor is not None:
        raise InvalidValue("cursor", cursor, "the answer to a question has one page; limit makes it longer")
    asked = Question(
        query=q, mode=mode, filters=filters, limit=limit or LIMIT, min_score=min_score or 0.0, projects=projects
    )
    return MemoryPage(items=memories.search(use, project, asked))


@router.get(
    "/{p}/memories/export",
    summary="Every memory, one JSON object a line",
    response_class=StreamingResponse,
    responses={200: {"content": LINES, "description": "The memories in the order they were stored."}},
)
def export_memories(project: InProject, use: Use) -> StreamingResponse:
    """With ids and dates, superseded ones too: what an import takes in. It is a stream, so that their number does not
    matter; one that ends early is no complete answer."""
    name = f'attachment; filename="{project.name}.jsonl"'
    return StreamingResponse(exported(use, project), media_type=NDJSON, headers={"Content-Disposition": name})


@router.post(
    "/{p}/memories/import",
    summary="Take in exported memories",
    max_body_size=MAX_IMPORT,
    openapi_extra={"requestBody": {"required": True, "content": LINES}},
    responses={413: {"model": ErrorBody, "description": "The body is larger than what one import may have."}},
)
async def import_memories(
    project: InProject,
    use: Use,
    request: Request,
    dry_run: Annotated[bool, Query(description="Check and count, and store nothing.")] = False,
) -> Imported:
    """Ids and dates are kept. Every line is checked before the first is stored; an error names the line. A memory that
    is here already is replaced by a later state of it, and left alone otherwise: repeating an import is harmless."""
    return await take_in(use, project, request.stream(), dry_run=dry_run)


@router.post("/{p}/memories/delete", summary="Delete several memories")
def delete_memories(project: InProject, body: Deletion, use: Use) -> Deleted:
    """All of them, or on an error none: it names the ids that the project does not have."""
    return memories.delete(use, project, body.memory_ids)


@router.post("/{p}/memories/prune", summary="Delete memories that nobody uses")
def prune_memories(project: InProject, body: CleanUp, use: Use) -> Pruned:
    """Those that were neither read nor changed for so long. Unless told otherwise it only names them."""
    return memories.prune(use, project, body.max_age_days, dry_run=body.dry_run)


@router.get("/{p}/memories/{memory_id}", summary="One memory")
def get_memory(project: InProject, memory_id: MemoryId, use: Use) -> Memory:
    return memories.expand(use, project, [memory_id]).memories[0]


@router.patch("/{p}/memories/{memory_id}", summary="Change a memory")
def update_memory(project: InProject, memory_id: MemoryId, body: MemoryChange, use: Use) -> Memory:
    """It keeps its id and the time it was stored. A new text counts as written for its code as that is now."""
    return memories.update(use, project, memory_id, Change(**dict(body)))


@router.delete("/{p}/memories/{memory_id}", summary="Delete a memory")
def delete_memory(project: InProject, memory_id: MemoryId, use: Use) -> Deleted:
    return memories.delete(use, project, [memory_id])


@router.post("/{p}/memories/{memory_id}/tags", summary="Change a memory's tags")
def retag_memory(project: InProject, memory_id: MemoryId, body: TagChange, use: Use) -> Memory:
    return memories.retag(use, project, memory_id, add=body.add, remove=body.remove, replace=body.set)


@router.get("/{p}/topics", summary="The tags of memories, most used first")
def list_topics(project: InProject, use: Use, projects: OtherProjects = None) -> Topics:
    return memories.topics(use, project, projects)
