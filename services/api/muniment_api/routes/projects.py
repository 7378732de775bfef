"""Projects: make, list, look at, index, wait, remove."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from muniment.errors import ErrorBody
from muniment.indexing.examining import IndexReport, examine
from muniment.intake import JobAnswer, ProjectAnswer, ProjectRequest
from muniment.jobs import JobKind
from muniment.project import Project
from muniment.removal import ProjectRemoved
from muniment.status import ProjectStatus
from muniment_api import answers
from muniment_api.answers import WaitAnswer
from muniment_api.deps import InProject, Use
from muniment_api.routes.bodies import Body

LONGEST_WAIT = 300.0

router = APIRouter(prefix="/projects", tags=["projects"])


class ProjectBody(Body, ProjectRequest):
    """Fields left out stay as they are when the project exists already; ``watch_paths`` is needed for a new one: empty
    for a project whose files are only put by the API."""


class ProjectPage(answers.Projects):
    next: str | None = None


class JobBody(Body):
    """``reconcile`` compares the tree with the index, ``reindex`` reads every file again, ``update`` takes the given
    paths, or what the watcher noted. Without paths a reconcile or reindex means the whole project."""

    kind: JobKind = JobKind.RECONCILE
    paths: list[str] = Field([], max_length=10_000, description="Relative to the project's folder, or absolute.")
    recursive: bool = True
    repair: bool = Field(
        False, description="Compare the stores first and mend them; then reconcile the whole project, whatever `paths`."
    )


class WaitBody(Body):
    timeout: float = Field(25.0, ge=0, le=LONGEST_WAIT, description="Seconds.")


@router.post("", status_code=202, summary="Make or update a project, and start indexing it")
def init_project(body: ProjectBody, use: Use) -> ProjectAnswer:
    """Answers at once: the indexing is a queued job."""
    return use.intake.init_project(body)


@router.get("", summary="All projects, by name")
def list_projects(use: Use) -> ProjectPage:
    return ProjectPage(items=answers.projects(use).items)


@router.get("/{p}", summary="One project")
def get_project(project: InProject) -> Project:
    return project


@router.delete(
    "/{p}",
    summary="Remove a project with its index",
    responses={409: {"model": ErrorBody, "description": "Not confirmed: the message says what would go."}},
)
def remove_project(
    project: InProject, use: Use, confirm: Annotated[bool, Query(description="That this is meant.")] = False
) -> ProjectRemoved:
    """Ends its jobs; its name is free at once. Its memories are written to a file on the server first."""
    return use.remover.remove(project.id, confirm=confirm)


@router.get("/{p}/status", summary="How complete and how fresh a project's index is")
def project_status(project: InProject, use: Use) -> ProjectStatus:
    return use.status.project_status(project)


@router.get("/{p}/check", summary="Whether the stores of a project's index agree with each other")
def check_index(project: InProject, use: Use) -> IndexReport:
    """Compares everything, which takes seconds for a large index. Mends nothing: a job with `repair` does."""
    return examine(use.settings.folder.project(project.id), project.id, use.vectors)


@router.post("/{p}/jobs", status_code=202, summary="Queue a job, or join the one that waits")
def start_job(project: InProject, body: JobBody, use: Use) -> JobAnswer:
    return use.intake.start(project.id, body.kind, paths=body.paths, recursive=body.recursive, repair=body.repair)


@router.post("/{p}/wait", summary="Wait until everything queued or changed before the call is indexed")
async def wait_for_index(project: InProject, use: Use, body: WaitBody | None = None) -> WaitAnswer:
    """Answers ``ready: false`` with the progress so far at the timeout, or when the last job failed."""
    timeout = (body or WaitBody()).timeout
    return await answers.wait_for_index(use, project, timeout, longest=LONGEST_WAIT)
