"""What of all that happens is worth a notification, and how the URL of a receiver may be shown. Pure."""

import re
from enum import StrEnum
from urllib.parse import urlsplit

from muniment.errors import ReceiverRefused
from muniment.events import Event, EventType
from muniment.jobs import Job


class NoticeKind(StrEnum):
    STARTED = "started"
    MILESTONE = "milestone"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


MEANING: dict[NoticeKind, str] = {
    NoticeKind.STARTED: "A worker began a job.",
    NoticeKind.MILESTONE: "A long job has come another quarter of its way.",
    NoticeKind.COMPLETE: "A job completed, perhaps with errors, which are named.",
    NoticeKind.FAILED: "A job failed: why, and what to do.",
    NoticeKind.CANCELLED: "Somebody cancelled a job.",
}
BY_EVENT: dict[EventType, NoticeKind] = {
    EventType.INDEX_STARTED: NoticeKind.STARTED,
    EventType.INDEX_MILESTONE: NoticeKind.MILESTONE,
    EventType.INDEX_COMPLETE: NoticeKind.COMPLETE,
    EventType.INDEX_FAILED: NoticeKind.FAILED,
    EventType.INDEX_CANCELLED: NoticeKind.CANCELLED,
}
USUAL = frozenset(NoticeKind) - {NoticeKind.STARTED}  # told where nobody chose

CONSOLE = "console"  # console:// is the gateway's own log
WEBHOOK = "webhook"  # signed, by ourselves
WEB_SCHEMES = frozenset({"http", "https"})
# only here is the host a host; in most others it is half of a secret
SHOWS_HOST = WEB_SCHEMES | {"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"}
SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,24}", re.IGNORECASE)
LONGEST_URL = 2_000  # characters
NO_URL = "it is no URL (scheme://...)"


def job_of(event: Event) -> Job:
    """The job as it was then. Raises ValueError when this version cannot read it."""
    return Job.model_validate(event.data.get("job"))


def notice_kind(event: Event) -> NoticeKind | None:
    """As what the event is told; None when it is not worth telling. Raises ValueError for a job it cannot read.

    A standing update takes in what the watcher saw, many times an hour: only its failure is told.
    """
    kind = BY_EVENT.get(event.type)
    if kind is None:
        return None
    job = job_of(event)
    if job.request.only_dirty and kind is not NoticeKind.FAILED:
        return None
    if kind is NoticeKind.MILESTONE and job.percent >= 100:
        return None  # its end is told at once
    return kind


def kinds_of(words: str) -> frozenset[NoticeKind]:
    """The kinds that a text names, separated by spaces or commas. Raises ValueError, which names the wrong word."""
    return frozenset(map(NoticeKind, words.replace(",", " ").split()))


def receiver_kind(url: str) -> str:
    """What a receiver is counted as: its URL's scheme, but for webhooks."""
    scheme = url.partition("://")[0].lower()
    return WEBHOOK if scheme in WEB_SCHEMES else scheme


def masked(url: str) -> str:
    """The URL without anything in it that may be secret: its scheme, and the host where that is one."""
    scheme, found, rest = url.partition("://")
    if not found or not SCHEME.fullmatch(scheme):
        return "***"
    if not rest:
        return url
    netloc = _netloc(url) if scheme.lower() in SHOWS_HOST else None
    if netloc is None:
        return f"{scheme}://***"
    return f"{scheme}://{netloc}" if rest.rstrip("/") == netloc else f"{scheme}://{netloc}/***"


def _netloc(url: str) -> str | None:
    """Host and port without the user."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or any(character in host for character in "%\\"):
        return None
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def checked(field: str, url: str) -> str:
    """A URL that looks like one, without the space around it. Raises ReceiverRefused with the URL masked."""
    url = url.strip()
    scheme, found, _ = url.partition("://")
    if not found or not SCHEME.fullmatch(scheme):
        raise ReceiverRefused(field, masked(url), NO_URL)
    if len(url) > LONGEST_URL:
        raise ReceiverRefused(field, masked(url), f"it has more than {LONGEST_URL:,} characters")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ReceiverRefused(field, masked(url), "it holds a space or a control character; write those as %20")
    if scheme.lower() in WEB_SCHEMES and _netloc(url) is None:
        raise ReceiverRefused(field, masked(url), "it names no host")
    return url
