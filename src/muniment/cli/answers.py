"""The gateway's answers that no module of the product itself defines: of each what the command line shows."""

from datetime import datetime

from pydantic import BaseModel

from muniment.project import Project
from muniment.status import IndexHeader


class Place(BaseModel):
    start_line: int
    end_line: int
    symbol: str | None


class FilePlace(Place):
    path: str


class Hit(FilePlace):
    """A search hit. Not the one of ``muniment.search``: importing that takes longer than the search."""

    project: str
    score: float
    text: str
    stale: bool
    also: list[Place] = []


class ProjectIndex(BaseModel):
    project: str
    index: IndexHeader


class Found(BaseModel):
    results: list[Hit]
    index: IndexHeader
    others: list[ProjectIndex] = []
    took_ms: float
    gone: int = 0
    notes: list[str] = []
    degraded: list[str] = []


class FoundRelated(BaseModel):
    of: FilePlace
    results: list[Hit]
    index: IndexHeader
    gone: int = 0
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


class MemoryAnchor(BaseModel):
    path: str
    start_line: int | None
    end_line: int | None
    symbol: str | None


class ShownMemory(BaseModel):
    """A memory. Not one of ``muniment.memory``, for the same reason, nor are those below."""

    id: str
    project: str
    content: str
    tags: list[str]
    source: str | None
    created_at: datetime
    updated_at: datetime
    superseded_by: str | None
    anchor: MemoryAnchor | None
    code: str | None
    score: float | None = None
    truncated: bool = False


class MemoryPage(BaseModel):
    items: list[ShownMemory]
    next: str | None


class SimilarMemory(BaseModel):
    id: str
    score: float


class StoredMemory(BaseModel):
    id: str
    created: bool
    supersedes: str | None
    similar: list[SimilarMemory]
    message: str | None


class Topic(BaseModel):
    tag: str
    memories: int
    updated_at: datetime


class Topics(BaseModel):
    items: list[Topic]


class StaleMemory(BaseModel):
    id: str
    content: str
    last_used_at: datetime


class Pruned(BaseModel):
    dry_run: bool
    count: int
    memories: list[StaleMemory]


class Imported(BaseModel):
    added: int
    updated: int
    unchanged: int
    dry_run: bool
