"""What the job records must be, said plainly: a model in a few dictionaries, and the rules that hold of any state.

``Model`` is told what happened and knows what Redis must hold after it. ``Stored`` is what Redis holds, and ``broken``
names what is wrong with it without knowing how it came about.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from muniment.events import EventType
from muniment.job_records import NO_SLOT, RESTING
from muniment.jobs import TERMINAL, Job, JobKind, JobRequest, JobStatus, merged
from muniment.leases import Lease
from muniment.redis_client import (
    JOBS,
    SLOTS,
    STOPPING,
    WORK,
    Records,
    active_key,
    dirty_key,
    dirty_since_key,
    job_key,
    lease_key,
    paused_key,
    rest_key,
    waiting_key,
)

SLOT_CAP = 2


@dataclass
class Known:
    """A job as the model has it. ``owner`` is the token of the lease under which it was claimed last."""

    id: str
    project: str
    request: JobRequest
    created_at: datetime
    status: JobStatus = JobStatus.QUEUED
    attempt: int = 0
    retries: int = 0
    crashes: int = 0
    chunks: int = 0
    owner: str = ""
    told: list[EventType] = field(default_factory=lambda: [EventType.JOB_QUEUED])

    @property
    def place_in_list(self) -> tuple[int, str]:
        return int(self.created_at.timestamp() * 1000), self.id


@dataclass
class Place:
    """A project. ``doing``: what the holder of its lease believes it runs; ``seen``: the dirty paths that a pass took,
    ``taken``: those in the model."""

    active: str | None = None
    waiting: list[str] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    resting: str | None = None
    dirty: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    lease: Lease | None = None
    doing: Job | None = None

    @property
    def has_work(self) -> bool:
        return bool(self.active or self.waiting)


class Model:
    def __init__(self, projects: Iterable[str]) -> None:
        self.jobs: dict[str, Known] = {}
        self.places = {project: Place() for project in projects}
        self.changes = 0

    def slot_free(self) -> bool:
        return sum(place.lease is not None for place in self.places.values()) < SLOT_CAP

    def shown(self, known: Known) -> tuple[JobStatus, str | None]:
        """Its state, and what blocks it."""
        place = self.places[known.project]
        if known.status != JobStatus.QUEUED:
            return known.status, None
        if place.active and place.active != known.id:
            return JobStatus.BLOCKED, place.active
        if place.resting:
            return JobStatus.BLOCKED, RESTING if place.resting == known.id else place.resting
        if place.lease is None and not self.slot_free():
            return JobStatus.BLOCKED, NO_SLOT
        return JobStatus.QUEUED, None

    def expected_id(self, project: str) -> str | None:
        """Of the job that a request joins."""
        waiting = self.places[project].waiting
        return waiting[-1] if waiting else None

    def asked(self, project: str, job_id: str, request: JobRequest, now: datetime) -> None:
        if self.expected_id(project) == job_id:
            known = self.jobs[job_id]
            known.request = merged(known.request, request)
            return
        assert job_id not in self.jobs, "a new job has a new id"
        self.jobs[job_id] = Known(job_id, project, request, now)
        self.places[project].waiting.append(job_id)

    def claimable(self, project: str) -> str | None:
        place = self.places[project]
        if place.resting:
            return None
        return place.active or (place.waiting[0] if place.waiting else None)

    def claimed(self, known: Known, lease: Lease) -> None:
        place = self.places[known.project]
        place.active = known.id
        place.waiting = [other for other in place.waiting if other != known.id]
        known.status, known.owner, known.attempt = JobStatus.RUNNING, lease.token, known.attempt + 1
        known.chunks = 0
        known.told.append(EventType.INDEX_STARTED)

    def runs(self, lease: Lease, job: Job) -> bool:
        """Whether this holder may say how this attempt ends."""
        known, place = self.jobs[job.id], self.places[lease.project_id]
        return known.status == JobStatus.RUNNING and place.lease == lease and known.owner == lease.token

    def hears(self, job: Job) -> bool:
        known = self.jobs[job.id]
        return known.status == JobStatus.RUNNING and known.attempt == job.attempt

    def moved(self, known: Known, status: JobStatus, event: EventType) -> None:
        """Out of wherever it was; what ends or is paused leaves its project."""
        place = self.places[known.project]
        known.status = status
        known.told.append(event)
        if status == JobStatus.QUEUED:
            return
        place.active = None if place.active == known.id else place.active
        place.waiting = [other for other in place.waiting if other != known.id]
        place.paused = [other for other in place.paused if other != known.id]
        place.resting = None if place.resting == known.id else place.resting
        if status == JobStatus.PAUSED:
            place.paused.append(known.id)

    def resumed(self, known: Known) -> None:
        place = self.places[known.project]
        place.paused.remove(known.id)
        earlier = [other for other in place.waiting if self.jobs[other].created_at < known.created_at]
        place.waiting.insert(len(earlier), known.id)
        known.status = JobStatus.QUEUED
        known.told.append(EventType.INDEX_RESUMED)

    def stands_in(self, project: str, *, wanted: bool) -> bool:
        """Whether an update of what is dirty is made now."""
        place = self.places[project]
        return wanted and bool(place.dirty) and not place.has_work

    def changed(self, project: str, paths: Iterable[str]) -> None:
        for path in paths:
            self.changes += 1
            self.places[project].dirty[path] = self.changes

    def indexed(self, project: str) -> None:
        place = self.places[project]
        place.dirty = {path: at for path, at in place.dirty.items() if place.taken.get(path) != at}


@dataclass(frozen=True)
class Stored:
    """All that Redis holds about jobs, by project and by job."""

    active: dict[str, str | None]
    waiting: dict[str, list[str]]
    paused: dict[str, list[str]]
    resting: dict[str, str | None]
    token: dict[str, str | None]
    dirty: dict[str, list[str]]
    dirty_since: dict[str, str | None]
    work: set[str]
    slots: set[str]
    stopping: set[str]
    records: dict[str, dict[str, str]]
    kept_for: dict[str, int]

    @classmethod
    def read(cls, redis: Records, projects: Iterable[str]) -> Self:
        projects = list(projects)
        with redis.pipeline(transaction=True) as pipe:
            for project in projects:
                pipe.get(active_key(project))
                pipe.lrange(waiting_key(project), 0, -1)
                pipe.lrange(paused_key(project), 0, -1)
                pipe.get(rest_key(project))
                pipe.hget(lease_key(project), "token")
                pipe.zrange(dirty_key(project), 0, -1)
                pipe.get(dirty_since_key(project))
            pipe.smembers(WORK)
            pipe.zrange(SLOTS, 0, -1)
            pipe.zrange(STOPPING, 0, -1)
            pipe.zrange(JOBS, 0, -1)
            *parts, work, slots, stopping, ids = pipe.execute()
            columns = [dict(zip(projects, parts[column::7], strict=True)) for column in range(7)]
            for job_id in ids:
                pipe.hgetall(job_key(job_id))
                pipe.ttl(job_key(job_id))
            answers = pipe.execute()
        records = dict(zip(ids, answers[::2], strict=True))
        kept_for = dict(zip(ids, answers[1::2], strict=True))
        return cls(*columns, set(work), set(slots), set(stopping), records, kept_for)

    def broken(self) -> list[str]:
        """What may not be, however it came about."""
        faults = [f"{len(self.slots)} slots are taken"] if len(self.slots) > SLOT_CAP else []
        faults += [fault for project in self.active for fault in self._broken_in(project)]
        faults += [fault for job_id, record in self.records.items() for fault in self._broken_record(job_id, record)]
        busy = {project for project in self.active if self.active[project] or self.waiting[project]}
        if self.work != busy:
            faults.append(f"work is noted for {self.work}, not for {busy}")
        running = Counter(record["project_id"] for record in self.records.values() if record["status"] == "running")
        faults += [f"{count} jobs of {project} run" for project, count in running.items() if count > 1]
        return faults

    def _broken_in(self, project: str) -> Iterable[str]:
        pointers = [*self.waiting[project], *self.paused[project], *filter(None, [self.active[project]])]
        if len(set(pointers)) != len(pointers):
            yield f"{project} points at a job twice: {pointers}"
        if lost := [job_id for job_id in pointers if job_id not in self.records]:
            yield f"{project} points at jobs without a record: {lost}"
            return
        if strange := [job_id for job_id in pointers if self.records[job_id]["project_id"] != project]:
            yield f"{project} points at another's jobs: {strange}"
        created = [self.records[job_id]["created_at"] for job_id in self.waiting[project]]
        if created != sorted(created):
            yield f"{project} does not keep the order: {self.waiting[project]}"
        resting = self.resting[project]
        if resting and (resting != self.active[project] or self.records[resting]["status"] != "queued"):
            yield f"{project} rests for {resting}, which is not to be tried again"
        if bool(self.dirty[project]) != bool(self.dirty_since[project]):
            yield f"{project} is dirty since {self.dirty_since[project]}: {self.dirty[project]}"

    def _broken_record(self, job_id: str, record: dict[str, str]) -> Iterable[str]:
        project, status = record["project_id"], record["status"]
        is_active = self.active[project] == job_id
        waits, is_paused = job_id in self.waiting[project], job_id in self.paused[project]
        allowed = {"queued": is_active != waits and not is_paused, "running": is_active and not waits and not is_paused}
        allowed["paused"] = is_paused and not is_active and not waits
        over = status in TERMINAL
        if not allowed.get(status, over and not (is_active or waits or is_paused)):
            yield f"{job_id} is {status}, active: {is_active}, waiting: {waits}, paused: {is_paused}"
        if over != (self.kept_for[job_id] > 0) or over != ("finished_at" in record):
            yield f"{job_id} is {status}, kept for {self.kept_for[job_id]}, ended {record.get('finished_at')}"
        if "retry_at" in record and status != "queued":
            yield f"{job_id} is {status} and tells of its next attempt"
        if status == "running" and job_id in self.stopping:
            yield f"{job_id} runs, and its process is about to be killed"


REQUESTS = (
    JobRequest(),
    JobRequest(kind=JobKind.REINDEX),
    JobRequest(kind=JobKind.REINDEX, paths=["a"]),
    JobRequest(kind=JobKind.UPDATE),
    JobRequest(kind=JobKind.UPDATE, paths=["a", "b"]),
    JobRequest(kind=JobKind.UPDATE, paths=["c"], recursive=False),
    JobRequest(repair=True),
)
