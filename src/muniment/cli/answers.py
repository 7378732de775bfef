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


class ProjectRemoved(BaseModel):
    """Not the one of ``muniment.removal``, for the same reason."""

    message: str


class ListedProject(Project):
    index: IndexHeader


class ProjectPage(BaseModel):
    items: list[ListedProject]


class Finding(BaseModel):
    what: str
    count: int
    examples: list[str]
    meaning: str


class IndexBytes(BaseModel):
    manifest: int
    lexical: int


class IndexReport(BaseModel):
    """Not the one of ``muniment.indexing``, for the same reason."""

    indexed: bool
    busy: bool
    files: int
    chunks: int
    vectors: int | None
    building: str | None
    clean_end: bool
    complete: bool
    interrupted: list[str]
    findings: list[Finding]
    unchecked: list[str]
    bytes_on_disk: IndexBytes
    sound: bool
