"""The gateway's answers that no module of the product itself defines: of each what the command line shows."""

from pydantic import BaseModel

from muniment.project import Project
from muniment.status import IndexHeader


class Hit(BaseModel):
    """A search hit. Not the one of ``muniment.search``: importing that takes longer than the search."""

    path: str
    start_line: int
    end_line: int
    symbol: str | None
    score: float
    text: str
    stale: bool


class Found(BaseModel):
    results: list[Hit]
    index: IndexHeader
    took_ms: float
    degraded: list[str] = []


class ListedProject(Project):
    index: IndexHeader


class ProjectPage(BaseModel):
    items: list[ListedProject]
