"""What a person sees of the gateway's answers. Tables fit 80 columns; colours appear on a terminal only."""

import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from muniment.backlog import ProjectQueue, QueueStatus
from muniment.cli.answers import ListedProject
from muniment.job_records import NO_SLOT, RESTING
from muniment.jobs import TERMINAL, Job, JobStatus
from muniment.manifest.listing import ListedFile
from muniment.status import ProjectStatus

FAILURES_SHOWN = 5
PATHS_SHOWN = 5
# what would steer the terminal, turn the direction of writing, or cannot be encoded
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
STYLES: Mapping[str, str] = {
    "running": "cyan",
    "indexing": "cyan",
    "queued": "yellow",
    "blocked": "yellow",
    "paused": "yellow",
    "completed": "green",
    "idle": "green",
    "indexed": "green",
    "pending": "yellow",
    "skipped": "dim",
    "failed": "red",
    "cancelled": "dim",
    "empty": "dim",
}


def console(*, stderr: bool = False) -> Console:
    """Prints text as it is: nothing of it is markup."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def clean(text: str) -> str:
    """One line that is safe to print, whatever a file or a path holds."""
    return UNPRINTABLE.sub("\ufffd", text.replace("\n", "\ufffd").expandtabs(4))


def shell_word(text: str) -> str:
    """The text as one word of a shell, to copy: what ``clean`` would replace stands there as an escape."""
    if clean(text) == text:
        return shlex.quote(text)
    escaped = re.sub(r"[\\']", r"\\\g<0>", text)
    return "$'" + re.sub(rf"[\t\n]|{UNPRINTABLE.pattern}", lambda found: f"\\u{ord(found[0]):04x}", escaped) + "'"


# --- projects ---------------------------------------------------------------------------------------------------


def projects_table(projects: Iterable[ListedProject], jobs: Mapping[str, Job]) -> Table:
    """``jobs``: the one to show of a project, by the project's id."""
    table = _table("PROJECT", "STATE", "LEXICAL>", "VECTORS>", "PENDING>", "AS OF", "JOB")
    for one in projects:
        index = one.index
        table.add_row(
            one.name,
            _state(index.state),
            f"{index.lexical_percent:.1f}%",
            f"{index.vector_percent:.1f}%",
            f"{index.pending_changes:,}",
            f"{index.as_of:%Y-%m-%d %H:%M}" if index.as_of else "-",
            _doing(jobs[one.id]) if one.id in jobs else "-",
        )
    return table


def status_details(status: ProjectStatus) -> RenderableType:
    coverage = status.coverage
    reconcile = status.last_reconcile
    details: dict[str, str | Text] = {
        "Project": f"{status.project}  ({status.project_id})",
        "State": _state(status.state).append(", up to date" if status.up_to_date else "", style="default"),
        **({"Warning": Text("\n".join(map(clean, status.warnings)), style="yellow")} if status.warnings else {}),
        "Coverage": f"{coverage.lexical_percent:.1f}% lexical, {coverage.vector_percent:.1f}% vectors",
        "Files": f"{coverage.files_total:,}: {status.missing:,} not indexed yet, {status.extra:,} to be removed",
        "Chunks": f"{coverage.chunks:,}",
        "Pending": count(status.pending_changes, "change"),
        "Reconciled": f"{moment(reconcile.at)}, {count(reconcile.files, 'file')}" if reconcile else "never",
        "Commit": status.commit or "-",
        "Watched": "yes" if status.watch else f"no; `muniment index {status.project}` takes changes in",
        "Memories": f"{status.memories:,}",
    }
    if status.job is None:
        return _details({**details, "Job": "-"})
    return Group(_details(details), Text("Job"), Padding(job_details(status.job), (0, 0, 0, 2)))


def file_line(file: ListedFile) -> Text:
    """The path stands in its own column and whole: it is there to copy."""
    line = _state(f"{file.state:<7}").append(f"  {file.reason or '-':<11}", style="default")
    line.append(f"  {file.chunks:>6,}  {clean(file.path) or '.'}", style="default")
    notes = [
        "pushed" if file.pushed else "",
        f"{file.masked:,} masked" if file.masked else "",
        f"by lines: {file.by_lines}" if file.by_lines else "",
    ]
    return line.append(f"  ({', '.join(filter(None, notes))})" if any(notes) else "", style="dim")


# --- jobs -------------------------------------------------------------------------------------------------------


def jobs_table(jobs: Iterable[Job], now: datetime) -> Table:
    table = _table("ID", "PROJECT", "KIND", "STATUS", "PROGRESS", "AGE>")
    for job in jobs:
        table.add_row(job.id, job.project, job.kind, _state(job.status), _progress_cell(job), age(now - job.created_at))
    return table


def job_details(job: Job) -> Table:
    status = _state(job.status)
    if job.with_errors:
        status.append(" with errors", style="yellow")
    if waits_for(job):
        status.append(f", {waits_for(job)}", style="default")
    details: dict[str, str | Text] = {
        "Id": job.id,
        "Kind": f"{job.kind} of {job.project}",
        "Paths": _some(map(clean, job.paths)),
        "Status": status,
        "Progress": _progress(job) if job.started_at else "",
        "Files": f"{job.files.done:,} of {job.files.total:,}, {job.files.failed:,} failed" if job.started_at else "",
        "Skipped": counts(job.files.skipped),
        "By lines": counts(job.files.by_lines),
        "Masked": counts(job.masked),
        "Chunks": f"{job.chunks:,}" if job.chunks else "",
        "Queued": moment(job.created_at),
        "Estimate": _estimate(job),
        "Retries": _retries(job),
        "Started": f"{moment(job.started_at)}, attempt {job.attempt}" if job.started_at else "",
        "Ended": moment(job.finished_at) if job.finished_at else "",
        "Failed": "\n".join(failures(job)),
        "Warnings": "\n".join(map(clean, job.warnings)),
        "Error": Text(f"{job.error.message} {job.error.remedy}", style="red") if job.error else "",
    }
    return _details({name: value for name, value in details.items() if value})


def _progress(job: Job) -> str:
    """Of a job that was begun."""
    if job.finished_at is not None:
        return ""
    parts = [f"{job.phase}, {job.percent:.1f}%"]
    if job.status is JobStatus.RUNNING and job.rate is not None:
        parts.append(f"{job.rate:,.0f} files/s")
    if job.status is JobStatus.RUNNING and job.eta_seconds is not None:
        parts.append(f"about {age(timedelta(seconds=job.eta_seconds))} left")
    return ", ".join(parts)


def _estimate(job: Job) -> str:
    if job.estimate_seconds is None:
        return ""
    told = age(timedelta(seconds=job.estimate_seconds))
    if job.estimate_error is None:
        return told
    return f"{told}; it took {abs(job.estimate_error):.0%} {'longer' if job.estimate_error > 0 else 'less'}"


def _retries(job: Job) -> str:
    again = f"; the next attempt at {clock(job.retry_at)} UTC" if job.retry_at else ""
    return f"{job.retries:,}{again}" if job.retries else ""


def _progress_cell(job: Job) -> str:
    """What a blocked job waits for says more than how far it came."""
    if job.status is not JobStatus.BLOCKED:
        return _doing(job)
    if job.blocked_by == RESTING:
        return f"again at {clock(job.retry_at)}" if job.retry_at else "waits to try again"
    return NO_SLOT if job.blocked_by == NO_SLOT else f"after {job.blocked_by}"


def change_line(job: Job, now: datetime) -> Text:
    """A job whose state has changed, for a log of many."""
    line = Text(f"{clock(now)}  {job.id}  ").append(_state(f"{job.status:<9}"))
    if job.status in TERMINAL:
        detail = f": {clean(job.error.message)}" if job.error else f": {_doing(job)}"
    else:
        detail = f", {waits_for(job)}" if waits_for(job) else ""
    return line.append(f"  {job.kind} of {job.project}{detail}", style="default")


def _doing(job: Job) -> str:
    """A job in the few characters of a table's cell."""
    if job.status is JobStatus.RUNNING:
        return f"{job.phase} {job.percent:.0f}%"
    if job.finished_at is not None:
        failed = f", {job.files.failed:,} failed" if job.files.failed else ""
        return f"{count(job.files.done, 'file')}{failed}"
    return f"{job.status} {job.percent:.0f}%" if job.percent else str(job.status)


def waits_for(job: Job) -> str:
    """Empty for a job that does not wait."""
    if job.status is JobStatus.QUEUED:
        return "waits for a worker"
    if job.status is JobStatus.BLOCKED:
        if job.blocked_by == RESTING:
            return f"waits for its next attempt{f' at {clock(job.retry_at)} UTC' if job.retry_at else ''}"
        return f"waits for {'a free slot' if job.blocked_by == NO_SLOT else f'job {job.blocked_by}'}"
    return ""


def counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {clean(kind)}" for kind, number in sorted(of.items()))


def failures(job: Job) -> list[str]:
    """One line for each of the first files that failed, and one for the others."""
    shown = [f"{clean(failure.path)}: {clean(failure.reason)}" for failure in job.failures[:FAILURES_SHOWN]]
    rest = job.files.failed - len(shown)
    return [*shown, f"and {rest:,} more"] if shown and rest > 0 else shown


def summary(job: Job) -> str:
    """What a completed job did."""
    took = f" in {age(job.finished_at - job.started_at)}" if job.finished_at and job.started_at else ""
    failed = f", {job.files.failed:,} failed" if job.files.failed else ""
    return f"Completed{took}: {count(job.files.done, 'file')}{failed}; skipped: {counts(job.files.skipped) or 'none'}"


# --- queues -----------------------------------------------------------------------------------------------------


def show_queues(out: Console, status: QueueStatus, now: datetime) -> None:
    """Only projects where something waits, runs or is paused."""
    busy = [item for item in status.items if item.depth or item.running_job or item.paused_jobs or item.holder]
    out.print(f"{status.slots_used:,} of {count(status.slots, 'slot')} in use.")
    if idle := len(status.items) - len(busy):
        out.print(f"Nothing waits or runs for {count(idle, 'project')}.")
    if busy:
        out.print(queues_table(busy, now))
    for project, hint in [*((item.project, item.hint) for item in busy), ("all", status.hint)]:
        if hint:
            out.print(Text(f"{project}: {clean(hint)}", style="yellow"), soft_wrap=True)


def queues_table(queues: Iterable[ProjectQueue], now: datetime) -> Table:
    table = _table("PROJECT", "JOBS>", "PATHS>", "OLDEST>", "RUNNING", "PAUSED>", "WORKER", "FOR>")
    for one in queues:
        table.add_row(
            one.project,
            f"{one.jobs_waiting:,}",
            f"{one.paths_waiting:,}",
            "-" if one.oldest_wait is None else age(timedelta(seconds=one.oldest_wait)),
            Text("stopping", style="yellow") if one.draining else one.running_job or "-",
            f"{len(one.paused_jobs):,}",
            clean(one.holder) if one.holder else "-",
            age(now - one.held_since) if one.held_since else "-",
        )
    return table


# --- parts ------------------------------------------------------------------------------------------------------


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def clock(at: datetime) -> str:
    """UTC, for moments that are near."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def age(passed: timedelta) -> str:
    """A length of time in its largest unit that fits."""
    seconds = max(0.0, passed.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _state(state: str) -> Text:
    return Text(state, style=STYLES.get(state.strip(), ""))


def count(number: int, noun: str) -> str:
    return f"{f'{number:,}' if number else 'no'} {noun}{'' if number == 1 else 's'}"


def _some(values: Iterable[str]) -> str:
    shown = list(values)
    rest = f" and {len(shown) - PATHS_SHOWN:,} more" if len(shown) > PATHS_SHOWN else ""
    return ", ".join(shown[:PATHS_SHOWN]) + rest


def _table(*headings: str) -> Table:
    """A heading that ends in '>' has its column aligned to the right. Nothing is cut off: names are there to copy."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        name = heading.rstrip(">")
        fixed = name not in {"PROJECT", "PROGRESS", "WORKER"}
        table.add_column(name, justify="right" if heading != name else "left", no_wrap=fixed, overflow="fold")
    return table


def _details(details: Mapping[str, str | Text]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in details.items():
        table.add_row(name, value)
    return table
