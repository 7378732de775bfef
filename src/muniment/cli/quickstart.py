"""`muniment quickstart`: the main job once, in front of a person's eyes, over the gateway's REST."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from muniment.access import resolve_token
from muniment.cli.progress import IndexProgress
from muniment.cli.stack_commands import DataDir, describe, settings_from
from muniment.errors import InternalError, MunimentError, PathNotAFolder, PathNotFound, ServerUnavailable
from muniment.jobs import TERMINAL, Job, JobStatus
from muniment.process import stop_child
from muniment.settings import Settings
from muniment.stack import embedded
from muniment.stack.state import StackState

POLL_SECONDS = 0.25
REQUEST_SECONDS = 30.0
SEARCH_EVERY = 2.0
HINT_AFTER = 15.0
QUESTIONS = (
    "where is the configuration read",
    "how are errors reported to the user",
    "entry point of the program",
    "tests that start a server",
)


class Refused(MunimentError):
    """The gateway's own error, passed on."""

    code = "refused"
    message = "{message}"
    remedy = "{remedy}"


class Rest:
    """The gateway's REST as dictionaries. Raises ServerUnavailable, or Refused with the gateway's words."""

    def __init__(self, url: str, token: str | None, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = url
        self._client = httpx.Client(
            base_url=f"{url}/api/v1", headers=headers, timeout=REQUEST_SECONDS, trust_env=False, transport=transport
        )

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params=params)

    def post(self, path: str, body: object) -> Any:
        return self._call("POST", path, json=body)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._client.request(method, path, **options)
        except httpx.TransportError as error:
            raise ServerUnavailable(self._url) from error
        if answer.is_success:
            return answer.json()
        try:
            body = answer.json()
            raise Refused(message=body["message"], remedy=body["remedy"])
        except (ValueError, KeyError, TypeError) as error:
            raise InternalError(f"the gateway answered {answer.status_code} to {method} {path}") from error


@dataclass
class Milestones:
    """Seconds since the project was made; None until reached."""

    began: float
    first_hit: float | None = None
    lexical: float | None = None
    complete: float | None = None
    asked: int = 0
    next_search: float = 0.0
    hinted: bool = False


class Quickstart:
    """One run over one tree. ``stop`` ends it early; nothing else does but the job's end."""

    def __init__(self, rest: Rest, console: Console, stop: threading.Event, clock: Callable[[], float]) -> None:
        self._rest = rest
        self._console = console
        self._stop = stop
        self._clock = clock

    def run(self, tree: Path) -> Job:
        """Indexes the tree, drawing progress and searching meanwhile; returns the job as it ended."""
        name = free_name(tree, {item["name"]: item for item in self._rest.get("/projects")["items"]})
        began = self._clock()
        made = self._rest.post("/projects", {"name": name, "watch_paths": [str(tree)]})
        self._print(f"{made['message']}  (answered in {(self._clock() - began) * 1000:.0f} ms)")
        for warning in made.get("warnings") or []:
            self._print(f"warning: {warning}")
        reached = Milestones(began)
        with IndexProgress(self._console) as bars:
            while True:
                job = Job.model_validate(self._rest.get(f"/jobs/{made['job_id']}"))
                self._look(name, job, reached, bars)
                if job.status in TERMINAL or job.status is JobStatus.PAUSED or self._stop.wait(POLL_SECONDS):
                    break
        self._sum_up(name, job, reached)
        return job

    def _look(self, name: str, job: Job, reached: Milestones, bars: IndexProgress) -> None:
        coverage = self._rest.get(f"/projects/{name}/status")["coverage"]
        total, lexical = coverage["files_total"], coverage["files_lexical"]
        bars.update(total, lexical, coverage["files_vector"])
        now = self._clock() - reached.began
        if reached.lexical is None and total and lexical >= total:
            reached.lexical = now
            self._print(f"Every file is found by its words after {now:.1f} s; its meaning follows.")
        if lexical and now >= reached.next_search and (reached.first_hit is None or reached.asked < len(QUESTIONS)):
            self._ask(name, reached)
        if job.status is JobStatus.COMPLETED:
            reached.complete = now
        if job.status is JobStatus.QUEUED and now > HINT_AFTER and not reached.hinted:
            reached.hinted = True
            self._print(f"No worker took the job for {now:.0f} s; logs/worker.log and logs/stack.log may say why.")

    def _ask(self, name: str, reached: Milestones) -> None:
        """One search while the index grows; the first that finds something is the first hit."""
        question = QUESTIONS[reached.asked % len(QUESTIONS)]
        answer = self._rest.get(f"/projects/{name}/search", q=question, limit=1)
        if not answer["results"]:
            return
        now = self._clock() - reached.began
        if reached.first_hit is None:
            reached.first_hit = now
            self._print(f"First hit after {now:.1f} s.")
        reached.asked += 1
        reached.next_search = now + SEARCH_EVERY
        self._show(question, answer)

    def _show(self, question: str, answer: dict[str, Any]) -> None:
        index = answer["index"]
        self._print(
            f'  "{question}"  ({answer["took_ms"]:.0f} ms; index: {index["lexical_percent"]:.0f}% by words, '
            f"{index['vector_percent']:.0f}% by meaning)"
        )
        for hit in answer["results"]:
            symbol = f"  {hit['symbol']}" if hit.get("symbol") else ""
            self._print(f"     {hit['path']}:{hit['start_line']}-{hit['end_line']}{symbol}")

    def _sum_up(self, name: str, job: Job, reached: Milestones) -> None:
        if job.status is not JobStatus.COMPLETED:
            reason = f": {job.error.message} {job.error.remedy}" if job.error else ""
            self._print(f"The job is {job.status}{reason}")
            return
        skipped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(job.files.skipped.items())) or "none"
        ending = f" with {job.files.failed:,} files failed" if job.with_errors else ""
        self._print(
            f"Complete after {reached.complete or 0.0:.1f} s{ending}: {job.files.done:,} files, {job.chunks:,} chunks; "
            f"skipped: {skipped}."
        )
        for question in QUESTIONS[:2]:
            self._show(question, self._rest.get(f"/projects/{name}/search", q=question, limit=3))
        self._print(f"Ask yourself: muniment search {name} 'your question'")

    def _print(self, line: str) -> None:
        self._console.print(escape(line), highlight=False, soft_wrap=True)


def free_name(tree: Path, taken: dict[str, dict[str, Any]]) -> str:
    """The folder's name as a project name: that of its project if it has one, else one that no other tree has."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", tree.name).lstrip("._-")[:55] or "project"
    owners = {name.lower(): project["watch_paths"] for name, project in taken.items()}
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
    console, stop = Console(), threading.Event()
    with embedded.stopped_by_signals(stop):
        console.print(f"Starting Muniment on {settings.data_dir} ...", highlight=False, soft_wrap=True)
        began = time.monotonic()
        state, process = embedded.launch(settings, bound=True, stop=stop)
        try:
            heading = f"Ready after {time.monotonic() - began:.1f} s" if process else "It runs already"
            console.print(f"{heading} (pid {state.pid}):\n{describe(state, settings)}", highlight=False, soft_wrap=True)
            status = _run(state, settings, folder, console, stop)
            if process is not None and not leave and not stop.is_set():
                console.print("Ctrl-C stops it.")
                while process.poll() is None and not stop.wait(POLL_SECONDS):
                    pass
        finally:
            if process is not None:
                console.print("Stopping ...")
                stop_child(process, embedded.STOP_SECONDS)
    if status is not JobStatus.COMPLETED and not stop.is_set():
        raise typer.Exit(1)


def _run(state: StackState, settings: Settings, tree: Path, console: Console, stop: threading.Event) -> JobStatus:
    rest = Rest(state.url, resolve_token(settings))
    return Quickstart(rest, console, stop, time.monotonic).run(tree).status


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
