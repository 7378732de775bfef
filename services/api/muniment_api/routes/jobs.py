"""Jobs: list them, look at one, read what happened to it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from muniment.events import Event
from muniment.jobs import Job, JobPage, JobStatus
from muniment.queue import PAGE_LIMIT
from muniment_api.deps import Use

router = APIRouter(prefix="/jobs", tags=["jobs"])
JobId = Annotated[str, Path(description="As returned by the call that queued the job.")]


class EventPage(BaseModel):
    items: list[Event]
    next: str | None = None


@router.get("", summary="Jobs, newest first")
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


@router.get("/{job_id}", summary="One job with its progress")
def get_job(job_id: JobId, use: Use) -> Job:
    return use.queue.get(job_id)


@router.get("/{job_id}/events", summary="What happened to a job, oldest first")
def job_events(job_id: JobId, use: Use) -> EventPage:
    """State changes only, kept for 7 days; progress is in the job itself."""
    return EventPage(items=use.bus.job_events(use.queue.get(job_id).id))
