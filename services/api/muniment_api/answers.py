"""What REST and MCP both answer: projects, jobs, waiting on the index."""

from anyio import to_thread
from pydantic import BaseModel

from muniment.backlog import QueueStatus
from muniment.errors import CancelUnconfirmed
from muniment.intake import JobAnswer
from muniment.jobs import TERMINAL, Job
from muniment.project import Project
from muniment.queue import utc_now
from muniment.status import IndexHeader, IndexState, ProjectStatus
from muniment_api.deps import Services
from muniment_api.waiting import OnProgress, until_covered

WATCHER_SECONDS = 0.25  # from an edit to the watcher's word of it, besides the debounce
MAX_WAIT = 25.0  # seconds; MCP clients give up at 30


class WaitAnswer(BaseModel):
    """``ready``: what was queued or changed before the call is in the index."""

    ready: bool
    status: ProjectStatus


class ProjectItem(Project):
    index: IndexHeader


class Projects(BaseModel):
    items: list[ProjectItem]


def projects(services: Services) -> Projects:
    """Every project with the state of its index, by name."""
    known = services.projects.all()
    headers = services.status.headers(known)
    return Projects(items=[ProjectItem(**dict(one), index=index) for one, index in zip(known, headers, strict=True)])


def cancel_job(services: Services, job_id: str, *, confirm: bool) -> Job:
    """Raises UnknownJob, IllegalMove, and CancelUnconfirmed for what could be cancelled."""
    job = services.queue.get(job_id)
    if not confirm and job.status not in TERMINAL:
        raise CancelUnconfirmed(job_id, job.kind, job.project, job.percent)
    return services.queue.cancel(job_id)


def retry_job(services: Services, job_id: str) -> JobAnswer:
    """A new job for what a failed or cancelled one was to do. Raises UnknownJob, IllegalMove and UnknownProject."""
    job = services.queue.get(job_id)
    project = services.projects.get(job.project_id)
    asked = services.queue.retry(job_id)
    verb = "Joined the job that already waits" if asked.joined else "Queued anew"
    return JobAnswer(
        job_id=asked.job_id,
        project=project.name,
        message=f"{verb} for project '{project.name}' — use get_job_status or wait_for_index to follow it.",
    )


def queue_status(services: Services, project: Project | None) -> QueueStatus:
    """Of one project, or of all."""
    return services.backlog.status([project] if project else services.projects.all(), utc_now())


async def wait_for_index(
    services: Services,
    project: Project,
    timeout: float,
    on_progress: OnProgress | None = None,
    longest: float = MAX_WAIT,
) -> WaitAnswer:
    """Waits for everything that is queued or dirty now, at most ``timeout`` seconds (no more than ``longest``).

    ``on_progress`` gets the project's running job whenever it moved.
    """
    seconds = max(0.0, min(timeout, longest))
    covered = await until_covered(
        services.status,
        services.feed,
        project,
        seconds,
        on_progress,
        quiet=services.settings.debounce_seconds + WATCHER_SECONDS,
    )
    await to_thread.run_sync(services.projects.get, project.id)  # removed meanwhile: nothing to be ready
    status = await to_thread.run_sync(services.status.project_status, project)
    return WaitAnswer(ready=covered and status.state != IndexState.FAILED, status=status)
