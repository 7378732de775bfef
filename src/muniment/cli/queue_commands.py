"""`muniment queues`: what waits and who works."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from muniment.backlog import QueueStatus
from muniment.cli.client import connect
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.render import console, show_queues


def queues(
    project: Annotated[str | None, typer.Option(help="Name or id of a project.", show_default=False)] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """What waits and who works, for each project; the one that has waited longest comes first."""
    with connect(data_dir, url) as gateway:
        answer = gateway.get("/queues", project=project)
    if as_json:
        typer.echo(answer.content)
    else:
        show_queues(console(), answer.read(QueueStatus), datetime.now(UTC))


def register(app: typer.Typer) -> None:
    app.command()(queues)
