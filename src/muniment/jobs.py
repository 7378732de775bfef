"""A job: one unit of indexing work, its states, and what people see of it. Pure; the records live in Redis.

``blocked`` is no stored state: a queued job is shown as blocked while its project is busy or no slot is free.
"""

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, Field, model_validator

from muniment.errors import ErrorBody


class JobStatus(StrEnum):
    QUEUED = "queued"
    BLOCKED = "blocked"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.PAUSED, JobStatus.CANCELLED}),
    # running -> queued: the attempt ended without finishing (crash, shutdown, a store away) and is tried again.
    JobStatus.RUNNING: frozenset(
        {JobStatus.QUEUED, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.PAUSED, JobStatus.CANCELLED}
    ),
    JobStatus.PAUSED: frozenset({JobStatus.QUEUED, JobStatus.CANCELLED}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}
TERMINAL = frozenset(status for status, targets in MOVES.items() if not targets)
HISTORY_SECONDS = 7 * 24 * 3600  # so long a job is remembered after its end


class JobKind(StrEnum):
    UPDATE = "update"  # the given or dirty paths only
    RECONCILE = "reconcile"  # compare the whole tree with the manifest
    REINDEX = "reindex"  # read and index every file again, old chunks answering until replaced


BREADTH = {JobKind.UPDATE: 0, JobKind.RECONCILE: 1, JobKind.REINDEX: 2}


class Phase(StrEnum):
    SCAN = "scan"
    LEXICAL = "lexical"
    VECTORS = "vectors"
    FINISH = "finish"


class JobRequest(BaseModel):
    """What is to be done. ``paths`` (indexed paths of files or folders) narrow it. Without paths a reconcile or reindex
    means the whole project, an update only what the watcher noted as dirty."""

    kind: JobKind = JobKind.RECONCILE
    paths: list[str] = []
    recursive: bool = True
    repair: bool = False  # compare the stores first and mend them; always the whole project

    @model_validator(mode="after")
    def _repairs_all(self) -> Self:
        if self.repair:
            self.kind = max(self.kind, JobKind.RECONCILE, key=BREADTH.__getitem__)
            self.paths = []
        return self

    @property
    def only_dirty(self) -> bool:
        return self.kind == JobKind.UPDATE and not self.paths

    @property
    def whole_tree(self) -> bool:
        return self.kind != JobKind.UPDATE and not self.paths


class FileCounts(BaseModel):
    total: int = 0
    done: int = 0
    failed: int = 0
    skipped: dict[str, int] = {}
    by_lines: dict[str, int] = {}  # cut by lines although their language has a grammar, by reason


class FileFailure(BaseModel):
    path: str
    reason: str


class Progress(BaseModel):
    """The part of a record that the running pass rewrites. ``rate`` is files per second in this phase."""

    phase: Phase = Phase.SCAN
    files: FileCounts = Field(default_factory=FileCounts)
    failures: list[FileFailure] = []
    last_file: str | None = None
    chunks: int = 0
    masked: dict[str, int] = {}  # secrets masked in what this pass read, by kind
    warnings: list[str] = []
    percent: float = 0.0
    rate: float | None = None
    eta_seconds: float | None = None
    with_errors: bool = False


class Job(Progress):
    """One job as every surface shows it. Times are UTC."""

    id: str
    project: str
    project_id: str
    kind: JobKind
    paths: list[str] = []
    recursive: bool = True
    repair: bool = False
    status: JobStatus
    estimate_seconds: float | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    retries: int = Field(0, description="Times it was put back because a part of the system was away.")
    retry_at: datetime | None = Field(None, description="When it is tried again; `error` says why.")
    estimate_error: float | None = Field(None, description="By what share of the estimate it took longer; < 0: less.")
    error: ErrorBody | None = None
    blocked_by: str | None = None

    @property
    def request(self) -> JobRequest:
        return JobRequest(kind=self.kind, paths=self.paths, recursive=self.recursive, repair=self.repair)


STORED = frozenset(MOVES)  # blocked is no state of a record

# what people may have done to a job in a state; the other moves are a worker's
ASKED: dict[JobStatus, frozenset[str]] = {
    JobStatus.QUEUED: frozenset({"paused", "cancelled"}),
    JobStatus.BLOCKED: frozenset({"paused", "cancelled"}),
    JobStatus.RUNNING: frozenset({"paused", "cancelled"}),
    JobStatus.PAUSED: frozenset({"resumed", "cancelled"}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset({"retried"}),
    JobStatus.CANCELLED: frozenset({"retried"}),
}
RETRIED = frozenset(status for status, asked in ASKED.items() if "retried" in asked)


class JobPage(BaseModel):
    items: list[Job]
    next: str | None = None


def new_job_id() -> str:
    return secrets.token_hex(8)


def merged(waiting: JobRequest, new: JobRequest) -> JobRequest:
    """The request that covers both: the broader kind, and paths only while both name some.

    An update without paths asks for the dirty paths, which every pass takes anyway: it adds nothing.
    """
    if waiting.only_dirty:
        return new
    if new.only_dirty:
        return waiting
    kind = max(waiting.kind, new.kind, key=BREADTH.__getitem__)
    repair = waiting.repair or new.repair
    if repair or not waiting.paths or not new.paths:
        return JobRequest(kind=kind, repair=repair)
    paths = list(dict.fromkeys([*waiting.paths, *new.paths]))
    return JobRequest(kind=kind, paths=paths, recursive=waiting.recursive or new.recursive)
