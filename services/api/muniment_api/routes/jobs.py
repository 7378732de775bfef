"""Jobs: list them, look at one, stop it or let it go on, read what happened to it; and what waits."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from muniment.backlog import QueueStatus
from muniment.errors import ErrorBody
from muniment.events import Event
from muniment.intake import JobAnswer
from muniment.job_records import PAGE_LIMIT
from muniment.jobs import Job, JobPage, JobStatus
from muniment_api import answers
from muniment_api.deps import Use
from muniment_api.routes.bodies import Body

router = APIRouter(tags=["jobs"])
REFUSED: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorBody, "description": "Its state does not allow that; the remedy says what it allows."}
}
JobId = Annotated[str, Path(description="As returned by the call that queued the job.")]


class CancelBody(Body):
    confirm: bool = Field(False, description="That this is meant: a cancelled job does not go on, `pause` lets it.")


class EventPage(BaseModel):
    items: list[Event]
    next: str | None = None


@router.get("/jobs", summary="Jobs, newest first")
def list_jobs(
    use: Use,
    project: Annotated[str | None, Query(description="Name or id of a project.")] = None,
    status: Annotated[list[JobStatus] | None, Query(description="Only jobs in this state; repeatable.")] = None,
    path: Annotated[str | None, Query(description="Only jobs with this text in a path of theirs.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = 50,
    cursor: Annotated[
        str | None, Query(pattern=r"^\d{1,15}:[\w-]{1,64}$", description="The ``next`` of the page before.")
    ] = None,
) -> JobPage:
    project_id = use.projects.get(project).id if project else None
    return use.queue.list(
        project_id=project_id, statuses=frozenset(status or ()), path=path, limit=limit, cursor=cursor
    )


@router.get("/jobs/{job_id}", summary="One job with its progress")
def get_job(job_id: JobId, use: Use) -> Job:
    return use.queue.get(job_id)


@router.get("/jobs/{job_id}/events", summary="What happened to a job, oldest first")
def job_events(job_id: JobId, use: Use) -> EventPage:
    """State changes only, kept for 7 days; progress is in the job itself."""
    return EventPage(items=use.bus.job_events(use.queue.get(job_id).id))


@router.post("/jobs/{job_id}/pause", summary="Keep a job until it is resumed", responses=REFUSED)
def pause_job(job_id: JobId, use: Use) -> Job:
    """A running one stops within a second, what it had indexed stays, and it holds no slot meanwhile."""
    return use.queue.pause(job_id)


@router.post("/jobs/{job_id}/resume", summary="Queue a paused job again, in its old place", responses=REFUSED)
def resume_job(job_id: JobId, use: Use) -> Job:
    return use.queue.resume(job_id)


@router.post("/jobs/{job_id}/cancel", summary="End a job that waits, runs or is paused", responses=REFUSED)
def cancel_job(job_id: JobId, use: Use, body: CancelBody | None = None) -> Job:
    """What it had indexed stays. Without `confirm` nothing happens; the error says what would end."""
    return answers.cancel_job(use, job_id, confirm=(body or CancelBody()).confirm)


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    summary="Do anew what a job was to do",
    responses=REFUSED,
)
def retry_job(job_id: JobId, use: Use) -> JobAnswer:
    """For one that failed or was cancelled. Makes a new job, or joins the one that waits."""
    return answers.retry_job(use, job_id)


@router.get("/queues", summary="What waits and who works, for each project")
def queue_status(
    use: Use, project: Annotated[str | None, Query(description="Only this project, by name or id.")] = None
) -> QueueStatus:
    """The project that has waited longest comes first."""
    return answers.queue_status(use, use.projects.get(project) if project else None)
