"""What waits and who works, for each project and over the fleet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from muniment.job_records import JobRecords
from muniment.jobs import Job, JobStatus
from muniment.leases import Leases
from muniment.project import Project
from muniment.redis_client import (
    Records,
    active_key,
    dirty_key,
    dirty_since_key,
    lease_key,
    paused_key,
    waiting_key,
)

LONG_BACKLOG = 100  # jobs and paths: from here on, callers are asked to slow down


class ProjectQueue(BaseModel):
    """``draining``: its running job was paused or cancelled, and its worker is letting go of it."""

    project: str
    project_id: str
    depth: int = Field(description="Jobs that wait, and changed or pushed paths that no pass has taken yet.")
    jobs_waiting: int
    paths_waiting: int
    oldest_wait: float | None = Field(description="Seconds for which the first of them has waited.")
    running_job: str | None
    paused_jobs: list[str]
    holder: str | None = Field(description="The worker that has the project now.")
    held_since: datetime | None
    draining: bool
    hint: str | None = None


class QueueStatus(BaseModel):
    items: list[ProjectQueue]
    slots_used: int = Field(description="Projects that are worked on now, over all workers.")
    slots: int
    hint: str | None = Field(None, description="Whether callers should slow down.")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What Redis holds for one project, in the order in which ``Backlog`` asks."""

    waiting: list[str]
    active: str | None
    paused: list[str]
    lease: dict[str, str]
    paths: int
    dirty_since: str | None


class Backlog:
    """Safe for threads. A fixed number of exchanges with Redis, however many projects there are."""

    def __init__(self, redis: Records, jobs: JobRecords, leases: Leases) -> None:
        self._redis = redis
        self._jobs = jobs
        self._leases = leases

    def status(self, projects: Iterable[Project], now: datetime) -> QueueStatus:
        """The project that has waited longest comes first."""
        of = list(projects)
        seen = dict(zip((project.id for project in of), self._look(of), strict=True))
        ids = [job_id for one in seen.values() for job_id in (*one.waiting, *([one.active] if one.active else []))]
        jobs = {job.id: job for job in self._jobs.read(ids)}
        draining = {job.project_id for job in self._jobs.stopping()}
        items = [_queue(project, seen[project.id], jobs, project.id in draining, now) for project in of]
        items.sort(key=lambda item: (-(item.oldest_wait or 0.0), item.running_job is None, item.project.lower()))
        total = sum(item.depth for item in items)
        return QueueStatus(
            items=items, slots_used=self._leases.slots_used(), slots=self._leases.max_running, hint=_hint(total)
        )

    def _look(self, projects: Iterable[Project]) -> list[_Seen]:
        with self._redis.pipeline(transaction=False) as pipe:
            for project in projects:
                pipe.lrange(waiting_key(project.id), 0, -1)  # first: it becomes the active one, never the reverse
                pipe.get(active_key(project.id))
                pipe.lrange(paused_key(project.id), 0, -1)
                pipe.hgetall(lease_key(project.id))
                pipe.zcard(dirty_key(project.id))
                pipe.get(dirty_since_key(project.id))
            answers = iter(pipe.execute())
        return [_Seen(*row) for row in zip(*[answers] * len(fields(_Seen)), strict=True)]


def _queue(project: Project, seen: _Seen, jobs: Mapping[str, Job], stopped: bool, now: datetime) -> ProjectQueue:
    waiting = [jobs[job_id] for job_id in seen.waiting if job_id in jobs]
    active = jobs.get(seen.active or "")
    if active is not None and active.status != JobStatus.RUNNING:
        waiting, active = [active, *waiting], None  # put back: it waits for its next attempt
    began = [job.created_at for job in waiting]
    if seen.paths and seen.dirty_since:
        began.append(datetime.fromtimestamp(int(seen.dirty_since), UTC))
    depth = len(waiting) + seen.paths
    return ProjectQueue(
        project=project.name,
        project_id=project.id,
        depth=depth,
        jobs_waiting=len(waiting),
        paths_waiting=seen.paths,
        oldest_wait=round(max(0.0, (now - min(began)).total_seconds()), 1) if began else None,
        running_job=active.id if active else None,
        paused_jobs=seen.paused,
        holder=seen.lease.get("owner"),
        held_since=datetime.fromtimestamp(int(seen.lease["since"]) / 1000, UTC) if seen.lease else None,
        draining=stopped and bool(seen.lease),
        hint=_hint(depth),
    )


def _hint(depth: int) -> str | None:
    if depth < LONG_BACKLOG:
        return None
    return f"{depth:,} jobs and changes wait: ask for no more work until it is fewer, or let more workers run."
