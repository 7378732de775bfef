"""`muniment memory`: what agents and people decided and learned, by hand."""

import sys
from typing import Annotated
from urllib.parse import quote

import typer

from muniment.cli.answers import MemoryPage, Pruned, ShownMemory, StoredMemory, Topics
from muniment.cli.client import Answer, connect, project_path
from muniment.cli.memory_render import show_memories, show_pruned, stored_lines, topics_table
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.project_commands import Name
from muniment.cli.render import console, shell_word

STDIN = "-"

Id = Annotated[str, typer.Argument(metavar="ID", help="As a search shows it.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="As a search shows them.")]
CodeLines = Annotated[str | None, typer.Option(metavar="12-40", help="The lines of --path.", show_default=False)]
CodeSymbol = Annotated[str | None, typer.Option(help="Or the definition in --path.", show_default=False)]

memory = typer.Typer(help="Store, find and change what agents and people decided and learned.", no_args_is_help=True)


@memory.command()
def store(
    name: Name,
    content: Annotated[str, typer.Argument(metavar="TEXT", help="One fact; '-' reads standard input.")],
    tag: Annotated[list[str] | None, typer.Option(help="Repeatable.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="Where it comes from.", show_default=False)] = None,
    supersedes: Annotated[
        str | None, typer.Option(metavar="ID", help="The memory that it replaces.", show_default=False)
    ] = None,
    path: Annotated[str | None, typer.Option(help="The file that it is about.", show_default=False)] = None,
    lines: CodeLines = None,
    symbol: CodeSymbol = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Store a memory, unless there is one that says nearly the same."""
    body = {
        "content": _text(content),
        "tags": tag or [],
        "source": source,
        "supersedes": supersedes,
        "path": path,
        "lines": lines,
        "symbol": symbol,
    }
    with connect(data_dir, url) as gateway:
        answer = gateway.post(project_path(name, "/memories"), body)
    typer.echo(answer.content if as_json else "\n".join(stored_lines(answer.read(StoredMemory))))


@memory.command()
def search(
    name: Name,
    query: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="What they should be about; without it the latest.", show_default=False),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most memories.", show_default=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="With any of these; repeatable.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="Whose source begins so.", show_default=False)] = None,
    after: Annotated[str | None, typer.Option(metavar="DATE", help="Stored since.", show_default=False)] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Stored until the end of that day.", show_default=False)
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least similarity to QUERY.", show_default=False)
    ] = None,
    project: Annotated[
        list[str] | None, typer.Option(help="Another project too; repeatable; '*' is all.", show_default=False)
    ] = None,
    superseded: Annotated[bool, typer.Option("--superseded", help="Also those that others replaced.")] = False,
    mode: Annotated[str, typer.Option(help="How much of each: probe, summary or full.")] = "summary",
    cursor: Annotated[str | None, typer.Option(help="Go on where a page ended.", show_default=False)] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Find memories by meaning, best first; without QUERY, the latest stored first."""
    with connect(data_dir, url) as gateway:
        answer = gateway.get(
            project_path(name, "/memories"),
            q=query,
            limit=limit,
            tags=tag or None,
            source=source,
            after=after,
            before=before,
            min_score=min_score,
            projects=project or None,
            include_superseded=superseded or None,
            mode=mode,
            cursor=cursor,
        )
    if as_json:
        typer.echo(answer.content)
        return
    page = answer.read(MemoryPage)
    if not page.items:
        typer.echo("No memories found." if query else "No memories.")
    show_memories(console(), page.items, name)
    if page.next:
        typer.echo(f"There are more: --cursor {shell_word(page.next)}", err=True)


@memory.command()
def show(name: Name, ids: Ids, as_json: AsJson = False, data_dir: DataDir = None, url: Url = None) -> None:
    """Print memories as a whole."""
    with connect(data_dir, url) as gateway:
        answers = [gateway.get(_route(name, one)) for one in ids]
    _print(answers, as_json)


@memory.command()
def update(
    name: Name,
    memory_id: Id,
    content: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The new text; '-' reads standard input.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="All its tags from now on; repeatable, '' for none.", show_default=False)
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where it comes from; '' for none.", show_default=False)] = None,
    path: Annotated[
        str | None, typer.Option(help="The file that it is about; '' for none.", show_default=False)
    ] = None,
    lines: CodeLines = None,
    symbol: CodeSymbol = None,
    confirm_code: Annotated[bool, typer.Option("--confirm-code", help="It holds for its code as that is now.")] = False,
    superseded_by: Annotated[
        str | None, typer.Option(metavar="ID", help="The memory that replaces it; '' for none.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Change a memory; what is not named stays."""
    given = {
        "content": _text(content) if content is not None else None,
        "tags": tag,
        "source": source,
        "path": path,
        "lines": lines,
        "symbol": symbol,
        "confirm_code": confirm_code or None,
        "superseded_by": superseded_by,
    }
    with connect(data_dir, url) as gateway:
        body = {field: value for field, value in given.items() if value is not None}
        answer = gateway.patch(_route(name, memory_id), body)
    _print([answer], as_json)


@memory.command()
def tag(
    name: Name,
    memory_id: Id,
    add: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Repeatable.", show_default=False)] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Repeatable.", show_default=False)] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="TAG", help="Instead of all it has; repeatable, '' for none.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Change a memory's tags."""
    body = {"add": add or [], "remove": remove or []} | ({"set": only} if only else {})
    with connect(data_dir, url) as gateway:
        answer = gateway.post(_route(name, memory_id, "/tags"), body)
    _print([answer], as_json)


@memory.command()
def delete(
    name: Name,
    ids: Ids,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Delete memories for good: all, or on an error none."""
    with connect(data_dir, url) as gateway:
        if not yes:
            found = [gateway.get(_route(name, one)).read(ShownMemory) for one in ids]
            show_memories(console(stderr=True), found, name)
            typer.confirm("Delete for good?", abort=True, err=True)
        answer = gateway.post(project_path(name, "/memories/delete"), {"memory_ids": ids})
    typer.echo(answer.content if as_json else "\n".join(f"Deleted {one}." for one in dict.fromkeys(ids)))


@memory.command()
def topics(
    name: Name,
    project: Annotated[
        list[str] | None, typer.Option(help="Another project too; repeatable; '*' is all.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """List the tags of memories, most used first."""
    with connect(data_dir, url) as gateway:
        answer = gateway.get(project_path(name, "/topics"), projects=project or None)
    if as_json:
        typer.echo(answer.content)
    elif found := answer.read(Topics).items:
        console().print(topics_table(found))
    else:
        typer.echo("No tags yet.")


@memory.command()
def prune(
    name: Name,
    max_age_days: Annotated[float, typer.Option(min=0, help="Days without a read or a change.")] = 60.0,
    delete_them: Annotated[
        bool, typer.Option("--delete", help="Delete them for good; without it they are listed.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """List the memories that nobody has used for long, or delete them."""
    body = {"max_age_days": max_age_days, "dry_run": not delete_them}
    with connect(data_dir, url) as gateway:
        answer = gateway.post(project_path(name, "/memories/prune"), body)
    if as_json:
        typer.echo(answer.content)
    else:
        show_pruned(console(), answer.read(Pruned))


def _text(given: str) -> str:
    return sys.stdin.read() if given == STDIN else given


def _route(name: str, memory_id: str, rest: str = "") -> str:
    return project_path(name, f"/memories/{quote(memory_id, safe='')}{rest}")


def _print(answers: list[Answer], as_json: bool) -> None:
    if as_json:
        for answer in answers:
            typer.echo(answer.content)
    else:
        show_memories(console(), [answer.read(ShownMemory) for answer in answers])


def register(app: typer.Typer) -> None:
    app.add_typer(memory, name="memory")
