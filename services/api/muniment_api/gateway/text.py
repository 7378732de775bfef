"""Answers as text that an agent reads well, bounded in length. Pure: the structured answer holds everything."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from muniment.backlog import ProjectQueue, QueueStatus
from muniment.intake import ProjectAnswer
from muniment.jobs import Job, JobPage
from muniment.status import IndexHeader, IndexState, ProjectStatus
from muniment_api.answers import ProjectItem, Projects, WaitAnswer

FAILURES_SHOWN = 5


def index_line(project: str, index: IndexHeader) -> str:
    """How much to trust what follows."""
    if index.state == IndexState.EMPTY:
        return f"Index of '{project}': empty, nothing was scanned yet — start_indexing fills it."
    coverage = f"{index.lexical_percent}% lexical, {index.vector_percent}% vectors"
    commit = f" (commit {index.commit[:12]})" if index.commit else ""
    as_of = f"as of {_time(index.as_of)}{commit}" if index.as_of else "first scan under way"
    changes = index.pending_changes
    pending = f"{changes:,} change{'s' if changes != 1 else ''} pending" if changes else "no changes pending"
    state = "" if index.state == IndexState.IDLE else f", {index.state}"
    return f"Index of '{project}': {coverage}, {as_of}, {pending}{state}{_verdict(index)}"


def _verdict(index: IndexHeader) -> str:
    """What that means for an answer, and what to do about it."""
    if index.state in _TO_DO:
        return _TO_DO[index.state]
    if index.warnings and not index.lexical_percent:
        return " — nothing is indexed"
    if index.pending_changes:
        return _TO_DO[IndexState.INDEXING]
    if index.lexical_percent == index.vector_percent == 100:
        return ""
    return " — some files could not be read; waiting does not help, index_status names them"


_TO_DO: Final = {
    IndexState.FAILED: " — the last job failed: index_status says why, start_indexing tries again",
    IndexState.PAUSED: " — results are partial until resume_job: index_status names the paused job",
    IndexState.INDEXING: " — results are partial: wait_for_index",
}


def warnings(warnings: Iterable[str]) -> list[str]:
    return [f"Warning: {warning}" for warning in warnings]


def status_text(status: ProjectStatus) -> str:
    coverage = status.coverage
    lines = [
        f"Project '{status.project}': {status.state}{', up to date' if status.up_to_date else ''}.",
        *warnings(status.warnings),
        f"Coverage: {coverage.lexical_percent}% lexical, {coverage.vector_percent}% vectors"
        f" of {coverage.files_total:,} files, {coverage.chunks:,} chunks; missing {status.missing:,},"
        f" extra {status.extra:,}, changes pending {status.pending_changes:,}.",
    ]
    if status.last_reconcile is not None:
        commit = f" at commit {status.commit[:12]}" if status.commit else ""
        lines.append(f"Last compared with the sources {_time(status.last_reconcile.at)}{commit}.")
    watching = "Changes are watched" if status.watch else "Changes are not watched: start_indexing takes them"
    lines.append(f"{watching}. {status.memories:,} memories.")
    if status.job is not None:
        lines.append(job_text(status.job))
    return "\n".join(lines)


def wait_text(answer: WaitAnswer) -> str:
    if answer.ready:
        told = "queued or changed" if answer.status.watch else "queued"
        head = f"Ready: everything {told} before the call is indexed."
    elif answer.status.state == IndexState.FAILED:
        head = "Not ready: the job failed."
    elif answer.status.state == IndexState.PAUSED and answer.status.job is not None:
        head = f"Not ready: job {answer.status.job.id} is paused; resume_job lets it go on. Search answers meanwhile."
    else:
        head = "Not ready yet: indexing goes on by itself, and search answers meanwhile. Call again to go on waiting."
    return f"{head}\n{status_text(answer.status)}"


def projects_text(projects: Projects) -> str:
    if not projects.items:
        return "No projects yet: init_project makes one."
    return "\n".join(map(_project, projects.items))


def _project(one: ProjectItem) -> str:
    sources = ", ".join(one.watch_paths) or "files of put_file alone"
    return "\n  ".join([index_line(one.name, one.index), sources, *warnings(one.index.warnings)])


def init_text(answer: ProjectAnswer) -> str:
    return "\n".join([answer.message, *answer.warnings, f"Job: {answer.job_id}"])


def job_text(job: Job) -> str:
    with_errors = " with errors" if job.with_errors else ""
    blocked = f" by {job.blocked_by}" if job.blocked_by else ""
    lines = [f"Job {job.id} ({job.kind} of '{job.project}'): {job.status}{with_errors}{blocked}{_progress(job)}."]
    if job.paths:
        lines.append(f"  Paths: {_list(job.paths)}")
    told = {"Skipped": job.files.skipped, "Cut by lines": job.files.by_lines, "Secrets masked": job.masked}
    for what, counts in told.items():
        if counts:
            lines.append(f"  {what}: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items())))
    lines += warnings(job.warnings)
    if job.files.failed:
        lines.append(f"  Failed files: {job.files.failed:,}")
        lines += [f"    {failure.path}: {failure.reason}" for failure in job.failures[:FAILURES_SHOWN]]
    if job.error is not None:
        lines.append(f"  {job.error.code}: {job.error.message} {job.error.remedy}")
    return "\n".join(lines)


def _progress(job: Job) -> str:
    if job.started_at is None:
        return f", queued {_time(job.created_at)}"
    parts = [f"{job.files.done:,} of {job.files.total:,} files", f"{job.percent:.1f}%"]
    if job.finished_at is not None:
        return f", {parts[0]}, {job.chunks:,} chunks, ended {_time(job.finished_at)}"
    if job.rate is not None:
        parts.append(f"{job.rate:,.0f} files/s")
    if job.eta_seconds is not None:
        parts.append(f"about {job.eta_seconds:,.0f} s left")
    return f", phase {job.phase}, {', '.join(parts)}"


def progress_line(job: Job) -> str:
    return f"{job.phase}: {job.files.done:,} of {job.files.total:,} files"


def jobs_text(page: JobPage) -> str:
    if not page.items:
        return "No jobs."
    more = [f"More: call again with cursor '{page.next}'."] if page.next else []
    return "\n".join([*map(job_text, page.items), *more])


def queue_text(status: QueueStatus) -> str:
    lines = [f"{status.slots_used} of {status.slots} slots in use.", *([status.hint] if status.hint else [])]
    busy = [item for item in status.items if item.depth or item.running_job or item.paused_jobs or item.holder]
    if len(busy) < len(status.items):
        idle = len(status.items) - len(busy)
        lines.append(f"Nothing waits or runs for {idle} project{'s' if idle != 1 else ''}.")
    return "\n".join([*lines, *map(_queue, busy)])


def _queue(item: ProjectQueue) -> str:
    parts = [f"{item.jobs_waiting} waiting", f"{item.paths_waiting:,} changed paths"]
    if item.oldest_wait is not None:
        parts.append(f"longest wait {item.oldest_wait:,.0f} s")
    if item.running_job:
        parts.append(f"job {item.running_job} {'lets go' if item.draining else 'runs'}")
    if item.paused_jobs:
        parts.append(f"paused: {_list(item.paused_jobs)}")
    return f"'{item.project}': " + ", ".join(parts)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _list(values: Iterable[str], most: int = 10) -> str:
    shown = list(values)
    rest = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + rest
