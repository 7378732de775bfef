"""Watching a job until it ends: a live bar on a terminal, elsewhere a line for each step."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from urllib.parse import quote

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from muniment.cli.client import Gateway
from muniment.cli.render import age, waits_for
from muniment.errors import MunimentError
from muniment.jobs import TERMINAL, Job, JobStatus, Phase

POLL_SECONDS = 0.3
PATIENCE_SECONDS = 60.0  # a gateway, or its Redis, may be restarted while its job goes on


def job_path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def at_rest(job: Job) -> bool:
    """Whether it has ended or was paused: nothing more happens to it by itself."""
    return job.status in TERMINAL or job.status is JobStatus.PAUSED


def follow(
    gateway: Gateway,
    job_id: str,
    out: Console,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Job:
    """Returns the job when it has ended or was paused. Raises the error of a gateway that stays away for a minute."""
    answered = clock()
    with JobDisplay(out) as display:
        while True:
            try:
                job = gateway.get(job_path(job_id)).read(Job)
            except MunimentError as error:
                if not error.body().retryable or clock() - answered > PATIENCE_SECONDS:
                    raise
            else:
                answered = clock()
                display.show(job)
                if at_rest(job):
                    return job
            sleep(POLL_SECONDS)


class JobDisplay:
    """A context manager that draws while it lasts."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._step = ""
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
