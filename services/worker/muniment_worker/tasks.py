"""What a doorbell starts: ``run(project_id)`` claims the project's next job and carries it out.

The record is the truth: a bell that finds nothing to claim, or the project held by another, simply returns.
"""

import contextlib
import errno
import logging
import os
import socket
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache

from muniment import logs
from muniment import settings as settings_module
from muniment.bus import Bus
from muniment.datafolder import ProjectFolder
from muniment.dirty import DirtyPaths
from muniment.durable import make_folder
from muniment.embedding import Embedder
from muniment.embedding.choice import EmbedderChoice, file_embedder
from muniment.errors import (
    AttemptsExhausted,
    DatabaseBusy,
    DiskFull,
    ErrorBody,
    InternalError,
    LeaseLost,
    ManifestDamaged,
    MunimentError,
    UnknownJob,
    UnknownProject,
    WriterBusy,
)
from muniment.indexing import Limits, PassTools, open_index, run_pass
from muniment.jobs import Job, JobKind, JobRequest, JobStatus, Progress
from muniment.leases import Denied, Lease, Leases
from muniment.pace import JobPace
from muniment.parsing import default_helpers
from muniment.project import Project
from muniment.projects import ProjectStore
from muniment.queue import JobQueue, utc_now
from muniment.redis_client import REDIS_ERRORS, Connections, connect
from muniment.settings import Settings
from muniment.sqlite import BUSY_SECONDS, is_busy
from muniment.vectors import VectorStore
from muniment_worker import preflight
from muniment_worker.control import Interrupted, LeaseKeeper, PassControl, Stopped

log = logging.getLogger(__name__)
BUSY_PAUSE_SECONDS = 1.0
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 5.0, 300.0
stopping = threading.Event()
_inherited: list[Lease] = []


@dataclass(frozen=True)
class Desk:
    """What a supervisor or a work horse needs. Nothing of it may cross a fork while it is open: SQLite, above all, must
    be opened for the moment only.
    """

    settings: Settings
    connections: Connections
    leases: Leases
    queue: JobQueue
    tools: PassTools


def open_desk(settings: Settings) -> Desk:
    connections = connect(settings.redis_url or "redis://127.0.0.1:6379/0")
    leases = Leases(connections.records, seconds=settings.lease_seconds, max_running=settings.max_running)
    limits = Limits(settings.batch_files, settings.batch_chunks, settings.max_file_bytes)
    tools = PassTools(
        dirty=DirtyPaths(connections.records),
        vectors=VectorStore(settings.chroma_url or "http://127.0.0.1:8000"),
        embedder=embedder(EmbedderChoice.of(settings)),
        limits=limits,
        helpers=default_helpers() if settings.helpers is None else settings.helpers,
        now=utc_now,
        rule_cache=settings.folder.rule_cache,
    )
    queue = JobQueue(connections, Bus(connections.records), leases)
    return Desk(settings, connections, leases, queue, tools)


@cache
def embedder(choice: EmbedderChoice) -> Embedder:
    """Made once, by the supervisor: the horses share the pages of a static model; any other is loaded by the horse."""
    return file_embedder(choice)


def inherit(lease: Lease) -> None:
    """Notes the lease that the supervisor took for the worker it forks; later leases have the same owner."""
    _inherited[:] = [lease]


def run(project_id: str) -> str:
    """Called by RQ in a work horse; returns what became of the bell, for rq-dashboard."""
    desk = open_desk(settings_module.load())
    lease = _take_lease(desk, project_id)
    if isinstance(lease, Denied):
        return f"not now: {lease.holder or 'no free slot'}"
    with LeaseKeeper(desk.leases, lease) as keeper:
        job = desk.queue.claim_next(lease)
        if job is None:
            return "nothing to do"
        try:
            with logs.about(project=job.project, project_id=project_id, job=job.id, attempt=job.attempt):
                log.info("job %s of %s begins: %s", job.id, job.project, job.kind)
                outcome = carry_out(desk, lease, job, keeper)
                log.info("job %s of %s: %s", job.id, job.project, outcome)
        except UnknownProject:
            # removed since the bell; its keys came back with the job
            desk.queue.cancel_all(project_id)
            desk.queue.forget(project_id)
            return "nothing to do"
    if desk.queue.has_work(project_id) and not stopping.is_set():
        desk.queue.bells.ring(project_id, f"next job of {job.project}")
    return outcome


def _take_lease(desk: Desk, project_id: str) -> Lease | Denied:
    if not _inherited:
        return desk.leases.acquire(project_id, f"{socket.gethostname()}:{os.getpid()}")
    inherited = _inherited[0]
    return inherited if desk.leases.renew(inherited) else desk.leases.acquire(project_id, inherited.owner)


def carry_out(desk: Desk, lease: Lease, job: Job, keeper: LeaseKeeper) -> str:
    """Runs one claimed job to its end, or puts it back. Raises UnknownProject when the project was removed."""
    crashes = desk.queue.crashes(job)
    if crashes >= desk.settings.max_attempts:
        before = desk.queue.progress_before(job)
        exhausted = AttemptsExhausted(crashes, before.phase, before.last_file or "?")
        log.error("job %s of %s failed: %s", job.id, job.project, exhausted)
        return _fail(desk, lease, job, exhausted.body(), before)
    desk = replace(desk, tools=replace(desk.tools, cautious=crashes > 0))
    try:
        return _attempt(desk, lease, job, keeper)
    except (LeaseLost, Stopped) as ended:
        return ended.code.replace("_", " ")  # it is not this attempt's to end any more
    except (Interrupted, WriterBusy) as ended:
        return _put_back(desk, lease, job, ended)
    except (UnknownProject, *REDIS_ERRORS):
        raise  # of Redis: the record cannot be written either, whoever claims the job next goes on from the checkpoint
    except (MunimentError, OSError, sqlite3.Error) as error:
        return _fail_or_retry(desk, lease, job, error)
    except Exception as error:  # the boundary: whatever it was, the job must not be tried for ever
        log.exception("job %s of %s failed", job.id, job.project)
        return _fail(desk, lease, job, _as_error(error, desk.settings))


def _attempt(desk: Desk, lease: Lease, job: Job, keeper: LeaseKeeper) -> str:
    pace = JobPace(desk.connections.records, job.project_id)
    control = PassControl(desk.queue, job, keeper, stopping, pace=pace)
    with closing(ProjectStore(desk.settings.folder.server_db)) as projects:
        folder = desk.settings.folder.project(job.project_id)
        with projects.kept(job.project_id) as project:  # nothing may bring back the folder of a removed project
            make_folder(folder.path)  # durably: pushed texts are put below it
    preflight.check(project, desk.settings)
    try:
        progress, incomplete = _index(desk, folder, project, job, control)
    except ManifestDamaged as damaged:
        log.warning("job %s builds the index of %s anew: %s", job.id, job.project, damaged)
        progress, incomplete = _index(desk, folder, project, job, control)
    if not desk.queue.finish(lease, job, JobStatus.COMPLETED, progress):
        return "stopped at its end"
    held_back = any(paused.request.whole_tree for paused in desk.queue.paused(job.project_id))
    if incomplete and not job.request.whole_tree and not held_back:
        # an earlier pass over the whole tree did not come to its end; a paused one does when it is resumed. After one
        # that did, what is still missing lies below a folder that cannot be read: asking at once would never end
        desk.queue.request(project, JobRequest(kind=JobKind.RECONCILE))
    with contextlib.suppress(*REDIS_ERRORS):  # the job is complete whatever becomes of this
        pace.ended()
    return "completed"


def _put_back(desk: Desk, lease: Lease, job: Job, ended: MunimentError) -> str:
    busy = isinstance(ended, WriterBusy)
    if busy:
        # whoever writes is dying or on its way out: the recovery loop rings again
        log.warning("job %s put back: %s", job.id, ended)
        stopping.wait(BUSY_PAUSE_SECONDS)
    desk.queue.put_back(lease, job, tell=not busy)
    return "put back"


def _index(
    desk: Desk, folder: ProjectFolder, project: Project, job: Job, control: PassControl
) -> tuple[Progress, bool]:
    """One pass; its final counters, and whether it leaves a plan for the whole tree unfinished."""
    with open_index(folder, project.id) as index:
        progress = run_pass(project, job, index, desk.tools, control)
        return progress, index.manifest.meta().incomplete


@dataclass(frozen=True)
class HorseKeeper:
    """The groom of an RQ worker's horses. Later leases have the owner of the one that the worker was forked with."""

    desk: Desk
    lease: Lease

    def holds(self) -> bool:
        holder = self.desk.leases.holder(self.lease.project_id)
        return holder is not None and holder.owner == self.lease.owner

    def crashed(self) -> None:
        self.desk.queue.note_crash(self.lease.project_id)

    def ended(self) -> None:
        self.desk.leases.release_owned(self.lease.project_id, self.lease.owner)


def _fail_or_retry(desk: Desk, lease: Lease, job: Job, error: Exception) -> str:
    """What is away may come back: the job waits for it, longer each time, and fails after ``retries`` times."""
    body = _as_error(error, desk.settings)
    if not body.retryable or job.retries >= desk.settings.retries:
        log.error("job %s of %s failed", job.id, job.project, exc_info=error, extra=logs.fields_of(body))
        return _fail(desk, lease, job, body)
    delay = max(retry_delay(job.retries), getattr(error, "retry_after", None) or 0.0)
    told = logs.fields_of(body)
    log.warning("job %s of %s is tried again in %.0f s: %s", job.id, job.project, delay, body.message, extra=told)
    desk.queue.try_later(lease, job, body, _counters(desk, job), delay)
    return f"tried again in {delay:.0f} s: {body.code}"


def retry_delay(retries: int) -> float:
    """Seconds until the next attempt of a job that was put back so many times."""
    return min(FIRST_RETRY_SECONDS * 2.0**retries, LONGEST_RETRY_SECONDS)


def _fail(desk: Desk, lease: Lease, job: Job, error: ErrorBody, counters: Progress | None = None) -> str:
    counters = _counters(desk, job) if counters is None else counters
    if not desk.queue.finish(lease, job, JobStatus.FAILED, counters, error):
        return f"failed: {error.code}; its record is gone"  # Redis was wiped: every project is reconciled anyway
    return f"failed: {error.code}"


def _counters(desk: Desk, job: Job) -> Progress:
    """What the job had done when it was last told."""
    try:
        told = desk.queue.get(job.id)
    except UnknownJob:
        told = job
    return Progress.model_validate(told.model_dump(include=set(Progress.model_fields)))


def _as_error(error: Exception, settings: Settings) -> ErrorBody:
    if isinstance(error, MunimentError):
        return error.body()
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if full or (isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL):
        return DiskFull(str(settings.data_dir)).body()
    if isinstance(error, sqlite3.Error) and is_busy(error):
        return DatabaseBusy(str(settings.data_dir), BUSY_SECONDS).body()
    return InternalError(f"{type(error).__name__}: {error}").body()
