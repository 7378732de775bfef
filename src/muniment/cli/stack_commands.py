"""`muniment up` and `muniment down`."""

import threading
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from muniment.access import resolve_token
from muniment.cli.hints import command
from muniment.cli.options import DataDir, settings_from
from muniment.settings import Settings
from muniment.stack import embedded
from muniment.stack.state import StackState

READY, ALREADY = "Muniment is ready", "Muniment already runs here"


def describe(state: StackState, settings: Settings) -> str:
    """Where everything is, for a person."""
    lines = [
        f"  MCP         {state.url}/mcp",
        f"  REST        {state.url}/api/v1   (OpenAPI: {state.url}/openapi.json)",
        f"  Dashboard   {state.url}/",
        f"  RQ (ops)    {state.ops_url}/",
        f"  Data, logs  {state.data_dir}",
    ]
    if resolve_token(settings) is not None:
        place = settings.token_file or "MUNIMENT_TOKEN"
        lines.append(f"  Token       required; it is in {place}")
    return "\n".join(lines)


def up(
    data_dir: DataDir = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; any but loopback needs a token.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of MCP, REST and dashboard; 0 takes a free one.", show_default=False)
    ] = None,
    root: Annotated[
        list[Path] | None, typer.Option(help="Folder to allow besides MUNIMENT_ROOTS; repeatable.", show_default=False)
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Go to the background once ready.")] = False,
) -> None:
    """Run the embedded stack: Valkey, Chroma, gateway, worker, watcher and rq-dashboard."""
    settings = settings_from(data_dir, root, host=host, port=port)
    stop = threading.Event()
    with embedded.stopped_by_signals(stop):
        if detach:
            running, process = embedded.launch(settings, bound=False, stop=stop)
            _tell(running, settings, ALREADY if process is None else READY)
            return
        typer.echo(f"Starting Muniment on {settings.data_dir} ...")
        tell = partial(_tell, settings=settings, heading=READY, foreground=True)
        found = embedded.run(settings, stop=stop, say=_say, on_ready=tell)
    if found is not None:
        _tell(found, settings, ALREADY)
    else:
        typer.echo("Stopped.")


def _tell(state: StackState, settings: Settings, heading: str, *, foreground: bool = False) -> None:
    way = f"{'Ctrl-C or ' if foreground else ''}`{command(settings, 'down')}`"
    typer.echo(f"{heading} (pid {state.pid}); {way} stops it.\n{describe(state, settings)}")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def down(data_dir: DataDir = None) -> None:
    """Stop the embedded stack of a data folder."""
    settings = settings_from(data_dir)
    pid = embedded.halt(settings.folder)
    typer.echo(f"Stopped Muniment on {settings.data_dir} (pid {pid}).")


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
