"""Job records and doorbells.

The record in Redis is the truth about a job; the entry on the project's RQ queue is only a doorbell. Ringing twice is
harmless, a lost ring is rung again by the recovery loop. Per project at most one job is *active* (claimed, not ended)
and at most one *waits*; a request made while one waits joins it.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from rq import Queue
from rq.serializers import JSONSerializer
from rq.worker_registration import clean_worker_registry, get_keys

from muniment.bus import Bus
from muniment.errors import ErrorBody, IllegalMove, InvalidValue, UnknownJob
from muniment.events import Event, EventType
from muniment.jobs import (
    MOVES,
    TERMINAL,
    Job,
    JobKind,
    JobPage,
    JobRequest,
    JobStatus,
    Progress,
    merged,
    new_job_id,
)
from muniment.leases import Lease, Leases
from muniment.project import Project
from muniment.queue_scripts import CANCEL, CLAIM, FINISH, PROGRESS, PUT_BACK, REQUEST
from muniment.redis_client import (
    BELL_CHANNEL,
    EPOCH,
    JOB,
    JOBS,
    SLOTS,
    WORK,
    Argument,
    Connections,
    active_key,
    dirty_key,
    job_key,
    lease_key,
    project_jobs_key,
    queue_name,
    waiting_key,
)

TASK = "muniment_worker.tasks.run"
HISTORY_SECONDS = 7 * 24 * 3600
RESULT_SECONDS = 3600
PAGE_LIMIT = 200
NO_SLOT = "no free slot"
OTHER_FIELDS = frozenset({"request", "progress", "error", "owner", "crashes"})  # of a record, besides the job's own

ENDED_EVENT = {
    JobStatus.COMPLETED: EventType.INDEX_COMPLETE,
    JobStatus.FAILED: EventType.INDEX_FAILED,
    JobStatus.CANCELLED: EventType.INDEX_CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Requested:
    """``joined``: the request was merged into a job that waited already."""

    job_id: str
    joined: bool


def utc_now() -> datetime:
    return datetime.now(UTC)


class JobQueue:
    def __init__(
        self, connections: Connections, bus: Bus, leases: Leases, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._redis = connections.records
        self._rq = connections.rq
        self._bus = bus
        self._leases = leases
        self._now = clock
        self._request = self._redis.register_script(REQUEST)
        self._claim = self._redis.register_script(CLAIM)
        self._finish = self._redis.register_script(FINISH)
        self._progress = self._redis.register_script(PROGRESS)
        self._put_back = self._redis.register_script(PUT_BACK)
        self._cancel = self._redis.register_script(CANCEL)

    # --- asking for work -----------------------------------------------------------------------------------------

    def request(self, project: Project, request: JobRequest) -> Requested:
        """Writes the record (or widens the one that waits), rings, tells; the answer comes at once."""
        now = self._now()
        while True:
            waiting, known = self._waiting_request(project.id)
            wanted = merged(known, request) if known else request
            job_id = new_job_id()
            record = _new_record(job_id, project, wanted, now)
            keys = [waiting_key(project.id), job_key(job_id), JOBS, project_jobs_key(project.id), WORK]
            arguments: list[Argument] = [
                JOB, waiting or "", known.model_dump_json() if known else "", wanted.model_dump_json(),
                job_id, project.id, int(now.timestamp() * 1000), HISTORY_SECONDS * 1000,
                *(part for pair in record.items() for part in pair),
            ]  # fmt: skip
            outcome = self._request(keys=keys, args=arguments)
            if outcome != "changed":
                break
        joined = outcome == "joined"
        if joined and waiting is not None:
            job_id = waiting
        else:
            self._tell(EventType.JOB_QUEUED, self.get(job_id))
        self.ring(project.id, f"{wanted.kind} of {project.name}")
        return Requested(job_id, joined)

    def _waiting_request(self, project_id: str) -> tuple[str | None, JobRequest | None]:
        waiting = self._redis.get(waiting_key(project_id))
        if waiting is None:
            return None, None
        body = self._redis.hget(job_key(waiting), "request")
        return waiting, JobRequest.model_validate_json(body) if body else None

    def ring(self, project_id: str, description: str) -> None:
        """Puts a doorbell on the project's queue and wakes the supervisors.

        One unanswered bell is enough: it will be answered after the record that it rings for was written.
        """
        queue = self._queue(project_id)
        if queue.count == 0:
            queue.enqueue_call(
                TASK,
                args=(project_id,),
                timeout=-1,
                result_ttl=RESULT_SECONDS,
                failure_ttl=HISTORY_SECONDS,
                description=description,
            )
        self._redis.publish(BELL_CHANNEL, project_id)

    def rings(self, project_id: str) -> int:
        """Doorbells that nobody has answered yet."""
        return self._queue(project_id).count

    def _queue(self, project_id: str) -> Queue:
        return Queue(queue_name(project_id), connection=self._rq, serializer=JSONSerializer)

    def cancel(self, job_id: str) -> Job:
        """Ends a job that waits or runs; a running pass sees it at its next look at ``is_running``.

        Raises UnknownJob, and IllegalMove when it has ended already.
        """
        job = self.get(job_id)
        keys = [job_key(job_id), active_key(job.project_id), waiting_key(job.project_id), WORK]
        before = self._cancel(keys=keys, args=[job_id, job.project_id, self._now().isoformat(), HISTORY_SECONDS])
        if not before:
            raise UnknownJob(job_id)
        if before in TERMINAL:
            raise IllegalMove(job_id, before, JobStatus.CANCELLED, MOVES[JobStatus(before)])
        job = self.get(job_id)
        self._tell(EventType.INDEX_CANCELLED, job)
        return job

    def cancel_all(self, project_id: str) -> None:
        """Cancels what waits or runs for a project."""
        waiting = self.waiting(project_id)  # first: it becomes the active one, never the other way round
        for job in (waiting, self.active(project_id)):
            if job is not None:
                with contextlib.suppress(UnknownJob, IllegalMove):  # it ended by itself meanwhile
                    self.cancel(job.id)

    def forget(self, project_id: str) -> bool:
        """Deletes every key of a removed project; only the records of its jobs stay for as long as any history.

        False while a worker still lingers on its queue: that one may write some of them once more.
        """
        self._redis.srem(WORK, project_id)
        self._redis.zrem(SLOTS, project_id)
        queue = self._queue(project_id)
        queue.delete(delete_jobs=True)
        registries = (
            queue.started_job_registry, queue.finished_job_registry, queue.failed_job_registry,
            queue.deferred_job_registry, queue.scheduled_job_registry, queue.canceled_job_registry,
        )  # fmt: skip
        self._rq.delete(queue.registry_cleaning_key, *(registry.key for registry in registries))
        own = (active_key, waiting_key, dirty_key, project_jobs_key, lease_key)
        self._redis.delete(*(key(project_id) for key in own))
        clean_worker_registry(queue)  # who was killed is still listed there
        return not get_keys(queue)

    # --- doing it ------------------------------------------------------------------------------------------------

    def claim_next(self, lease: Lease) -> Job | None:
        """The job to run now under this lease: the interrupted one first, else the one that waits.

        None: nothing to do, or the lease is another's by now.
        """
        project_id = lease.project_id
        keys = [lease_key(project_id), active_key(project_id), waiting_key(project_id), WORK]
        job_id = self._claim(keys=keys, args=[JOB, project_id, lease.token, self._now().isoformat()])
        if not job_id:
            return None
        job = self.get(job_id)
        self._tell(EventType.INDEX_STARTED, job)
        return job

    def is_running(self, job: Job) -> bool:
        """Whether this attempt of the job is to go on. Cheap: a pass asks twice a second."""
        return self._redis.hmget(job_key(job.id), "status", "attempt") == [JobStatus.RUNNING, str(job.attempt)]

    def progress(self, job: Job, progress: Progress) -> None:
        """Rewrites the counters of a running job and announces them."""
        if not self._progress(keys=[job_key(job.id)], args=[job.attempt, progress.model_dump_json()]):
            return
        shown = job.model_copy(update=dict(progress))
        self._bus.announce(self._event(EventType.INDEX_PROGRESS, shown))

    def finish(
        self, lease: Lease, job: Job, status: JobStatus, progress: Progress, error: ErrorBody | None = None
    ) -> bool:
        """Ends a running job; False when it was not this holder's to end.

        In the same step a standing update is made if paths are dirty: an edit in this very instant is not lost.
        """
        now = self._now()
        project = Project(
            id=job.project_id, name=job.project, watch_paths=[], created_at=now, updated_at=now
        )  # only id and name go into a record
        standing = _new_record(new_job_id(), project, JobRequest(kind=JobKind.UPDATE), now)
        keys = [
            lease_key(job.project_id), job_key(job.id), active_key(job.project_id), waiting_key(job.project_id),
            dirty_key(job.project_id), WORK, job_key(standing["id"]), JOBS, project_jobs_key(job.project_id),
        ]  # fmt: skip
        arguments: list[Argument] = [
            lease.token, status.value, now.isoformat(), progress.model_dump_json(),
            error.model_dump_json() if error else "", job.project_id, standing["id"], int(now.timestamp() * 1000),
            HISTORY_SECONDS,
            *(part for pair in standing.items() for part in pair),
        ]  # fmt: skip
        if self._finish(keys=keys, args=arguments) == "lost":
            return False
        self._tell(ENDED_EVENT[status], self.get(job.id))
        return True

    def put_back(self, lease: Lease, job: Job, *, tell: bool = True) -> bool:
        """The attempt ended without finishing and does not count: the job is queued again, before all others of its
        project. ``tell`` False: no event, for what may happen again and again.
        """
        if not self._put_back(keys=[lease_key(job.project_id), job_key(job.id)], args=[lease.token]):
            return False
        if tell:
            self._tell(EventType.JOB_QUEUED, self.get(job.id))
        return True

    def note_crash(self, project_id: str) -> None:
        """The process that ran the project's job was killed; a job that does so again and again must end."""
        job_id = self._redis.get(active_key(project_id))
        if job_id is not None and self._redis.exists(job_key(job_id)):
            self._redis.hincrby(job_key(job_id), "crashes", 1)

    def crashes(self, job: Job) -> int:
        return int(self._redis.hget(job_key(job.id), "crashes") or 0)

    def projects_with_work(self) -> list[str]:
        return sorted(self._redis.smembers(WORK))

    def has_work(self, project_id: str) -> bool:
        return self._redis.exists(active_key(project_id), waiting_key(project_id)) > 0

    def epoch_known(self) -> bool:
        """False after Redis was empty (new, or wiped): then every project has to reconcile."""
        return self._redis.exists(EPOCH) > 0

    def mark_epoch(self) -> None:
        self._redis.set(EPOCH, self._now().isoformat(), nx=True)

    # --- looking -------------------------------------------------------------------------------------------------

    def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        values = self._redis.hgetall(job_key(job_id))
        if "request" not in values:
            raise UnknownJob(job_id)
        return self._with_blocking(_job(values))

    def active(self, project_id: str) -> Job | None:
        """The project's claimed job."""
        return self._by_pointer(active_key(project_id))

    def waiting(self, project_id: str) -> Job | None:
        return self._by_pointer(waiting_key(project_id))

    def current(self, project_id: str) -> Job | None:
        """What to show as the project's job: the active one, else the one that waits, else the last one."""
        waiting = self.waiting(project_id)  # first: it becomes the active one, never the other way round
        found = self.active(project_id) or waiting
        if found is None:
            last = self._redis.zrevrange(project_jobs_key(project_id), 0, 0)
            values = self._redis.hgetall(job_key(last[0])) if last else None
            found = _job(values) if values and "request" in values else None
        return found

    def _by_pointer(self, key: str) -> Job | None:
        job_id = self._redis.get(key)
        values = self._redis.hgetall(job_key(job_id)) if job_id else None
        return self._with_blocking(_job(values)) if values and "request" in values else None

    def list(
        self,
        *,
        project_id: str | None = None,
        statuses: frozenset[JobStatus] = frozenset(),
        path: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobPage:
        """Newest first. A page begins after ``cursor`` and so stays the same when new jobs come in front."""
        limit = max(1, min(limit, PAGE_LIMIT))
        items: list[Job] = []
        last: str | None = None
        for score, job_id in self._ids(project_id, cursor):
            values = self._redis.hgetall(job_key(job_id))
            if "request" not in values:
                continue
            job = self._with_blocking(_job(values))
            if statuses and job.status not in statuses:
                continue
            if path and not any(path in known for known in [*job.paths, job.last_file or ""]):
                continue
            if len(items) == limit:
                return JobPage(items=items, next=last)
            items.append(job)
            last = f"{score}:{job_id}"
        return JobPage(items=items)

    def _ids(self, project_id: str | None, cursor: str | None) -> Iterator[tuple[int, str]]:
        key = project_jobs_key(project_id) if project_id else JOBS
        start: str | int = "+inf"
        after: tuple[int, str] | None = None
        if cursor:
            created, _, last_id = cursor.partition(":")
            if not created.isdecimal() or not last_id:
                raise InvalidValue("cursor", cursor, "it is not one that a page of jobs gave")
            start, after = int(created), (int(created), last_id)
        for offset in count(0, PAGE_LIMIT):
            pairs = self._redis.zrevrangebyscore(key, start, "-inf", start=offset, num=PAGE_LIMIT, withscores=True)
            for job_id, score in pairs:
                # equal scores come in reverse order of the id
                if after is None or (int(score), job_id) < after:
                    yield int(score), job_id
            if len(pairs) < PAGE_LIMIT:
                return

    def _with_blocking(self, job: Job) -> Job:
        if job.status != JobStatus.QUEUED:
            return job
        active = self._redis.get(active_key(job.project_id))
        if active and active != job.id:
            return job.model_copy(update={"status": JobStatus.BLOCKED, "blocked_by": active})
        if not self._redis.exists(lease_key(job.project_id)) and not self._leases.slot_free():
            return job.model_copy(update={"status": JobStatus.BLOCKED, "blocked_by": NO_SLOT})
        return job

    # --- telling -------------------------------------------------------------------------------------------------

    def _event(self, kind: EventType, job: Job) -> Event:
        return Event(
            type=kind,
            at=self._now(),
            project=job.project,
            project_id=job.project_id,
            job_id=job.id,
            data={"job": job.model_dump(mode="json")},
        )

    def _tell(self, kind: EventType, job: Job) -> None:
        self._bus.publish(self._event(kind, job))


def _new_record(job_id: str, project: Project, request: JobRequest, now: datetime) -> dict[str, str]:
    return {
        "id": job_id,
        "project": project.name,
        "project_id": project.id,
        "request": request.model_dump_json(),
        "status": JobStatus.QUEUED.value,
        "created_at": now.isoformat(),
        "attempt": "0",
    }


def _job(values: dict[str, str]) -> Job:
    fields: dict[str, Any] = json.loads(values.get("progress") or "{}")
    fields |= json.loads(values["request"])
    fields |= {key: value for key, value in values.items() if key not in OTHER_FIELDS}
    if values.get("error"):
        fields["error"] = json.loads(values["error"])
    if fields["status"] == JobStatus.COMPLETED:
        fields |= {"percent": 100.0, "eta_seconds": 0.0}
    return Job.model_validate(fields)


def is_over(job: Job) -> bool:
    return job.status in TERMINAL
