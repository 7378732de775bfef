"""`muniment quickstart`: the main job once, in front of a person's eyes, over the gateway's REST."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from muniment.access import resolve_token
from muniment.cli.answers import Found, ProjectPage
from muniment.cli.client import Gateway, job_path, project_path
from muniment.cli.following import at_rest
from muniment.cli.hints import command
from muniment.cli.options import DataDir, settings_from
from muniment.cli.progress import IndexProgress
from muniment.cli.render import clean, console, count, counts, failures
from muniment.cli.search_render import hit_heading
from muniment.cli.stack_commands import describe
from muniment.errors import PathNotAFolder, PathNotFound
from muniment.intake import ProjectAnswer
from muniment.jobs import Job, JobStatus
from muniment.process import stop_child
from muniment.project import Project
from muniment.settings import Settings
from muniment.stack import embedded
from muniment.stack.state import StackState
from muniment.status import ProjectStatus

POLL_SECONDS = 0.25
SEARCH_EVERY = 2.0
HINT_AFTER = 15.0
QUESTIONS = (
    "where is the configuration read",
    "how are errors reported to the user",
    "entry point of the program",
    "tests that start a server",
)


@dataclass
class Milestones:
    """How far a run is. Times are in seconds since the project was made, None until reached."""

    began: float
    first_hit: float | None = None
    lexical: float | None = None
    complete: float | None = None
    asked: int = 0
    next_search: float = 0.0
    hinted: bool = False
    chunks: int = 0


class Quickstart:
    """One run over one tree. ``stop`` ends it early; nothing else does but the job's end."""

    def __init__(self, gateway: Gateway, out: Console, stop: threading.Event, clock: Callable[[], float]) -> None:
        self._gateway = gateway
        self._out = out
        self._stop = stop
        self._clock = clock

    def run(self, tree: Path) -> Job:
        """Indexes the tree, drawing progress and searching meanwhile; returns the job as it was last seen."""
        name = free_name(tree, self._gateway.get("/projects").read(ProjectPage).items)
        began = self._clock()
        made = self._gateway.post("/projects", {"name": name, "watch_paths": [str(tree)]}).read(ProjectAnswer)
        answered = (self._clock() - began) * 1000
        self._say(f"Project '{name}' is indexed in the background (the request was answered in {answered:.0f} ms).")
        for warning in made.warnings:
            self._say(f"warning: {warning}")
        reached = Milestones(began)
        with IndexProgress(self._out) as bars:
            while True:
                job = self._gateway.get(job_path(made.job_id)).read(Job)
                self._look(name, job, reached, bars)
                if at_rest(job) or self._stop.wait(POLL_SECONDS):
                    break
        self._sum_up(name, job, reached)
        return job

    def _look(self, name: str, job: Job, reached: Milestones, bars: IndexProgress) -> None:
        coverage = self._gateway.get(project_path(name, "/status")).read(ProjectStatus).coverage
        # the first files are indexed before the tree was walked to its end: until then nobody knows of how many
        planned = coverage.lexical_percent > 0
        total, lexical = coverage.files_total if planned else 0, coverage.files_lexical
        bars.update(total, lexical, coverage.files_vector)
        reached.chunks = coverage.chunks
        now = self._clock() - reached.began
        if lexical and now >= reached.next_search and (reached.first_hit is None or reached.asked < len(QUESTIONS)):
            self._ask(name, reached)
        if reached.lexical is None and total and lexical >= total:
            reached.lexical = now
            rest = "; its meaning follows" if coverage.files_vector < total else ""
            self._say(f"Every file is found by its words after {now:.1f} s{rest}.")
        if job.status is JobStatus.COMPLETED:
            reached.complete = now
        if job.status is JobStatus.QUEUED and now > HINT_AFTER and not reached.hinted:
            reached.hinted = True
            self._say(f"No worker took the job for {now:.0f} s; logs/worker.log and logs/stack.log may say why.")

    def _ask(self, name: str, reached: Milestones) -> None:
        """One search while the index grows; the first that finds something is the first hit."""
        question = QUESTIONS[reached.asked % len(QUESTIONS)]
        found = self._search(name, question, limit=1)
        if not found.results:
            return
        now = self._clock() - reached.began
        if reached.first_hit is None:
            reached.first_hit = now
            self._say(f"First hit after {now:.1f} s.")
        reached.asked += 1
        reached.next_search = now + SEARCH_EVERY
        self._show(question, found)

    def _search(self, name: str, question: str, limit: int) -> Found:
        return self._gateway.get(project_path(name, "/search"), q=question, limit=limit).read(Found)

    def _show(self, question: str, found: Found) -> None:
        index = found.index
        self._say(
            f'  "{question}"  ({found.took_ms:.0f} ms; index: {index.lexical_percent:g}% by words, '
            f"{index.vector_percent:g}% by meaning)"
        )
        for hit in found.results:
            self._out.print("    ", hit_heading(hit), soft_wrap=True)

    def _sum_up(self, name: str, job: Job, reached: Milestones) -> None:
        for failure in failures(job):
            self._say(f"failed: {failure}")
        if job.status is JobStatus.COMPLETED:
            ending = f" with {count(job.files.failed, 'failed file')}" if job.with_errors else ""
            self._say(
                f"Complete after {reached.complete or 0.0:.1f} s{ending}: {count(job.files.done, 'file')}, "
                f"{count(reached.chunks, 'chunk')}; skipped: {counts(job.files.skipped) or 'none'}."
            )
            for question in QUESTIONS[:2]:
                self._show(question, self._search(name, question, limit=3))
        elif at_rest(job):
            self._say(f"The job is {job.status}{f': {job.error.message} {job.error.remedy}' if job.error else ''}")
        else:
            self._say("The index is not complete yet; the next start goes on where it is.")

    def _say(self, line: str) -> None:
        self._out.print(clean(line), soft_wrap=True)


def free_name(tree: Path, projects: Iterable[Project]) -> str:
    """The folder's name as a project name: that of its project if it has one, else one that no other tree has."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", tree.name).lstrip("._-")[:55] or "project"
    owners = {project.name.lower(): project.watch_paths for project in projects}
    name, number = base, 1
    while owners.get(name.lower(), [str(tree)]) != [str(tree)]:
        number += 1
        name = f"{base}-{number}"
    return name


def quickstart(
    tree: Annotated[Path | None, typer.Argument(help="Folder to index.", show_default=False)] = None,
    leave: Annotated[bool, typer.Option("--exit", help="End once the index is complete.")] = False,
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway.", show_default=False)] = None,
    default_tree: Annotated[Path, typer.Option(hidden=True)] = Path(),
) -> None:
    """Start Muniment, index a folder with a live progress bar, and search while it runs."""
    folder = checked(tree or default_tree)
    settings = settings_from(data_dir, [folder], port=port)
    out, stop = console(), threading.Event()
    with embedded.stopped_by_signals(stop), _stack(settings, out, stop) as (state, process):
        with Gateway(state.url, resolve_token(settings)) as gateway:
            job = Quickstart(gateway, out, stop, time.monotonic).run(folder)
        if not stop.is_set() and not (leave and process):
            ask = command(settings, "search", job.project, "your question")
            out.print(f"Ask it yourself{', from another terminal' if process else ''}: {ask}", soft_wrap=True)
            if process is not None:
                out.print("Ctrl-C stops it.")
                while process.poll() is None and not stop.wait(POLL_SECONDS):
                    pass
    if process is not None:
        out.print(f"Stopped. The index is kept: `{command(settings, 'up')}` serves it again.", soft_wrap=True)
    if job.status is not JobStatus.COMPLETED and not stop.is_set():
        raise typer.Exit(1)


@contextmanager
def _stack(
    settings: Settings, out: Console, stop: threading.Event
) -> Iterator[tuple[StackState, subprocess.Popen[bytes] | None]]:
    """The stack of the data folder. One that ran already stays; the process of one that was started here is given."""
    out.print(f"Starting Muniment on {settings.data_dir} ...", soft_wrap=True)
    began = time.monotonic()
    state, process = embedded.launch(settings, bound=True, stop=stop)
    try:
        ready = f"Ready after {time.monotonic() - began:.1f} s" if process else "It runs already"
        out.print(f"{ready} (pid {state.pid}):\n{describe(state, settings)}", soft_wrap=True)
        yield state, process
    finally:
        if process is not None:
            out.print("Stopping ...")
            stop_child(process, embedded.STOP_SECONDS)


def checked(tree: Path) -> Path:
    """The tree as an absolute, resolved folder. Raises PathNotFound, PathNotAFolder."""
    resolved = tree.expanduser().resolve()
    if not resolved.exists():
        raise PathNotFound(str(tree))
    if not resolved.is_dir():
        raise PathNotAFolder(str(tree))
    return resolved


def register(app: typer.Typer) -> None:
    app.command()(quickstart)
