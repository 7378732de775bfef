"""`muniment jobs`: look at jobs."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from typer.core import TyperGroup

from muniment.cli.client import connect
from muniment.cli.following import job_path
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.render import console, job_details, jobs_table
from muniment.jobs import Job, JobPage, JobStatus


class ListsByDefault(TyperGroup):
    """A group that lists when no command is named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        named = args and (not args[0].startswith("-") or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["list", *args])


jobs = typer.Typer(cls=ListsByDefault, help="Look at jobs; without a command, list them.")


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
    job_id: Annotated[str, typer.Argument(metavar="ID", help="As `muniment jobs` shows it.")],
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


def register(app: typer.Typer) -> None:
    app.add_typer(jobs, name="jobs")
