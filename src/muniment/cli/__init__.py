"""The `muniment` command. Each module beside this one adds its commands by ``register(app)``."""

import sys

import typer

from muniment.cli import (
    bridge,
    doctor_commands,
    file_commands,
    job_commands,
    memory_commands,
    notify_commands,
    project_commands,
    push_commands,
    queue_commands,
    quickstart,
    search_commands,
    stack_commands,
    transfer_commands,
)
from muniment.errors import MunimentError

app = typer.Typer(
    name="muniment",
    help="One shared, live index and memory for a team of agents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for commands in (
    stack_commands,
    quickstart,
    project_commands,
    search_commands,
    push_commands,
    file_commands,
    memory_commands,
    transfer_commands,
    job_commands,
    queue_commands,
    notify_commands,
    doctor_commands,
    bridge,
):
    commands.register(app)


def main() -> None:
    """Exit status 1 for an error, told on stderr with its remedy; 2 for wrong usage."""
    try:
        app()
    except MunimentError as error:
        print(f"error: {error}", file=sys.stderr)  # one line: `up --detach` passes on the last one of its log
        sys.exit(1)
