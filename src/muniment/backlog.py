"""What waits and who works, for each project and over the fleet."""

from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from muniment.dirty import DirtyPaths
from muniment.job_records import JobRecords
from muniment.leases import Leases
from muniment.project import Project

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


class Backlog:
    """Safe for threads."""

    def __init__(self, jobs: JobRecords, leases: Leases, dirty: DirtyPaths) -> None:
        self._jobs = jobs
        self._leases = leases
        self._dirty = dirty

    def status(self, projects: Iterable[Project], now: datetime) -> QueueStatus:
        """The project that has waited longest comes first."""
        draining = {job.project_id for job in self._jobs.stopping()}
        items = [self._of(project, draining, now) for project in projects]
        items.sort(key=lambda item: (-(item.oldest_wait or 0.0), item.running_job is None, item.project.lower()))
        total = sum(item.depth for item in items)
        return QueueStatus(
            items=items, slots_used=self._leases.slots_used(), slots=self._leases.max_running, hint=_hint(total)
        )

    def _of(self, project: Project, draining: set[str], now: datetime) -> ProjectQueue:
        waiting = self._jobs.waiting(project.id)  # first: it becomes the active one, never the other way round
        active, paused = self._jobs.active(project.id), self._jobs.paused(project.id)
        holder, paths = self._leases.holder(project.id), self._dirty.count(project.id)
        dirty_since = self._dirty.since(project.id) if paths else None
        began = [job.created_at for job in waiting] + ([dirty_since] if dirty_since else [])
        return ProjectQueue(
            project=project.name,
            project_id=project.id,
            depth=len(waiting) + paths,
            jobs_waiting=len(waiting),
            paths_waiting=paths,
            oldest_wait=round(max(0.0, (now - min(began)).total_seconds()), 1) if began else None,
            running_job=active.id if active else None,
            paused_jobs=[job.id for job in paused],
            holder=holder.owner if holder else None,
            held_since=datetime.fromtimestamp(holder.since_ms / 1000, UTC) if holder else None,
            draining=project.id in draining,
            hint=_hint(len(waiting) + paths),
        )


def _hint(depth: int) -> str | None:
    if depth < LONG_BACKLOG:
        return None
    return f"{depth:,} jobs and changes wait: ask for no more work until it is fewer, or let more workers run."
