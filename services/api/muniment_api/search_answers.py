"""What REST and MCP both answer about code: hits of one project or several, cut to size, with how far to trust them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, Field

from muniment.errors import InvalidValue
from muniment.identifiers import question_tokens
from muniment.project import Project
from muniment.search import LEAST_TOKENS, MOST_TOKENS, FilePlace, RelatedOutcome, SearchHit, SearchOutcome, fit
from muniment.status import IndexHeader
from muniment_api.deps import Services
from muniment_api.memories import chosen

HEADER_LENGTH = 250  # characters that the state of the project takes
NOTE_LENGTH = 12  # of a note, besides its text
OTHER_LENGTH = 30  # the same of each further one, besides its name


class ProjectIndex(BaseModel):
    project: str
    index: IndexHeader


class SearchAnswer(BaseModel):
    results: list[SearchHit]
    index: IndexHeader
    others: list[ProjectIndex] = Field([], description="The indexes of the further projects that were asked.")
    took_ms: float
    left_out: list[FilePlace] = Field([], description="Hits that max_tokens has no room for, best first.")
    gone: int = Field(0, description="Files that match but are gone by now: left out; the next pass removes them.")
    notes: list[str] = Field([], description="How the question was taken, where that is not obvious.")
    degraded: list[str] = Field([], description="What could not take part in this answer, and why.")


class RelatedAnswer(RelatedOutcome):
    index: IndexHeader
    took_ms: float
    left_out: list[FilePlace] = Field([], description="Hits that max_tokens has no room for, best first.")


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """``path``: a glob or several, '!' before one excludes; ``context``: lines around each hit; ``projects``: further
    ones by name or id, or "*" for all; ``max_tokens``: what the answer as text may come to."""

    query: str
    limit: int = 10
    path: str | Sequence[str] | None = None
    language: str | None = None
    kind: str | None = None
    context: int = 0
    projects: str | Sequence[str] | None = None
    max_tokens: int | None = None


def search(services: Services, project: Project, asked: SearchRequest) -> SearchAnswer:
    """Searches the files of a project and of those asked for beside it. Raises InvalidValue and UnknownProject."""
    began = time.perf_counter()
    every = chosen(services, project, asked.projects)
    # the headers first: a batch committed in between makes the answer better than it claims, never worse
    index, *others = services.status.headers(every)
    outcome = _found(services, every, asked)
    results, left_out = _fitted(outcome.results, asked.query, asked.max_tokens, _head_length(every, outcome))
    return SearchAnswer(
        results=results,
        index=index,
        others=[ProjectIndex(project=one.name, index=state) for one, state in zip(every[1:], others, strict=True)],
        took_ms=_since(began),
        left_out=left_out,
        gone=outcome.gone,
        notes=outcome.notes,
        degraded=outcome.degraded,
    )


def related(
    services: Services,
    project: Project,
    path: str,
    *,
    line: int | None = None,
    symbol: str | None = None,
    limit: int = 10,
    max_tokens: int | None = None,
) -> RelatedAnswer:
    """What is like a place in a file. Raises FileNotIndexed, InvalidValue, VectorsPending and LexicalIndexDamaged."""
    began = time.perf_counter()
    index = services.status.header(project)
    outcome = services.search.related(project, path, line, symbol, limit)
    results, left_out = _fitted(outcome.results, symbol or "", max_tokens, HEADER_LENGTH)
    fitted = {**dict(outcome), "results": results, "left_out": left_out}
    return RelatedAnswer(**fitted, index=index, took_ms=_since(began))


def _found(services: Services, projects: Sequence[Project], asked: SearchRequest) -> SearchOutcome:
    if len(projects) == 1:
        ask = partial(services.search.search, projects[0])
    else:
        ask = partial(services.search.search_several, projects)
    return ask(
        asked.query,
        asked.limit,
        path_glob=asked.path,
        language=asked.language,
        kind=asked.kind,
        context=asked.context,
    )


def _fitted(
    hits: list[SearchHit], question: str, max_tokens: int | None, taken: int
) -> tuple[list[SearchHit], list[FilePlace]]:
    if max_tokens is None:
        return hits, []
    if not LEAST_TOKENS <= max_tokens <= MOST_TOKENS:
        raise InvalidValue("max_tokens", max_tokens, f"it must lie between {LEAST_TOKENS} and {MOST_TOKENS:,}")
    return fit(hits, question_tokens(question), max_tokens, taken)


def _head_length(projects: Sequence[Project], outcome: SearchOutcome) -> int:
    others = sum(OTHER_LENGTH + len(project.name) for project in projects[1:])
    return HEADER_LENGTH + others + sum(NOTE_LENGTH + len(said) for said in (*outcome.notes, *outcome.degraded))


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
