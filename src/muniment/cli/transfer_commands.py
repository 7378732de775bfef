"""`muniment export` and `import`: memories as lines of JSON; `instructions`: what agents are told of them."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from muniment.cli.answers import Imported
from muniment.cli.client import connect, project_path
from muniment.cli.memory_render import memories_count
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.project_commands import Name
from muniment.errors import FileUnreadable, FileUnwritable
from muniment.instructions import snippet
from muniment.project import check_name

STDIO = "-"
PIECE = 64 * 1024  # bytes


def export_memories(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; '-' is standard output.")] = STDIO,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Write all memories of a project to a file, one JSON object a line."""
    with connect(data_dir, url) as gateway:
        pieces = gateway.pieces(project_path(name, "/memories/export"))
        if file == STDIO:
            _write(pieces, sys.stdout.buffer)
            return
        with _named_when_whole(Path(file)) as target:
            lines = _write(pieces, target)
    typer.echo(f"Exported {memories_count(lines)} to {file}.")


def import_memories(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What an export wrote; '-' is standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count, and store nothing.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Take in exported memories with their ids and dates; harmless to repeat."""
    with connect(data_dir, url) as gateway, _opened(file) as source:
        route = project_path(name, "/memories/import")
        answer = gateway.post_lines(route, _pieces(source, file), dry_run=dry_run)
    if as_json:
        typer.echo(answer.content)
        return
    done = answer.read(Imported)
    counts = f"{done.added:,} added, {done.updated:,} updated, {done.unchanged:,} unchanged"
    typer.echo(f"Nothing stored (dry run); there would be {counts}." if done.dry_run else f"Imported: {counts}.")


def instructions(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The repository's project.", show_default=False)
    ] = None,
) -> None:
    """Print what agents should know, for a repository's AGENTS.md or CLAUDE.md."""
    typer.echo(snippet(check_name(name) if name is not None else None), nl=False)


def _write(pieces: Iterable[bytes], target: BinaryIO) -> int:
    """Returns the number of lines."""
    lines = 0
    for piece in pieces:
        target.write(piece)
        lines += piece.count(b"\n")
    target.flush()
    return lines


@contextmanager
def _named_when_whole(target: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when all of it is on the disk; before, what was there stays. Raises FileUnwritable."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            yield file
            os.fsync(file.fileno())
        draft.rename(target)
    except OSError as error:
        raise FileUnwritable(str(target), error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            draft.unlink()


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == STDIO:
        yield sys.stdin.buffer
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - what is done with it must not pass for an error of opening it
    except OSError as error:
        raise FileUnreadable(file, error.strerror or str(error)) from error
    with source:
        yield source


def _pieces(source: BinaryIO, file: str) -> Iterator[bytes]:
    try:
        while piece := source.read(PIECE):
            yield piece
    except OSError as error:
        raise FileUnreadable(file, error.strerror or str(error)) from error


def register(app: typer.Typer) -> None:
    app.command("export")(export_memories)
    app.command("import")(import_memories)
    app.command("instructions")(instructions)
