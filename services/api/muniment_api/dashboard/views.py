"""What the page shows, as text: view models made of the records. Pure.

``static/view.js`` makes the same values of the same records when events arrive; a browser test holds them together.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel

from muniment.job_records import NO_SLOT, RESTING
from muniment.jobs import ASKED, TERMINAL, Job, JobStatus, Phase
from muniment.project import Project
from muniment.status import IndexState, ProjectStatus

JOBS_SHOWN = 20
FAILURES_NAMED = 3
DASH = "–"  # noqa: RUF001

PHASE_TEXT = {
    Phase.SCAN: "scanning",
    Phase.LEXICAL: "reading files",
    Phase.VECTORS: "making vectors",
    Phase.FINISH: "finishing",
}
WAITS_FOR = {NO_SLOT: "Waits for a free slot", RESTING: "Waits for the next attempt"}


class Tone(StrEnum):
    """The colour of a badge."""

    BUSY = "busy"
    WAIT = "wait"
    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    IDLE = "idle"


JOB_BADGES: dict[JobStatus, tuple[Tone, str]] = {
    JobStatus.QUEUED: (Tone.WAIT, "Queued"),
    JobStatus.BLOCKED: (Tone.WAIT, "Waiting"),
    JobStatus.RUNNING: (Tone.BUSY, "Running"),
    JobStatus.PAUSED: (Tone.WARN, "Paused"),
    JobStatus.COMPLETED: (Tone.OK, "Completed"),
    JobStatus.FAILED: (Tone.BAD, "Failed"),
    JobStatus.CANCELLED: (Tone.IDLE, "Cancelled"),
}


class JobView(BaseModel):
    """``counter``: how many files so far; ``pace``: percent, rate, time left and phase while it runs; ``retry_at``:
    when it is tried again after the ``problem``."""

    id: str = ""
    project: str = ""
    kind: str = ""
    title: str = ""
    tone: Tone = Tone.IDLE
    badge: str = ""
    active: bool = False
    percent: float = 0.0
    counter: str = ""
    pace: str = ""
    last_file: str = ""
    created: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    took: str = ""
    retries: str = ""
    retry_at: datetime | None = None
    problem: str = ""
    remedy: str = ""
    problem_tone: Tone = Tone.BAD
    can_pause: bool = False
    can_resume: bool = False
    can_cancel: bool = False
    can_retry: bool = False


class ProjectView(BaseModel):
    """``job``, ``title``: of the job that its Resume button is for."""

    id: str = ""
    job: str = ""
    title: str = ""
    name: str = ""
    folders: str = ""
    tone: Tone = Tone.IDLE
    badge: str = "Unknown"
    active: bool = False
    percent: float = 0.0
    counter: str = ""
    pace: str = ""
    lexical: float = 0.0
    lexical_text: str = DASH
    vectors: float = 0.0
    vectors_text: str = DASH
    files: str = DASH
    chunks: str = DASH
    pending: str = DASH
    memories: str = DASH
    commit: str = DASH
    reconciled: datetime | None = None
    never_reconciled: bool = True
    retry_at: datetime | None = None
    problem: str = ""
    remedy: str = ""
    problem_tone: Tone = Tone.BAD
    can_resume: bool = False


class PageView(BaseModel):
    projects: list[ProjectView]
    jobs: list[JobView] = []
    problem: str = ""


def project_view(project: Project, status: ProjectStatus | None, now: datetime) -> ProjectView:
    """``status`` None: not known."""
    view = ProjectView(id=project.id, name=project.name, folders=", ".join(project.watch_paths))
    if status is None:
        return view
    coverage, job = status.coverage, status.job
    tone, badge = _project_badge(status)
    update: dict[str, object] = {
        "tone": tone,
        "badge": badge,
        "lexical": coverage.lexical_percent,
        "lexical_text": percent(coverage.lexical_percent),
        "vectors": coverage.vector_percent,
        "vectors_text": percent(coverage.vector_percent),
        "files": f"{coverage.files_total:,}",
        "chunks": f"{coverage.chunks:,}",
        "pending": f"{status.pending_changes:,}",
        "memories": f"{status.memories:,}",
        "commit": (status.commit or DASH)[:10],
        "reconciled": status.last_reconcile.at if status.last_reconcile else None,
        "never_reconciled": status.last_reconcile is None,
    }
    shown = job_view(job, now) if job is not None else JobView()
    update |= {"job": shown.id, "title": shown.title, "can_resume": shown.can_resume}
    if shown.active:
        update |= {"active": True, "percent": shown.percent, "counter": shown.counter, "pace": shown.pace}
    if job is not None and job.error is not None and (shown.active or job.status == JobStatus.FAILED):
        update |= {"problem": shown.problem, "remedy": shown.remedy}
        update |= {"problem_tone": shown.problem_tone, "retry_at": shown.retry_at}
    elif status.warnings:
        problem, _, remedy = status.warnings[0].partition(" Remedy: ")
        update |= {"problem": problem, "remedy": remedy}
    return view.model_copy(update=update)


def _project_badge(status: ProjectStatus) -> tuple[Tone, str]:
    job = status.job
    if job is not None and job.status not in TERMINAL:
        return (Tone.BUSY, "Indexing…") if job.status == JobStatus.RUNNING else JOB_BADGES[job.status]
    if status.state == IndexState.FAILED:
        return Tone.BAD, "Failed"
    if status.state == IndexState.EMPTY:
        return Tone.IDLE, "Empty"
    if status.warnings:
        return Tone.WARN, "Nothing indexed"
    return (Tone.OK, "Up to date") if status.up_to_date else (Tone.WARN, "Behind")


def shown_jobs(recent: Iterable[Job], current: Iterable[Job | None]) -> list[Job]:
    """The newest jobs, and before them all that are not over: a long one must not be pushed out by many short ones."""
    jobs = {job.id: job for job in [*recent, *filter(None, current)]}
    newest = sorted(jobs.values(), key=lambda job: job.created_at, reverse=True)
    return sorted(newest, key=lambda job: job.status in TERMINAL)[:JOBS_SHOWN]


def job_view(job: Job, now: datetime) -> JobView:
    over = job.status in TERMINAL
    moves = ASKED[job.status]
    tone, badge = JOB_BADGES[job.status]
    if job.status == JobStatus.COMPLETED and job.with_errors:
        tone, badge = Tone.WARN, "Completed with errors"
    return JobView(
        id=job.id,
        project=job.project,
        kind=f"{job.kind} of {count(len(job.paths), 'path')}" if job.paths else job.kind,
        title=f"{job.kind} of {job.project}",
        tone=tone,
        badge=badge,
        active=not over,
        percent=job.percent,
        counter=_counter(job),
        pace=_pace(job, now),
        last_file=(job.last_file or "") if job.status == JobStatus.RUNNING else "",
        created=job.created_at,
        started=job.started_at,
        finished=job.finished_at,
        took=_took(job),
        retries=f"Tried again {count(job.retries, 'time')}" if job.retries else "",
        retry_at=job.retry_at if job.blocked_by == RESTING else None,
        problem=job.error.message if job.error else _failures(job),
        remedy=job.error.remedy if job.error else "",
        problem_tone=Tone.WARN if job.error and job.status != JobStatus.FAILED else Tone.BAD,
        can_pause="paused" in moves,
        can_resume="resumed" in moves,
        can_cancel="cancelled" in moves,
        can_retry="retried" in moves,
    )


def _counter(job: Job) -> str:
    processed = job.files.done + job.files.failed
    if job.status in TERMINAL:
        return f"{count(processed, 'file')} processed"
    if job.status == JobStatus.BLOCKED:
        return WAITS_FOR.get(job.blocked_by or "", "Waits for the job before it")
    if job.status == JobStatus.QUEUED:
        return "Waits for a worker"
    if job.phase == Phase.SCAN and job.files.total == 0:
        return "Looking for files"
    return f"{processed:,} of {count(job.files.total, 'file')} processed"


def _pace(job: Job, now: datetime) -> str:
    if job.status == JobStatus.PAUSED:
        return percent(job.percent)
    if job.status != JobStatus.RUNNING:
        return ""
    parts = [percent(job.percent)]
    if job.rate is not None:
        parts.append(f"{int(job.rate + 0.5):,} files/s")
    left = _seconds_left(job, now)
    if left is not None:
        parts.append(f"about {duration(left)} left")
    return " · ".join([*parts, PHASE_TEXT[job.phase]])


def _seconds_left(job: Job, now: datetime) -> float | None:
    if job.eta_seconds is not None or job.estimate_seconds is None or job.started_at is None:
        return job.eta_seconds
    if job.attempt > 1:  # it began long before: it was paused or put back in between
        return None
    left = job.estimate_seconds - (now - job.started_at).total_seconds()
    return left if left > 0 else None


def _took(job: Job) -> str:
    if job.started_at is None or job.finished_at is None:
        return ""
    return duration((job.finished_at - job.started_at).total_seconds())


def _failures(job: Job) -> str:
    if not job.files.failed:
        return ""
    named = [f"{failure.path} ({failure.reason})" for failure in job.failures[:FAILURES_NAMED]]
    more = ["…"] if named and job.files.failed > len(named) else []
    which = ", ".join([*named, *more])
    return f"{count(job.files.failed, 'file')} failed" + (f": {which}" if which else "")


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def percent(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") + "%"


def duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def utc_text(moment: datetime) -> str:
    """For readers without scripts; the page's script shows the reader's own time."""
    local = moment.astimezone(UTC)
    return f"{local.day} {local:%b %Y, %H:%M} UTC"


def utc_hour(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M} UTC"
