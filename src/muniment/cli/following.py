"""Watching jobs until they end: a live bar on a terminal, elsewhere a line for each step."""

from collections.abc import Generator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from muniment.cli.client import Gateway, Refused, job_path
from muniment.cli.listening import REAL_TIME, Time, listen
from muniment.cli.render import age, change_line, clean, console, failures, summary, waits_for
from muniment.jobs import TERMINAL, Job, JobPage, JobStatus, Phase

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended
NEWEST = 50  # jobs that are looked at again after an interruption


def at_rest(job: Job) -> bool:
    """Whether it has ended or was paused: nothing more happens to it by itself."""
    return job.status in TERMINAL or job.status is JobStatus.PAUSED


def see_through(gateway: Gateway, job_id: str, project: str, again: str) -> Job:
    """Shows a job until it has ended or was paused. ``again``: the command that does so, for who leaves with Ctrl-C,
    which the job does not notice. Raises Exit then, and the error of a gateway that stays away."""
    try:
        return follow(gateway, job_id, project, console(stderr=True))
    except KeyboardInterrupt as interrupt:
        typer.echo(f"Job {job_id} goes on in the background; `{again}` follows it.", err=True)
        raise typer.Exit(INTERRUPTED) from interrupt


def completed(job: Job) -> Job:
    """The same job, its failed files told. Raises Refused with its error, Exit when it was stopped."""
    for failure in failures(job):
        typer.echo(f"failed: {failure}", err=True)
    if job.status is JobStatus.COMPLETED:
        return job
    if job.status is JobStatus.FAILED and job.error is not None:
        raise Refused(job.error)
    next_step = "resume" if job.status is JobStatus.PAUSED else "status"
    meaning = "lets it go on" if job.status is JobStatus.PAUSED else "shows it"
    typer.echo(f"error: Job {job.id} is {job.status}; `muniment jobs {next_step} {job.id}` {meaning}.", err=True)
    raise typer.Exit(1)


def show_end(job: Job, *, as_json: bool) -> None:
    """Raises like ``completed``."""
    if as_json:
        typer.echo(job.model_dump_json())
    completed(job)
    if not as_json:
        console().print(summary(job), soft_wrap=True)


def follow(gateway: Gateway, job_id: str, project: str, out: Console, time: Time = REAL_TIME) -> Job:
    """Returns the job when it has ended or was paused. Raises the error of a gateway that stays away for a minute."""

    def look(told: Job | None) -> list[Job]:
        if told is not None and told.id != job_id:
            return []
        if told is None or told.status is JobStatus.PAUSED:  # it may have been resumed since
            return [gateway.get(job_path(job_id)).read(Job)]
        return [told]

    with JobDisplay(out) as display, closing(listen(gateway, project, look, time)) as seen:
        for job in seen:
            display.show(job)
            if at_rest(job):
                return job
    raise AssertionError("listening has no end")


def changes(gateway: Gateway, project: str | None, time: Time = REAL_TIME) -> Generator[Job]:
    """For ever: each unfinished job, then every job whose state has changed. Raises like ``follow``, and the error of
    a gateway that is away from the first."""
    known: dict[str, JobStatus] = {}

    def look(told: Job | None) -> list[Job]:
        return [told] if told is not None else newest()

    def newest() -> list[Job]:
        return gateway.get("/jobs", project=project, limit=NEWEST).read(JobPage).items[::-1]

    for job in newest():
        known[job.id] = job.status
        if not at_rest(job):
            yield job
    with closing(listen(gateway, project, look, time)) as seen:
        for job in seen:
            if known.get(job.id) is not job.status:
                known[job.id] = job.status
                yield job


def tell_changes(gateway: Gateway, project: str | None, out: Console, *, as_json: bool) -> None:
    """Prints a line for each, until Ctrl-C. Raises Exit then."""
    try:
        for job in changes(gateway, project):
            if as_json:
                typer.echo(job.model_dump_json())
            else:
                out.print(change_line(job, datetime.now(UTC)), soft_wrap=True)
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(INTERRUPTED) from interrupt


class JobDisplay:
    """A context manager that draws while it lasts."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._step = ""
        self._retries = 0
        self._bar = Progress(
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[counters]}", markup=False),
            console=out,
            expand=True,
            transient=True,  # the summary takes its place
        )
        self._task = self._bar.add_task("", total=None, counters="")
        self._drawing = self._bar if out.is_terminal else nullcontext()

    def __enter__(self) -> "JobDisplay":
        self._drawing.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._drawing.__exit__(None, None, None)

    def show(self, job: Job) -> None:
        if job.status in TERMINAL:
            return
        if job.error is not None and job.retries > self._retries:
            self._retries = job.retries
            self._out.print(f"put back: {clean(job.error.message)}", soft_wrap=True)
        running = job.status is JobStatus.RUNNING
        step = job.phase if running else job.status
        measured = running and job.phase is not Phase.SCAN
        if self._out.is_terminal:
            self._bar.update(
                self._task,
                description=step,
                total=100.0 if measured else None,
                completed=job.percent,
                counters=counters(job),
            )
        elif step != self._step:
            self._out.print(f"{step}: {counters(job)}".removesuffix(": "), soft_wrap=True)
        self._step = step


def counters(job: Job) -> str:
    """Short enough to leave a bar some room in 80 columns."""
    if job.status is not JobStatus.RUNNING:
        return waits_for(job)
    if job.phase is Phase.SCAN:
        return ""
    files = job.files
    parts = [f"{job.percent:.1f}%", f"{files.done + files.failed:,}/{files.total:,} files"]
    if job.rate is not None:
        parts.append(f"{job.rate:,.0f}/s")
    if job.eta_seconds is not None and job.eta_seconds >= 1:
        parts.append(f"ETA {age(timedelta(seconds=job.eta_seconds))}")
    if skipped := sum(files.skipped.values()):
        parts.append(f"{skipped:,} skipped")
    return "  ".join(parts)
