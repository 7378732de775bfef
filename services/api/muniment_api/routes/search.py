"""Search in a project's files, its memories, or both."""

import time
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from muniment.memory import MemoryHit
from muniment_api import answers
from muniment_api.answers import SearchAnswer
from muniment_api.deps import InProject, Use

router = APIRouter(prefix="/projects", tags=["search"])


class Scope(StrEnum):
    CODE = "code"
    MEMORY = "memory"
    ALL = "all"


class ScopedSearchAnswer(SearchAnswer):
    memories: list[MemoryHit] = Field([], description="Filled with scope=memory and scope=all.")


@router.get("/{p}/search", summary="The best files and memories for a question")
def search(
    project: InProject,
    use: Use,
    q: Annotated[str, Query(min_length=1, description="Words, names, or a question in plain language.")],
    limit: Annotated[int, Query(ge=1, le=100, description="Most results, and most memories.")] = 10,
    path: Annotated[str | None, Query(description="Only paths that match this glob, e.g. src/**/*.py.")] = None,
    language: Annotated[str | None, Query(description="Only this language, e.g. python.")] = None,
    kind: Annotated[str | None, Query(description="Only this kind of file: code, test, doc, config, ...")] = None,
    scope: Scope = Scope.CODE,
) -> ScopedSearchAnswer:
    """Answers from what is indexed so far; ``index`` says how much that is. ``path``, ``language`` and ``kind``
    narrow the files, not the memories."""
    began = time.perf_counter()
    if scope == Scope.MEMORY:
        found = SearchAnswer(results=[], index=use.status.header(project), took_ms=0)
    else:
        found = answers.search(use, project, q, limit=limit, path=path, language=language, kind=kind)
    memories = [] if scope == Scope.CODE else use.memory.search(project.id, q, limit=limit)
    took_ms = round((time.perf_counter() - began) * 1000, 1)
    return ScopedSearchAnswer(**{**dict(found), "took_ms": took_ms, "memories": memories})
