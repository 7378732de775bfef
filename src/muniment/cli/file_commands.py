"""`muniment files`: what of a project is indexed, and what is left out and why."""

from typing import Annotated

import typer

from muniment.cli.client import connect, project_path
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.render import console, file_line, shell_word
from muniment.manifest.listing import FilePage, FileState


def files(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or id of a project.")],
    state: Annotated[FileState | None, typer.Option(help="Only files in this state.", show_default=False)] = None,
    reason: Annotated[
        str | None, typer.Option(help="Only files skipped or failed for this reason: generated", show_default=False)
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Only this file, or the files below this folder.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.", show_default=False)] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """List a project's files by path: indexed, pending, skipped or failed, and why."""
    with connect(data_dir, url) as gateway:
        route = project_path(name, "/files")
        answer = gateway.get(route, state=state, reason=reason, path=path, limit=limit, cursor=cursor)
    if as_json:
        typer.echo(answer.content)
        return
    page = answer.read(FilePage)
    if not page.items:
        typer.echo("No files.")
        return
    for file in page.items:
        console().print(file_line(file), soft_wrap=True)
    if page.next:
        typer.echo(f"There are more: --cursor {shell_word(page.next)}", err=True)


def register(app: typer.Typer) -> None:
    app.command()(files)
