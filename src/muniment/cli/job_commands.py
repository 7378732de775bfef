"""`muniment jobs`: look at jobs, stop them, let them go on, follow them."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from typer.core import TyperGroup

from muniment.cli.client import Answer, Gateway, Refused, connect, job_path
from muniment.cli.following import at_rest, see_through, show_end, tell_changes
from muniment.cli.hints import again
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.render import console, job_details, jobs_table, waits_for
from muniment.errors import CancelUnconfirmed
from muniment.intake import JobAnswer
from muniment.jobs import Job, JobPage, JobStatus

JobId = Annotated[str, typer.Argument(metavar="ID", help="As `muniment jobs` shows it.")]


class ListsByDefault(TyperGroup):
    """A group that lists when no command is named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        named = args and (not args[0].startswith("-") or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["list", *args])


jobs = typer.Typer(cls=ListsByDefault, help="Look at jobs, and stop or follow them; without a command, list them.")


@jobs.command("list")
def list_jobs(
    project: Annotated[str | None, typer.Option(help="Name or id of a project.", show_default=False)] = None,
    status: Annotated[
        list[JobStatus] | None, typer.Option(help="Only jobs in this state; repeatable.", show_default=False)
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Only jobs with this text in a path of theirs.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.", show_default=False)] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Jobs, newest first."""
    with connect(data_dir, url) as gateway:
        answer = gateway.get("/jobs", project=project, status=status, path=path, limit=limit, cursor=cursor)
    if as_json:
        typer.echo(answer.content)
        return
    page = answer.read(JobPage)
    if not page.items:
        typer.echo("No jobs.")
        return
    console().print(jobs_table(page.items, datetime.now(UTC)))
    if page.next:
        typer.echo(f"There are more: --cursor {page.next}", err=True)


@jobs.command("status")
def job_status(
    job_id: JobId,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """One job with its progress, and why it failed."""
    with connect(data_dir, url) as gateway:
        answer = gateway.get(job_path(job_id))
    if as_json:
        typer.echo(answer.content)
    else:
        console().print(job_details(answer.read(Job)))


@jobs.command("pause")
def pause_job(job_id: JobId, as_json: AsJson = False, data_dir: DataDir = None, url: Url = None) -> None:
    """Keep a waiting or running job until it is resumed; what it had indexed stays."""
    with connect(data_dir, url) as gateway:
        answer = gateway.post(job_path(job_id, "/pause"), {})
    _tell(answer, f"`muniment jobs resume {job_id}` lets it go on.", as_json=as_json)


@jobs.command("resume")
def resume_job(job_id: JobId, as_json: AsJson = False, data_dir: DataDir = None, url: Url = None) -> None:
    """Queue a paused job again, before those asked for later; it goes on where it was."""
    with connect(data_dir, url) as gateway:
        answer = gateway.post(job_path(job_id, "/resume"), {})
    _tell(answer, f"`muniment jobs watch {job_id}` follows it.", as_json=as_json)


@jobs.command("cancel")
def cancel_job(
    job_id: JobId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """End a waiting, running or paused job for good; what it had indexed stays."""
    with connect(data_dir, url) as gateway:
        answer = _cancelled(gateway, job_path(job_id, "/cancel"), confirm=yes)
    _tell(answer, "What it had indexed stays.", as_json=as_json)


def _cancelled(gateway: Gateway, route: str, *, confirm: bool) -> Answer:
    """Asks back, in the gateway's words, where somebody can answer."""
    try:
        return gateway.post(route, {"confirm": confirm})
    except Refused as refused:
        if refused.body().code != CancelUnconfirmed.code or not sys.stdin.isatty():
            raise
        typer.confirm(f"{refused.body().message} Go on?", abort=True, err=True)
    return gateway.post(route, {"confirm": True})


@jobs.command("retry")
def retry_job(job_id: JobId, as_json: AsJson = False, data_dir: DataDir = None, url: Url = None) -> None:
    """Do anew what a failed or cancelled job was to do: by a new job, or the one that waits."""
    with connect(data_dir, url) as gateway:
        answer = gateway.post(job_path(job_id, "/retry"), {})
    if as_json:
        typer.echo(answer.content)
    else:
        queued = answer.read(JobAnswer)
        typer.echo(f"Job {queued.job_id} does it anew; `muniment jobs watch {queued.job_id}` follows it.")


def _tell(answer: Answer, meaning: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(answer.content)
        return
    job = answer.read(Job)
    waits = f", {waits_for(job)}" if waits_for(job) else ""
    typer.echo(f"Job {job.id} is {job.status}{waits}. {meaning}")


@jobs.command("watch")
def watch_jobs(
    job_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="As `muniment jobs` shows it; all if left out.")
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Without an ID: only jobs of this project, by name or id.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each job as JSON, on a line of its own.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Follow a job until it has ended or is paused; without ID, print every job whose state changes, until Ctrl-C."""
    if job_id is not None and project is not None:
        raise typer.BadParameter("it selects among all jobs, and an ID was given.", param_hint="--project")
    with connect(data_dir, url) as gateway:
        if job_id is None:
            tell_changes(gateway, project, console(), as_json=as_json)
            return
        job = gateway.get(job_path(job_id)).read(Job)
        if not at_rest(job):
            watch = again(["jobs", "watch", job_id], data_dir, url)
            job = see_through(gateway, job_id, job.project_id, watch)
    show_end(job, as_json=as_json)


def register(app: typer.Typer) -> None:
    app.add_typer(jobs, name="jobs")
