"""What a notification says."""

import secrets
from datetime import timedelta

from pydantic import BaseModel

from muniment.events import Event
from muniment.jobs import Job
from muniment.notices import NoticeKind, job_of

FAILURES_NAMED = 5
LONGEST_DETAIL = 300  # characters of a path or a reason


class Message(BaseModel):
    """``delivery`` is the same however often it is sent. ``kind`` None: a test. ``left_out``: how many others of each
    kind were held back before it."""

    delivery: str
    kind: NoticeKind | None
    title: str
    text: str
    with_errors: bool = False
    left_out: dict[NoticeKind, int] = {}
    event: Event | None = None

    @property
    def full_text(self) -> str:
        if not self.left_out:
            return self.text
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.left_out.items()))
        return f"{self.text}\nLeft out before this, to keep messages few: {kinds}."


def message_of(event: Event, kind: NoticeKind) -> Message:
    """Raises ValueError for a job that this version cannot read."""
    job = job_of(event)
    title, text = _WORDS[kind](job)
    return Message(
        delivery=event.id or job.id, kind=kind, title=title, text=text, with_errors=job.with_errors, event=event
    )


def trial_message(project: str) -> Message:
    text = f"Notifications of project '{project}' arrive here."
    return Message(
        delivery=f"test-{secrets.token_hex(6)}", kind=None, title=f"Muniment: a test for {project}", text=text
    )


def _started(job: Job) -> tuple[str, str]:
    return f"{job.project}: indexing started", f"The {job.kind} of {job.project} began{_scope(job)}."


def _milestone(job: Job) -> tuple[str, str]:
    parts = [f"{job.files.done:,} of {job.files.total:,} files"]
    if job.eta_seconds is not None:
        parts.append(f"about {_length(job.eta_seconds)} left")
    return f"{job.project}: {job.percent:.0f}% indexed", f"The {job.kind} of {job.project}: {', '.join(parts)}."


def _complete(job: Job) -> tuple[str, str]:
    took = ""
    if job.started_at is not None and job.finished_at is not None:
        took = f" in {_length((job.finished_at - job.started_at).total_seconds())}"
    text = f"The {job.kind} of {job.project} completed{took}{_scope(job)}: {job.files.done:,} files."
    if not job.with_errors:
        return f"{job.project}: indexed", text
    lines = [f"{job.files.failed:,} files could not be indexed:"]
    lines += [f"- {one_line(failure.path)}: {one_line(failure.reason)}" for failure in job.failures[:FAILURES_NAMED]]
    if (more := job.files.failed - min(FAILURES_NAMED, len(job.failures))) > 0:
        lines.append(f"- and {more:,} more")
    told = lines if job.files.failed else ["It had errors."]
    told += [one_line(warning) for warning in job.warnings[:FAILURES_NAMED]]
    return f"{job.project}: indexed with errors", "\n".join([text, *told])


def _failed(job: Job) -> tuple[str, str]:
    lines = [f"The {job.kind} of {job.project} failed at {job.percent:.0f}%{_scope(job)}."]
    if job.error is not None:
        lines += [one_line(job.error.message), one_line(job.error.remedy)]
    return f"{job.project}: indexing failed", "\n".join(lines)


def _cancelled(job: Job) -> tuple[str, str]:
    text = f"The {job.kind} of {job.project} was cancelled at {job.percent:.0f}%{_scope(job)}."
    return f"{job.project}: indexing cancelled", f"{text} What it had indexed stays."


_WORDS = {
    NoticeKind.STARTED: _started,
    NoticeKind.MILESTONE: _milestone,
    NoticeKind.COMPLETE: _complete,
    NoticeKind.FAILED: _failed,
    NoticeKind.CANCELLED: _cancelled,
}


def _scope(job: Job) -> str:
    if not job.paths:
        return ""
    more = f" and {len(job.paths) - 1:,} more" if len(job.paths) > 1 else ""
    return f" ({one_line(job.paths[0])}{more})"


def one_line(text: str) -> str:
    """Safe in a log and in a header, whatever a path or an error holds."""
    line = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 1] + "…"


def _length(seconds: float) -> str:
    whole = timedelta(seconds=max(0, round(seconds)))
    if whole < timedelta(minutes=2):
        return f"{whole.seconds} s"
    minutes = round(whole.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
