"""`muniment init`, `index`, `status` and `remove`: the main job, through the gateway."""

from pathlib import Path
from typing import Annotated

import typer

from muniment.cli.answers import ProjectPage, ProjectRemoved
from muniment.cli.client import Gateway, Refused, connect, project_path
from muniment.cli.following import see_through, show_end
from muniment.cli.hints import again
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.render import console, projects_table, status_details
from muniment.errors import ConfirmationRequired, UnexpectedAnswer
from muniment.intake import JobAnswer, ProjectAnswer
from muniment.jobs import TERMINAL, Job, JobKind, JobPage, JobStatus
from muniment.status import ProjectStatus

JOBS_PAGE = 200

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of a project.")]


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the project.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="Folders with its sources; a project that exists keeps its own.", show_default=False
        ),
    ] = None,
    no_folder: Annotated[
        bool, typer.Option("--no-folder", help="A new project without folders, for `muniment put` alone.")
    ] = False,
    pattern: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only files like this; repeatable, '' for all.", show_default=False),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="No files like this; repeatable, '' for none.", show_default=False),
    ] = None,
    watch: Annotated[
        bool | None, typer.Option("--watch/--no-watch", help="Take changes in as they happen.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Make a project, or change the one of that name, and start indexing it in the background."""
    # the server does not share our working folder
    folders = [str(path.expanduser().absolute()) for path in paths or ()]
    given = {
        "name": name,
        "watch_paths": folders if folders or no_folder else None,
        "watch_patterns": pattern or None,
        "watch_exclude": exclude or None,
        "watch": watch,
    }
    with connect(data_dir, url) as gateway:
        answer = gateway.post("/projects", {field: value for field, value in given.items() if value is not None})
    if as_json:
        typer.echo(answer.content)
        return
    made = answer.read(ProjectAnswer)
    typer.echo(f"{made.message}\n`muniment status {made.project.name}` shows how far it is; its job is {made.job_id}.")
    for warning in made.warnings:
        typer.echo(f"warning: {warning}", err=True)


def index(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Read every file again, changed or not.")] = False,
    background: Annotated[bool, typer.Option("--background", help="Print the job's id and do not wait.")] = False,
    path: Annotated[
        list[str] | None,
        typer.Option(help="Only this file or folder, relative to the project's; repeatable.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Compare a project with its sources and index what differs."""
    kind = JobKind.REINDEX if force else JobKind.RECONCILE
    with connect(data_dir, url) as gateway:
        answer = gateway.post(project_path(name, "/jobs"), {"kind": kind, "paths": path or []})
        job_id = answer.read(JobAnswer).job_id
        if background:
            typer.echo(answer.content if as_json else job_id)
            return
        job = see_through(gateway, job_id, name, again(["jobs", "watch", job_id], data_dir, url))
    show_end(job, as_json=as_json)


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name or id of a project; all if left out.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """How complete and how fresh the indexes are."""
    with connect(data_dir, url) as gateway:
        answer = gateway.get(project_path(name, "/status") if name is not None else "/projects")
        if as_json:
            typer.echo(answer.content)
        elif name is not None:
            console().print(status_details(answer.read(ProjectStatus)))
        elif projects := answer.read(ProjectPage).items:
            console().print(projects_table(projects, _current_jobs(gateway)))
        else:
            typer.echo("No projects yet: `muniment init NAME PATH` makes one.")


def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Remove a project with its index and what was put into it; its memories are kept in a file on the server."""
    with connect(data_dir, url) as gateway:
        if not yes:
            typer.confirm(f"{_what_would_go(gateway, name)} Go on?", abort=True, err=True)
        answer = gateway.delete(project_path(name), confirm=True)
    typer.echo(answer.content if as_json else answer.read(ProjectRemoved).message)


def _what_would_go(gateway: Gateway, name: str) -> str:
    """In the gateway's words."""
    try:
        gateway.delete(project_path(name))
    except Refused as refused:
        if refused.body().code != ConfirmationRequired.code:
            raise
        return refused.body().message
    raise UnexpectedAnswer("the gateway", "it removes projects without asking back")


def _current_jobs(gateway: Gateway) -> dict[str, Job]:
    """By project id: the job that runs, else the one that waits."""
    unfinished = [state for state in JobStatus if state not in TERMINAL]
    page = gateway.get("/jobs", status=unfinished, limit=JOBS_PAGE).read(JobPage)
    oldest_first = sorted(page.items, key=lambda job: job.created_at)
    found: dict[str, Job] = {}
    for job in oldest_first:
        if job.project_id not in found or job.status is JobStatus.RUNNING:
            found[job.project_id] = job
    return found


def register(app: typer.Typer) -> None:
    for command in (init, index, status, remove):
        app.command()(command)
