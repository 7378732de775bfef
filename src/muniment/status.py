"""How complete and how fresh an index is: one source for status, for the header of every answer, and for waiting."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

from muniment.datafolder import DataFolder
from muniment.dirty import DirtyPaths
from muniment.errors import DiskFull
from muniment.job_records import JobRecords, is_over
from muniment.jobs import TERMINAL, Job, JobStatus
from muniment.manifest import Counters, IndexMeta, ManifestReader, why_unread
from muniment.project import Project

IndexCounts = tuple[Counters, IndexMeta]


class IndexState(StrEnum):
    EMPTY = "empty"  # nothing was ever scanned
    INDEXING = "indexing"  # a job runs or waits
    PAUSED = "paused"
    IDLE = "idle"
    FAILED = "failed"  # the last job failed; what was indexed before still answers


class Coverage(BaseModel):
    files_total: int
    files_lexical: int
    files_vector: int
    lexical_percent: float
    vector_percent: float
    chunks: int


class LastReconcile(BaseModel):
    at: datetime
    files: int


class IndexHeader(BaseModel):
    """What every search answer says of the index it came from. ``as_of``: the last complete scan; ``warnings``: why it
    found nothing to index."""

    state: IndexState
    lexical_percent: float
    vector_percent: float
    as_of: datetime | None
    commit: str | None
    pending_changes: int
    warnings: list[str] = []


class ProjectStatus(BaseModel):
    project: str
    project_id: str
    state: IndexState
    up_to_date: bool
    coverage: Coverage
    missing: int
    extra: int
    last_reconcile: LastReconcile | None
    commit: str | None
    pending_changes: int
    watch: bool
    memories: int
    warnings: list[str] = []
    job: Job | None


@dataclass(frozen=True, slots=True)
class WaitMark:
    """What was queued and dirty at one moment: waiting for it does not wait for what came later."""

    jobs: frozenset[str]
    dirty_upto: int


@dataclass(frozen=True, slots=True)
class _Snapshot:
    counters: Counters
    meta: IndexMeta
    job: JobStatus | None  # the current one's
    dirty: int
    changed_at: datetime  # of the project's own folders and patterns

    @property
    def warnings(self) -> list[str]:
        """Those of the last scan, unless files have come since."""
        come_since = self.counters.files_lexical > (self.meta.reconciled_files or 0)
        return [] if come_since else self.meta.warnings

    @property
    def outdated(self) -> bool:
        """Whether no plan was made yet for the folders and patterns that the project has now."""
        return self.meta.settings_of != self.changed_at

    @property
    def state(self) -> IndexState:
        if self.job is not None and self.job not in TERMINAL:
            return IndexState.PAUSED if self.job == JobStatus.PAUSED else IndexState.INDEXING
        if self.job == JobStatus.FAILED:
            return IndexState.FAILED
        return IndexState.EMPTY if self.meta.scanned_at is None else IndexState.IDLE

    @property
    def header(self) -> IndexHeader:
        return IndexHeader(
            state=self.state,
            lexical_percent=self.percent(self.counters.files_lexical),
            vector_percent=self.percent(self.counters.files_vector),
            as_of=self.meta.scanned_at,
            commit=self.meta.commit,
            pending_changes=self.dirty,
            warnings=self.warnings,
        )

    def percent(self, done: int) -> float:
        if self.meta.settings_of is None:  # no plan was ever made: of how many files, nobody knows
            return 0.0
        if self.counters.files_total == 0:
            # a rule that hides everything, or a folder that nothing is mounted at, must not look complete
            if self.warnings:
                return 0.0
            return 100.0 if self.meta.scanned_at and not self.outdated else 0.0
        # rounding must never claim completeness: 22,000 of 22,001 files is not 100%
        share = min(1.0, done / self.counters.files_total)
        return 100.0 if share == 1.0 and not self.outdated else min(99.9, round(100.0 * share, 1))


class StatusReader:
    """Safe for threads."""

    def __init__(
        self,
        folder: DataFolder,
        jobs: JobRecords,
        dirty: DirtyPaths,
        count_memories: Callable[[str], int],
        read_open: Callable[[str], IndexCounts | None] = lambda _project_id: None,
    ) -> None:
        """``read_open``: what a project's manifest says, where it is open already."""
        self._folder = folder
        self._jobs = jobs
        self._dirty = dirty
        self._count_memories = count_memories
        self._read_open = read_open

    def _snapshot(self, project: Project, job: JobStatus | None, dirty: int) -> _Snapshot:
        """The job is read first: a pass that ends in between then shows old progress with new counters, never the
        reverse."""
        counters, meta = self._of_index(project)
        return _Snapshot(counters, meta, job, dirty, project.updated_at)

    def _of_index(self, project: Project) -> IndexCounts:
        """A manifest that cannot be read is a warning: one project must not take the list of all projects with it."""
        path = self._folder.project(project.id).manifest
        try:
            known = self._read_open(project.id)
            if known is not None:
                return known
            reader = ManifestReader.open(path)
            if reader is None:
                return Counters(), IndexMeta()
            with closing(reader):
                return reader.state()
        except (sqlite3.Error, DiskFull, OSError) as error:
            return Counters(), IndexMeta(warnings=[str(why_unread(path, error))])

    def header(self, project: Project) -> IndexHeader:
        return self.headers([project])[0]

    def headers(self, projects: Sequence[Project]) -> list[IndexHeader]:
        """One for each, by a single exchange with Redis."""
        standing = self._jobs.standing([project.id for project in projects])
        return [
            self._snapshot(project, now.status, now.dirty).header
            for project, now in zip(projects, standing, strict=True)
        ]

    def project_status(self, project: Project) -> ProjectStatus:
        job = self._jobs.current(project.id)
        seen = self._snapshot(project, job.status if job is not None else None, self._dirty.count(project.id))
        counters, meta = seen.counters, seen.meta
        # a file that cannot be read is told as a failure and stays missing, but there is nothing to wait for
        reached = counters.files_lexical + counters.files_failed == counters.files_total
        embedded = counters.files_vector == counters.files_lexical
        planned = not meta.incomplete and not seen.outdated
        complete = reached and embedded and planned and counters.extra == 0
        return ProjectStatus(
            project=project.name,
            project_id=project.id,
            state=seen.state,
            up_to_date=seen.state == IndexState.IDLE and complete and seen.dirty == 0,
            coverage=Coverage(
                files_total=counters.files_total,
                files_lexical=counters.files_lexical,
                files_vector=counters.files_vector,
                lexical_percent=seen.percent(counters.files_lexical),
                vector_percent=seen.percent(counters.files_vector),
                chunks=counters.chunks,
            ),
            missing=max(0, counters.files_total - counters.files_lexical),
            extra=counters.extra,
            last_reconcile=(
                LastReconcile(at=meta.reconciled_at, files=meta.reconciled_files or 0) if meta.reconciled_at else None
            ),
            commit=meta.commit,
            pending_changes=seen.dirty,
            watch=project.watch,
            memories=self._count_memories(project.id),
            warnings=seen.warnings,
            job=job,
        )

    def mark(self, project: Project) -> WaitMark:
        """Everything queued or dirty now, for ``covered``."""
        return WaitMark(frozenset(self._jobs.unfinished(project.id).ids), self._dirty.last(project.id))

    def held_up(self, project: Project) -> bool:
        """Whether all that is left to do for the project is paused, so that no waiting helps."""
        unfinished = self._jobs.unfinished(project.id)
        return bool(unfinished.paused) and not unfinished.moving

    def covered(self, project: Project, mark: WaitMark) -> bool:
        """Whether every job of the mark has ended and every path that was dirty then has been taken."""
        if any(not is_over(self._jobs.get(job_id)) for job_id in mark.jobs):
            return False
        first = self._dirty.first(project.id)
        return first is None or first > mark.dirty_upto
