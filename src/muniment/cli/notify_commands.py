"""`muniment notify`: whom a project tells of its jobs."""

from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console

from muniment.cli.client import Gateway, connect, project_path
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.render import clean, console
from muniment.errors import UnknownReceiver
from muniment.notices import NoticeKind, masked

DEFAULT = "default"


class ShownReceiver(BaseModel):
    id: str | None
    url: str
    kind: str


class ProjectNotifications(BaseModel):
    receivers: list[ShownReceiver]
    on: list[str]
    on_is_default: bool


class ServerNotifications(BaseModel):
    receivers: list[ShownReceiver]


class Outcome(BaseModel):
    url: str
    ok: bool
    detail: str | None
    took_ms: float


class Outcomes(BaseModel):
    items: list[Outcome]


def notify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or id of a project.")],
    add: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Tell this one too; repeatable.", show_default=False)
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="WHICH", help="Not this one: its number, id or URL; repeatable.", show_default=False),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="None of those that it has.")] = False,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="KINDS",
            help="What is told, separated by commas: started, milestone, complete, failed, cancelled; or default.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Send a test to each, and say what became of it.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Whom a project tells of its jobs: show it, change it, test it."""
    kinds = _kinds(on)
    with connect(data_dir, url) as gateway:
        route = project_path(name, "/notifications")
        if add or remove or clear or on is not None:
            _change(gateway, route, add or [], remove or [], clear=clear, on=kinds, sets_on=on is not None)
        answer = gateway.post(f"{route}/test", {}) if test else gateway.get(route)
        if as_json:
            typer.echo(answer.content)
        elif test:
            _show_outcomes(console(), answer.read(Outcomes))
        else:
            server = gateway.get("/notifications").read(ServerNotifications)
            _show(console(), answer.read(ProjectNotifications), server)


def _kinds(on: str | None) -> list[str] | None:
    if on is None or on == DEFAULT:
        return None
    known = [kind.value for kind in NoticeKind]
    kinds = on.replace(",", " ").split()
    if wrong := [kind for kind in kinds if kind not in known]:
        raise typer.BadParameter(f"'{wrong[0]}' is none of {', '.join(known)}", param_hint="--on")
    return kinds


def _change(
    gateway: Gateway,
    route: str,
    add: list[str],
    remove: list[str],
    *,
    clear: bool,
    on: list[str] | None,
    sets_on: bool,
) -> None:
    known = gateway.get(route).read(ProjectNotifications).receivers
    names = [one.id or "" for one in known] if clear else [_receiver(one, known) for one in remove]
    body = {"add": add, "remove": names} | ({"on": on} if sets_on else {})
    gateway.patch(route, body)


def _receiver(which: str, known: list[ShownReceiver]) -> str:
    """A number as the id that it stands for now: another's change must not make it mean another receiver."""
    ids = [one.id or "" for one in known]
    if not which.isdecimal() or which in ids:
        return which
    if not 1 <= int(which) <= len(ids):
        raise UnknownReceiver(masked(which) if "://" in which else which, ids)
    return ids[int(which) - 1]


def _show(out: Console, own: ProjectNotifications, server: ServerNotifications) -> None:
    default = " (as the server)" if own.on_is_default else ""
    out.print(f"Told: {', '.join(own.on) or 'nothing'}{default}", soft_wrap=True)
    for number, one in enumerate(own.receivers, 1):
        out.print(f"{number:>3}  {one.id}  {clean(one.url)}", soft_wrap=True)
    if not own.receivers:
        out.print("The project itself notifies nobody: --add URL.", soft_wrap=True)
    for one in server.receivers:
        out.print(f"  -  server  {clean(one.url)}", soft_wrap=True)


def _show_outcomes(out: Console, outcomes: Outcomes) -> None:
    """Exits with 1 when one of them was not reached."""
    for one in outcomes.items:
        said = f"sent in {one.took_ms:.0f} ms" if one.ok else f"failed: {clean(one.detail or '')}"
        out.print(f"{clean(one.url)}  {said}", soft_wrap=True)
    if not outcomes.items:
        out.print("There is nobody to notify: --add URL.")
    if not all(one.ok for one in outcomes.items):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    app.command()(notify)
