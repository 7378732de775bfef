"""Memories: store, find, delete."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from muniment.memory import MemoryHit, Stored
from muniment_api import answers
from muniment_api.answers import Deleted
from muniment_api.deps import InProject, Use
from muniment_api.routes.bodies import Body

router = APIRouter(prefix="/projects", tags=["memories"])


class MemoryBody(Body):
    content: str = Field(description="One fact, understandable by itself.")
    tags: str | list[str] = Field([], description="A list, or text separated by commas.")
    source: str | None = Field(None, description="Where it comes from: a path, a URL, a person.")


class MemoryPage(BaseModel):
    items: list[MemoryHit]
    next: str | None = None


@router.post(
    "/{p}/memories",
    status_code=201,
    summary="Store a memory",
    responses={200: {"model": Stored, "description": "Not stored: the project has one that says nearly the same."}},
)
def store_memory(project: InProject, body: MemoryBody, use: Use, response: Response) -> Stored:
    """Once answered it is on the disk. Similar memories are named in the answer."""
    stored = answers.store_memory(use, project, body.content, body.tags, body.source)
    response.status_code = 201 if stored.created else 200
    return stored


@router.get("/{p}/memories", summary="The memories nearest to a question")
def search_memories(
    project: InProject,
    use: Use,
    q: Annotated[str, Query(description="What the memory should be about.")],
    tags: Annotated[list[str] | None, Query(description="Any of these; repeatable, or separated by commas.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 5,
) -> MemoryPage:
    return MemoryPage(items=use.memory.search(project.id, q, tags=",".join(tags or ()), limit=limit))


@router.delete("/{p}/memories/{memory_id}", summary="Delete a memory")
def delete_memory(project: InProject, memory_id: Annotated[str, Path(description="Its id.")], use: Use) -> Deleted:
    return answers.delete_memories(use, project, [memory_id])
