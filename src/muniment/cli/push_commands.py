"""`muniment put` and `withdraw`: files that are not on the server's disk."""

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from muniment.cli.client import Answer, connect, project_path
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.project_commands import Name
from muniment.errors import FileUnreadable
from muniment.pushed import PushAnswer, check_path

STDIN = "-"

FilePath = Annotated[str, typer.Argument(metavar="PATH", help="Its path in the project.")]


def put(
    name: Name,
    path: FilePath,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where its text is now; '-' is standard input.")] = STDIN,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Index a text that is not on the server's disk, or replace it."""
    text = sys.stdin.buffer.read() if file == STDIN else _content(Path(file))
    with connect(data_dir, url) as gateway:
        _show(gateway.put_text(_route(name, path), text), as_json)


def withdraw(
    name: Name,
    path: FilePath,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Take a file back that was put."""
    with connect(data_dir, url) as gateway:
        _show(gateway.delete(_route(name, path)), as_json)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FileUnreadable(str(file), error.strerror or str(error)) from error


def _route(name: str, path: str) -> str:
    # checked here already: clients resolve '..' before they send
    return project_path(name, "/files/" + quote(check_path(path), safe="/"))


def _show(answer: Answer, as_json: bool) -> None:
    typer.echo(answer.content if as_json else answer.read(PushAnswer).message)


def register(app: typer.Typer) -> None:
    for command in (put, withdraw):
        app.command()(command)
