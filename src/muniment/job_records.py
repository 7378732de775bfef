"""The records of jobs in Redis, as read: one, a project's, or a page of all. ``muniment.queue`` writes them."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from pydantic import ValidationError

from muniment.errors import InvalidValue, UnknownJob
from muniment.jobs import TERMINAL, Job, JobPage, JobRequest, JobStatus, Progress
from muniment.leases import Leases
from muniment.queue_scripts import STANDING
from muniment.redis_client import (
    JOBS,
    STOPPING,
    Connections,
    active_key,
    job_key,
    lease_key,
    paused_key,
    project_jobs_key,
    rest_key,
    waiting_key,
)

log = logging.getLogger(__name__)
PAGE_LIMIT = 200
READ_AHEAD = 50  # records read in one exchange while a page is filled
NO_SLOT = "no free slot"
RESTING = "the wait before the next attempt"
# of a record, besides the job's own
OTHER_FIELDS = frozenset({"request", "progress", "progress_before", "error", "owner", "crashes", "claimed_at"})

Values = dict[str, str]
Jobs = list[Job]  # JobRecords.list hides the type
JobIds = list[str]
Standings = list["Standing"]


@dataclass(frozen=True, slots=True)
class _Blocking:
    """What may keep a queued job of one project waiting."""

    active: str | None
    held: bool
    resting: str | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """``moving``: what runs and what waits, in the order of their turns."""

    moving: JobIds
    paused: JobIds

    @property
    def ids(self) -> JobIds:
        return [*self.moving, *self.paused]


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a project: the status of its current job, which may be blocked, and how many changed paths wait."""

    status: JobStatus | None
    dirty: int


class JobRecords:
    def __init__(self, connections: Connections, leases: Leases) -> None:
        self._redis = connections.records
        self._leases = leases
        self._standing = connections.records.register_script(STANDING)

    def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        found = self.read([job_id])
        if not found:
            raise UnknownJob(job_id)
        return found[0]

    def active(self, project_id: str) -> Job | None:
        """The project's claimed job."""
        return self._first([self._redis.get(active_key(project_id))])

    def waiting(self, project_id: str) -> Jobs:
        """Those that wait, the next one first: more than one only after some were resumed."""
        return self.read(self._redis.lrange(waiting_key(project_id), 0, -1))

    def paused(self, project_id: str) -> Jobs:
        return self.read(self._redis.lrange(paused_key(project_id), 0, -1))

    def stopping(self) -> Jobs:
        """Those that were paused or cancelled while they ran, and whose worker has not let go of the project yet."""
        return self.read(self._redis.zrange(STOPPING, 0, -1, withscores=False))

    def unfinished(self, project_id: str) -> Unfinished:
        """The ids of what has not ended, all of the same moment."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.lrange(waiting_key(project_id), 0, -1)
            pipe.get(active_key(project_id))
            pipe.lrange(paused_key(project_id), 0, -1)
            waiting, active, paused = pipe.execute()
        return Unfinished([*([active] if active else []), *waiting], paused)

    def current(self, project_id: str) -> Job | None:
        """What to show as the project's job: the active one, else the next, else the one paused last, else the last."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(active_key(project_id))
            pipe.lindex(waiting_key(project_id), 0)
            pipe.lindex(paused_key(project_id), -1)
            pipe.zrevrange(project_jobs_key(project_id), 0, 0)
            active, waiting, paused, last = pipe.execute()
        return self._first([active, waiting, paused, *last])

    def standing(self, project_ids: Sequence[str]) -> Standings:
        """Of each project what every answer tells, in one exchange: its current job is not read, nor why it waits."""
        told = self._standing(keys=(), args=project_ids) if project_ids else []
        return [
            Standing(JobStatus(status) if status else None, int(dirty))
            for status, dirty in zip(told[::2], told[1::2], strict=True)
        ]

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
        items: Jobs = []
        last: str | None = None
        ids = self._ids(project_id, cursor)
        while part := list(islice(ids, min(READ_AHEAD, limit + 1))):
            found = {job.id: job for job in self.read(job_id for _, job_id in part)}
            for score, job_id in part:
                job = found.get(job_id)
                if job is None or (statuses and job.status not in statuses):
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
                    after = int(score), job_id  # a job that came in front meanwhile shifts the others
                    yield after
            if len(pairs) < PAGE_LIMIT:
                return

    def crashes(self, job: Job) -> int:
        return int(self._redis.hget(job_key(job.id), "crashes") or 0)

    def progress_before(self, job: Job) -> Progress:
        """How far the last attempt came that said so, before the one that runs now."""
        told = self._redis.hget(job_key(job.id), "progress_before")
        try:
            return Progress.model_validate_json(told) if told else Progress()
        except ValidationError:
            return Progress()

    def _first(self, job_ids: Iterable[str | None]) -> Job | None:
        found = self.read(filter(None, job_ids))
        return found[0] if found else None

    def read(self, job_ids: Iterable[str]) -> Jobs:
        """The known ones of these jobs, in this order: at most three exchanges with Redis, however many they are."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(job_key(job_id))
            read = map(as_job, pipe.execute())
        return self._with_blocking([job for job in read if job is not None])

    def _with_blocking(self, jobs: Jobs) -> Jobs:
        queued = list(dict.fromkeys(job.project_id for job in jobs if job.status == JobStatus.QUEUED))
        if not queued:
            return jobs
        with self._redis.pipeline(transaction=False) as pipe:
            for project_id in queued:
                pipe.get(active_key(project_id))
                pipe.exists(lease_key(project_id))
                pipe.get(rest_key(project_id))
            answers = pipe.execute()
        blocking = {
            project_id: _Blocking(answers[3 * place], bool(answers[3 * place + 1]), answers[3 * place + 2])
            for place, project_id in enumerate(queued)
        }
        slot_free = self._leases.slot_free()
        return [
            _blocked(job, blocking[job.project_id], slot_free=slot_free) if job.status == JobStatus.QUEUED else job
            for job in jobs
        ]


def _blocked(job: Job, seen: _Blocking, *, slot_free: bool) -> Job:
    if seen.active and seen.active != job.id:
        reason = seen.active
    elif seen.resting:
        reason = RESTING if seen.resting == job.id else seen.resting
    elif not seen.held and not slot_free:
        reason = NO_SLOT
    else:
        return job
    return job.model_copy(update={"status": JobStatus.BLOCKED, "blocked_by": reason})


def as_job(values: Values) -> Job | None:
    """None for a record that is gone, or that nobody can read."""
    if "request" not in values:
        return None
    try:
        fields: dict[str, Any] = json.loads(values.get("progress") or "{}")
        fields |= JobRequest.model_validate_json(values["request"]).model_dump()
        fields |= {key: value for key, value in values.items() if key not in OTHER_FIELDS}
        if values.get("error"):
            fields["error"] = json.loads(values["error"])
        if fields.get("status") == JobStatus.COMPLETED:
            fields |= {"percent": 100.0, "eta_seconds": 0.0}
        elif fields.get("status") != JobStatus.RUNNING:  # what it was when it stopped says nothing about the future
            fields |= {"rate": None, "eta_seconds": None}
        return Job.model_validate(fields)
    except (ValidationError, ValueError, TypeError) as error:
        log.warning("the record of job %s cannot be read: %s", values.get("id"), error)
        return None


def is_over(job: Job) -> bool:
    return job.status in TERMINAL
