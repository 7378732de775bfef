"""How every process logs: what a line looks like, and what it is about.

A line is text for people or one JSON object for machines. Whoever logs names only what happened; the project, the job
and the request are known here, and an error among the arguments adds its code.
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NoReturn

from pythonjsonlogger.json import JsonFormatter

from muniment.errors import ErrorBody, InternalError, MunimentError

JSON = "json"
ALWAYS: dict[str, str] = {
    "time": "When, in UTC, ISO 8601 with milliseconds.",
    "level": "`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`.",
    "logger": "The module that speaks.",
    "message": "What happened, one line.",
    "process": "Number of the process.",
    "service": "`api`, `worker`, `watcher` or `ops`.",
}
WHEN_KNOWN: dict[str, str] = {
    "project": "Its name; in a request the name or id that the caller gave.",
    "project_id": "Its id.",
    "job": "Id of the job.",
    "attempt": "Which attempt at that job.",
    "request": "Id of the request to the gateway, which the answer carries as `X-Request-Id`.",
    "tool": "The MCP tool that was called.",
    "code": "Code of the error, one of [these](errors.md).",
    "retryable": "Whether the same may succeed later.",
    "path": "A file of the project, as it is indexed.",
    "outcome": "What became of that file: `read`, `unchanged`, `removed`, `skipped` or `failed`.",
    "reason": "Why it was skipped or failed, one of [these](skips.md#reasons), or `refused` by the embedder.",
    "chunks": "How many chunks were made of it.",
    "exception": "Its traceback.",
}
SHOWN_AS_TEXT = ("project", "job", "attempt", "request", "tool", "code")  # the message says the rest
OURS = frozenset({"muniment", "muniment_api", "muniment_worker", "muniment_watcher"})
NOT_PRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

log = logging.getLogger(__name__)
_here: ContextVar[dict[str, object]] = ContextVar("here")
_everywhere: dict[str, object] = {}
_stands_for: dict[type[Exception], type[MunimentError]] = {}
_configured: list[str] = []  # what this process was configured with


# --- what the lines are about -----------------------------------------------------------------------------------


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Meanwhile every line of this process, whichever thread logs it, carries these fields: for a process that does
    one thing at a time. Not to be nested."""
    _everywhere.update(fields)
    try:
        yield
    finally:
        _everywhere.clear()


def note(**fields: object) -> None:
    """From now on every line of this task, and of the tasks and threads that it hands its context to, carries these
    fields: for a process that does many things at a time. Nothing is taken back, so that the server too still knows
    them when it logs what the task died of."""
    _here.set({**_here.get({}), **fields})


def fields_of(error: MunimentError | ErrorBody | type[MunimentError]) -> dict[str, object]:
    """``extra`` of a line that tells of an error which is not among its arguments."""
    return {"code": error.code, "retryable": error.retryable}


def stands_for(foreign: type[Exception], ours: type[MunimentError]) -> None:
    """Has a library's error logged with the code that it has where callers see it."""
    _stands_for[foreign] = ours


def _known(record: logging.LogRecord) -> dict[str, Any]:
    given = {**_everywhere, **_here.get({}), **_of_error(record), **vars(record)}
    return {name: given[name] for name in WHEN_KNOWN if given.get(name) is not None}


def _of_error(record: logging.LogRecord) -> dict[str, object]:
    raised = record.exc_info[1] if record.exc_info else None
    arguments = record.args if isinstance(record.args, tuple) else ()
    for one in (raised, *arguments):
        if isinstance(one, MunimentError):
            return fields_of(one)
        if isinstance(one, Exception):
            for foreign, ours in _stands_for.items():
                if isinstance(one, foreign):
                    return fields_of(ours)
    return fields_of(InternalError) if raised is not None else {}


# --- what they look like ----------------------------------------------------------------------------------------


class TextLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        known = _known(record)
        shown = " ".join(f"{name}={known[name]}" for name in SHOWN_AS_TEXT if name in known)
        line = super().formatMessage(record) + (f" [{shown}]" if shown else "")
        # a file's name may hold line ends, and must not write a line of its own
        return NOT_PRINTED.sub(lambda found: repr(found[0])[1:-1], line)


class JsonLines(JsonFormatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Only the fields of our tables: libraries attach what they like to their records."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        log_data.update(
            time=at.replace("+00:00", "Z"),
            level=record.levelname,
            logger=record.name,
            message=record.getMessage(),
            process=record.process,
            service=self._service,
            **_known(record),
        )
        if "exc_info" in message_dict:
            log_data["exception"] = message_dict["exc_info"]


def message_of(line: str) -> str:
    """What a line of a log says to people: the message of a JSON one, any other as it is."""
    try:
        found = json.loads(line)
    except ValueError:
        return line
    return str(found["message"]) if isinstance(found, dict) and "message" in found else line


# --- the process ------------------------------------------------------------------------------------------------


def configure(service: str, level: str, form: str) -> None:
    """To be called once, before anything else logs; does nothing where the logging is configured already. Lines go to
    stderr: ours from ``level`` on, those of libraries from WARNING on. What nobody catches becomes a line too."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(service) if form == JSON else TextLines())
    handler.addFilter(_wanted)
    root.addHandler(handler)
    root.setLevel(level)
    _configured[:] = [service, level, form]
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def handed_on() -> str:
    """What a process that this one starts needs to log as this one does, and of the same: for ``take_over``."""
    return json.dumps({"configured": _configured, "about": _everywhere})


def take_over(text: str) -> None:
    given = json.loads(text)
    if given["configured"]:
        configure(*given["configured"])
    _everywhere.update(given["about"])


def _wanted(record: logging.LogRecord) -> bool:
    # below that libraries tell of every request, some with its headers
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in OURS


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("the process ends: %s", kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not issubclass(ended.exc_type, SystemExit):
        name = ended.thread.name if ended.thread is not None else "?"
        raised = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        log.critical("thread %s ends: %s", name, ended.exc_type.__name__, exc_info=raised)


def end(error: MunimentError) -> NoReturn:
    """Ends a process that cannot start or go on, with status 1 and the error as its last line."""
    if JSON in _configured:
        log.critical("%s", error)
        sys.exit(1)
    sys.exit(f"error: {error}")
