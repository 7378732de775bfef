"""`muniment search` and `related`: what the files of projects say."""

import re
from typing import Annotated

import typer

from muniment.cli.answers import Found, FoundRelated
from muniment.cli.client import connect, project_path
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.project_commands import Name
from muniment.cli.render import console
from muniment.cli.search_render import show_found, show_related

Limit = Annotated[int, typer.Option(min=1, max=100, help="Most results.")]


def search(
    name: Name,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help='Words, names, a question, "a phrase", or a place: a/b.py:42.')
    ],
    limit: Limit = 10,
    path: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Only paths like this: src/**/*.py, or '!docs/**' for all but those; repeatable.",
            show_default=False,
        ),
    ] = None,
    language: Annotated[str | None, typer.Option(help="Only this language: python", show_default=False)] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind of file: code, test, doc, config, ...", show_default=False)
    ] = None,
    context: Annotated[int, typer.Option("--context", "-C", min=0, max=20, help="Lines to add around each.")] = 0,
    project: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Search this project too; repeatable, '*' for all.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Find the files that answer a question, in what is indexed so far."""
    given = {"limit": limit, "path": path, "language": language, "kind": kind, "context": context, "projects": project}
    with connect(data_dir, url) as gateway:
        answer = gateway.get(project_path(name, "/search"), q=query, **given)
    if as_json:
        typer.echo(answer.content)
    else:
        show_found(console(), answer.read(Found), query, context)


def related(
    name: Name,
    place: Annotated[str, typer.Argument(metavar="PATH[:LINE]", help="A file as in results, or a line of it.")],
    symbol: Annotated[str | None, typer.Option(help="A definition in the file.", show_default=False)] = None,
    limit: Limit = 10,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Find code that resembles a place in a file."""
    at_line = re.fullmatch(r"(.+):(\d{1,9})", place)
    path, line = (at_line[1], int(at_line[2])) if at_line else (place, None)
    with connect(data_dir, url) as gateway:
        answer = gateway.get(project_path(name, "/related"), path=path, line=line, symbol=symbol, limit=limit)
    if as_json:
        typer.echo(answer.content)
    else:
        show_related(console(), answer.read(FoundRelated))


def register(app: typer.Typer) -> None:
    for command in (search, related):
        app.command()(command)
