"""Search in a project's files, its memories, or both; and what is like a place in a file."""

import time
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from muniment.search import LEAST_TOKENS, MAX_CONTEXT, MAX_LIMIT, MOST_TOKENS
from muniment_api import memories, search_answers
from muniment_api.deps import InProject, Use
from muniment_api.memory_shapes import FoundMemory, Mode, Question
from muniment_api.search_answers import RelatedAnswer, SearchAnswer, SearchRequest

router = APIRouter(prefix="/projects", tags=["search"])

MaxTokens = Annotated[
    int | None,
    Query(
        ge=LEAST_TOKENS,
        le=MOST_TOKENS,
        description="Most tokens of all texts together, at 4 characters each; without it they are whole.",
    ),
]


class Scope(StrEnum):
    CODE = "code"
    MEMORY = "memory"
    ALL = "all"


class ScopedSearchAnswer(SearchAnswer):
    memories: list[FoundMemory] = Field([], description="Filled with scope=memory and scope=all.")


@router.get("/{p}/search", summary="The best files and memories for a question", response_model=ScopedSearchAnswer)
def search(
    p: str,
    use: Use,
    q: Annotated[str, Query(min_length=1, description='Words, names, a question, "a phrase", or a place: a/b.py:42.')],
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most results, and most memories.")] = 10,
    path: Annotated[
        list[str] | None,
        Query(description="Only paths that match this glob, e.g. src/**/*.py; repeatable; '!' before one excludes."),
    ] = None,
    language: Annotated[str | None, Query(description="Only this language, e.g. python.")] = None,
    kind: Annotated[str | None, Query(description="Only this kind of file: code, test, doc, config, ...")] = None,
    context: Annotated[int, Query(ge=0, le=MAX_CONTEXT, description="Lines to add around each result.")] = 0,
    projects: Annotated[
        list[str] | None, Query(description="Further projects by name or id; repeatable; '*' is all.")
    ] = None,
    max_tokens: MaxTokens = None,
    scope: Scope = Scope.CODE,
) -> Response:
    """Answers from what is indexed so far; ``index`` says how much that is. ``path``, ``language`` and ``kind``
    narrow the files, not the memories."""
    began = time.perf_counter()
    project = use.projects.get(p)  # as a dependency it would wait for a thread of its own
    if scope == Scope.MEMORY:
        found = SearchAnswer(results=[], index=use.status.header(project), took_ms=0)
    else:
        asked = SearchRequest(
            query=q, limit=limit, path=path, language=language, kind=kind, context=context, projects=projects,
            max_tokens=max_tokens,
        )  # fmt: skip
        found = search_answers.search(use, project, asked)
    remembered: list[FoundMemory] = []
    if scope != Scope.CODE:
        question = Question(query=q, mode=Mode.FULL, limit=limit, projects=projects)
        remembered = memories.search(use, project, question)
    took_ms = round((time.perf_counter() - began) * 1000, 1)
    answer = ScopedSearchAnswer(**{**dict(found), "took_ms": took_ms, "memories": remembered})
    # made into JSON here, and once: the framework would look at every hit again, on the loop that all requests share
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/{p}/related", summary="Code that resembles a place in a file")
def related(
    project: InProject,
    use: Use,
    path: Annotated[str, Query(min_length=1, description="Of a file, as in results.")],
    line: Annotated[int | None, Query(ge=1, description="A line of the code that is meant.")] = None,
    symbol: Annotated[str | None, Query(description="Or its name; without either the whole file is meant.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most results.")] = 10,
    max_tokens: MaxTokens = None,
) -> RelatedAnswer:
    """By vectors and by the rare names that both use; the place itself is not among the results."""
    return search_answers.related(use, project, path, line=line, symbol=symbol, limit=limit, max_tokens=max_tokens)
