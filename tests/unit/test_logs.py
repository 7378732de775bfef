"""A line of the log says what it is about, in text and as JSON, whoever logs it."""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from muniment import logs
from muniment.errors import DiskFull, InvalidValue, PathOutsideRoots, RedisUnavailable
from muniment.logs import ALWAYS, WHEN_KNOWN, JsonLines, TextLines
from muniment.settings import read
from muniment_api.deps import Services
from muniment_api.gateway import build_mcp
from muniment_api.request_notes import RequestNotes

log = logging.getLogger("muniment.spoken")
Lines = Callable[[], list[Any]]


@pytest.fixture
def written() -> Iterator[Callable[[logging.Formatter], io.StringIO]]:
    """``written(formatter)`` is what all loggers write from now on."""
    handlers: list[logging.Handler] = []
    root, level = logging.getLogger(), logging.getLogger().level

    def to(formatter: logging.Formatter) -> io.StringIO:
        handler = logging.StreamHandler(stream := io.StringIO())
        handler.setFormatter(formatter)
        handlers.append(handler)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        return stream

    yield to
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def objects(written: Callable[[logging.Formatter], io.StringIO]) -> Lines:
    stream = written(JsonLines("worker"))
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines() if '"asyncio"' not in line]


@pytest.fixture
def text(written: Callable[[logging.Formatter], io.StringIO]) -> Callable[[], str]:
    return written(TextLines()).getvalue


# --- one line ---------------------------------------------------------------------------------------------------


def test_a_line_is_one_object_with_time_level_logger_message_process_and_service(objects: Lines) -> None:
    log.info("%d files", 7)
    (line,) = objects()
    assert set(line) == set(ALWAYS)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "muniment.spoken", "7 files")
    assert line["service"] == "worker"
    assert line["process"] > 0


def test_fields_that_a_library_attaches_are_left_out(objects: Lines) -> None:
    log.info("hello", extra={"color_message": "hello", "token": "0123456789abcdef"})
    assert set(objects()[0]) == set(ALWAYS)


def test_no_field_has_the_name_of_one_that_every_record_has() -> None:
    record = logging.makeLogRecord({})
    record.message = record.asctime = ""
    assert not set(WHEN_KNOWN) & set(vars(record))
    assert not set(WHEN_KNOWN) & set(ALWAYS)


def test_text_names_what_the_line_is_about_behind_the_message(text: Callable[[], str]) -> None:
    with logs.about(project="shop", project_id="shop-abc234", job="f00", attempt=2):
        log.warning("it goes on")
    assert re.fullmatch(
        r"[\d-]+ [\d:,]+ WARNING \d+ muniment\.spoken: it goes on \[project=shop job=f00 attempt=2\]\n", text()
    )


def test_text_about_nothing_has_no_brackets(text: Callable[[], str]) -> None:
    log.info("it goes on")
    assert text().endswith(": it goes on\n")


def test_the_name_of_a_file_cannot_write_a_line_of_its_own(
    objects: Lines, written: Callable[[logging.Formatter], io.StringIO]
) -> None:
    stream = written(TextLines())
    log.warning("%s: read", "a\n2025-01-01 ERROR forged\x1b[31m\u2028.py", extra={"path": "a\nb"})
    assert stream.getvalue().count("\n") == 1
    assert "\\n2025-01-01 ERROR forged\\x1b[31m\\u2028.py: read" in stream.getvalue()
    assert objects()[0]["path"] == "a\nb"


def test_a_traceback_stays_readable_as_text_and_is_one_field_as_json(
    objects: Lines, written: Callable[[logging.Formatter], io.StringIO]
) -> None:
    stream = written(TextLines())
    try:
        raise ValueError("of the two\nlines")
    except ValueError:
        log.exception("it failed")
    assert len(stream.getvalue().splitlines()) > 3
    (line,) = objects()
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert line["exception"].endswith("ValueError: of the two\nlines")
    assert line["message"] == "it failed"


# --- errors -----------------------------------------------------------------------------------------------------


def test_an_error_among_the_arguments_adds_its_code(objects: Lines) -> None:
    log.warning("not compacted: %s", DiskFull("/data"))
    log.error("refused: %s", PathOutsideRoots("/etc", ["/srv"]))
    log.error("told: %s", "nothing", extra=logs.fields_of(DiskFull("/data").body()))
    assert [(line["code"], line["retryable"]) for line in objects()] == [
        ("disk_full", True), ("path_outside_roots", False), ("disk_full", True),
    ]  # fmt: skip


def test_an_error_that_was_raised_adds_its_code_and_any_other_counts_as_ours(objects: Lines) -> None:
    log.error("job failed", exc_info=RedisUnavailable("redis://redis", "gone"))
    log.error("job failed", exc_info=KeyError("x"))
    log.error("job failed", exc_info=OSError("no space"), extra=logs.fields_of(DiskFull("/data")))
    assert [(line["code"], line["retryable"]) for line in objects()] == [
        ("redis_unavailable", True), ("internal", False), ("disk_full", True),
    ]  # fmt: skip


def test_a_line_without_an_error_has_no_code(objects: Lines) -> None:
    log.warning("%s", {"code": 7})
    log.warning("%(code)s", {"code": 7})
    assert not [line for line in objects() if "code" in line]


# --- what lines are about ---------------------------------------------------------------------------------------


def test_threads_that_a_job_starts_or_found_running_speak_of_it_too(objects: Lines) -> None:
    go = threading.Event()

    def wait_and_speak() -> None:
        assert go.wait(10)
        log.info("of before")

    before = threading.Thread(target=wait_and_speak)
    before.start()
    with logs.about(project="shop", job="f00", attempt=1):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(log.info, "of within").result()
        go.set()
        before.join()
    log.info("of after")
    about = [(line["message"], line.get("job")) for line in objects()]
    assert about == [("of within", "f00"), ("of before", "f00"), ("of after", None)]


def test_a_job_that_raises_is_not_spoken_of_any_more(objects: Lines) -> None:
    with pytest.raises(KeyError), logs.about(job="f00"):
        raise KeyError
    log.info("next")
    assert "job" not in objects()[0]


async def test_requests_beside_each_other_are_told_apart_also_in_their_threads(objects: Lines) -> None:
    async def serve(number: int) -> None:
        logs.note(request=f"r{number}")
        await asyncio.sleep(0)
        await to_thread.run_sync(log.info, "work of %d", number)

    await asyncio.gather(*(asyncio.create_task(serve(number)) for number in range(5)))
    log.info("none")
    *work, last = objects()
    assert {(line["message"], line["request"]) for line in work} == {(f"work of {n}", f"r{n}") for n in range(5)}
    assert "request" not in last


# --- the process ------------------------------------------------------------------------------------------------


def said_by(code: str, form: str = "json", level: str = "INFO") -> list[str]:
    """What a process says on stderr that configures its logging and then runs the code."""
    program = f"import logging\nfrom muniment import logs\nlogs.configure('worker', {level!r}, {form!r})\n{code}"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_what_nobody_catches_and_what_is_warned_of_are_lines_too() -> None:
    said = said_by(
        "import threading, warnings\n"
        "warnings.warn('old')\n"
        "t = threading.Thread(target=lambda: 1 / 0, name='lease'); t.start(); t.join()\n"
        "from muniment.errors import DiskFull\n"
        "raise DiskFull('/data')\n"
    )
    warned, thread, ended = map(json.loads, said)
    assert (warned["logger"], warned["level"]) == ("py.warnings", "WARNING")
    assert (thread["message"], thread["code"]) == ("thread lease ends: ZeroDivisionError", "internal")
    assert (ended["level"], ended["code"], ended["retryable"]) == ("CRITICAL", "disk_full", True)
    assert "Traceback" in ended["exception"]


def test_libraries_speak_in_the_same_format_and_only_of_what_is_wrong() -> None:
    said = said_by(
        "import uvicorn, rq.logutils\n"
        "uvicorn.Config(lambda: None, log_config=None)\n"
        "rq.logutils.setup_loghandlers('DEBUG', name='rq.worker')\n"
        "for name in ('uvicorn.error', 'rq.worker', 'httpx', 'muniment_worker.tasks'):\n"
        "    for level in (logging.DEBUG, logging.INFO, logging.WARNING):\n"
        "        logging.getLogger(name).log(level, 'said')\n",
        level="DEBUG",
    )
    told = [(line["logger"], line["level"]) for line in map(json.loads, said) if line["message"] == "said"]
    assert told == [
        ("uvicorn.error", "WARNING"), ("rq.worker", "WARNING"), ("httpx", "WARNING"),
        ("muniment_worker.tasks", "DEBUG"), ("muniment_worker.tasks", "INFO"), ("muniment_worker.tasks", "WARNING"),
    ]  # fmt: skip


def test_lines_below_the_level_are_left_out() -> None:
    assert said_by("logging.getLogger('muniment.x').info('a')", level="WARNING") == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_process_that_cannot_start_says_so_in_one_line(form: str) -> None:
    code = "from muniment.errors import DiskFull\nlogs.end(DiskFull('/data'))"
    (line,) = said_by(code, form)
    assert logs.message_of(line).removeprefix("error: ") == str(DiskFull("/data"))
    if form == "json":
        assert json.loads(line)["code"] == "disk_full"


def test_logging_that_is_configured_already_is_left_alone() -> None:
    before = logging.getLogger().handlers[:], sys.excepthook, threading.excepthook
    logs.configure("worker", "DEBUG", "json")
    assert (logging.getLogger().handlers, sys.excepthook, threading.excepthook) == before


@pytest.mark.parametrize("line", ["error: no", '{"a": 1}', "[1]", "{", ""])
def test_a_line_that_is_none_of_ours_says_what_it_says(line: str) -> None:
    assert logs.message_of(line) == line


def test_a_level_or_format_that_is_none_is_refused_with_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_LOG_LEVEL", "debug")
    assert read().log_level == "DEBUG"
    for name, value in (("MUNIMENT_LOG_FORMAT", "xml"), ("MUNIMENT_LOG_LEVEL", "LOUD")):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            with pytest.raises(InvalidValue, match=f"{name} is '{value}': .* one of"):
                read()


# --- the gateway ------------------------------------------------------------------------------------------------


def speak(request: Request) -> PlainTextResponse:
    log.info("%s", request.url.path)
    return PlainTextResponse("spoken")


async def fail(_: Request) -> PlainTextResponse:
    raise KeyError


@pytest.fixture
def gateway() -> Iterator[TestClient]:
    app = Starlette(routes=[Route("/api/v1/projects/{p}/status", speak), Route("/jobs", speak), Route("/bad", fail)])
    with TestClient(RequestNotes(app), raise_server_exceptions=False) as client:
        yield client


def test_a_request_is_named_in_its_lines_and_in_its_answer(gateway: TestClient, objects: Lines) -> None:
    answers = [gateway.get("/api/v1/projects/shop/status"), gateway.get("/jobs")]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 2
    spoken = [(line["request"], line.get("project")) for line in objects() if line["logger"] == log.name]
    assert spoken == [(ids[0], "shop"), (ids[1], None)]


@pytest.mark.parametrize(("given", "taken"), [("edge-7f.3", True), ("a b", False), ("x" * 65, False), ("é", False)])
def test_the_id_of_a_proxy_is_taken_over_when_it_is_one(gateway: TestClient, given: str, taken: bool) -> None:
    answer = gateway.get("/jobs", headers=[(b"x-request-id", given.encode())])
    assert (answer.headers["X-Request-Id"] == given) is taken


def test_an_answer_to_what_nobody_expected_has_an_id_too(gateway: TestClient) -> None:
    answer = gateway.get("/bad")
    assert answer.status_code == 500
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"])


async def test_a_tool_that_fails_is_named_with_its_project(
    services: Services, objects: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(type(services.projects), "get", explode)
    await build_mcp(services).call_tool("index_status", {"project": "shop"})
    failed = [line for line in objects() if line["level"] == "ERROR"]
    assert [(line["tool"], line["project"], line["code"]) for line in failed] == [("index_status", "shop", "internal")]


@pytest.mark.parametrize("kind", [redis.RedisError, redis.ConnectionError, redis.TimeoutError])
def test_an_error_of_the_redis_client_is_logged_with_the_code_that_callers_get(objects: Lines, kind: type) -> None:
    log.warning("Redis is away: %s", kind("gone"))
    (line,) = objects()
    assert (line["code"], line["retryable"]) == ("redis_unavailable", True)
