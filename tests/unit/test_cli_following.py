"""Following jobs from the command line, over a gateway that answers from a script."""

import io
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Any

import httpx
import pytest
from rich.console import Console

from muniment.cli import following
from muniment.cli.client import SILENCE_SECONDS, Gateway, Refused
from muniment.cli.following import changes, counters, follow, tell_changes
from muniment.cli.listening import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE_SECONDS, Time
from muniment.errors import (
    ChromaUnavailable,
    DiskFull,
    RedisUnavailable,
    ServerUnavailable,
    UnexpectedAnswer,
    UnknownJob,
    UnknownProject,
)
from muniment.events import Event, EventType
from muniment.jobs import FileCounts, Job, JobPage, JobStatus, Phase

CREATED = "2026-01-01T00:00:00Z"
LISTENING = ": listening\r\nretry: 1000\r\n\r\n"
KEEPALIVE = ": keepalive\r\n\r\n"
REFUSED = httpx.ConnectError("refused")
BROKEN = httpx.RemoteProtocolError("peer closed connection")
SILENT = httpx.ReadTimeout("nothing for a while")

Frame = str | Job | Exception
Stream = list[Frame] | httpx.Response | Exception
Record = Job | JobPage | httpx.Response | Exception


def away() -> httpx.Response:
    return httpx.Response(503, json=RedisUnavailable("redis://x", "refused").body().model_dump())


def job(status: str, **fields: Any) -> Job:
    given = {"id": "j1", "project": "alpha", "project_id": "alpha-x7k2m9", "kind": "reconcile", "status": status}
    return Job.model_validate({**given, "created_at": CREATED, **fields})


def at(phase: Phase, percent: float, **fields: Any) -> Job:
    files = FileCounts(total=200, done=int(percent * 2), skipped={"binary": 3})
    return job("running", phase=phase, percent=percent, files=files, **fields)


def event(kind: EventType, data: dict[str, Any], event_id: str | None = None) -> str:
    told = Event(type=kind, at=CREATED, project="alpha", data=data)  # type: ignore[arg-type]
    lines = [f"event: {kind}", f"data: {told.model_dump_json()}", *([f"id: {event_id}"] if event_id else [])]
    return "\r\n".join([*lines, "", ""])


def told_of(job: Job) -> str:
    return event(EventType.INDEX_PROGRESS, {"job": job.model_dump(mode="json")})


RESYNC = event(EventType.RESYNC, {})


class Script(httpx.SyncByteStream):
    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def __iter__(self) -> Iterator[bytes]:
        yield LISTENING.encode()
        for frame in self._frames:
            if isinstance(frame, Exception):
                raise frame
            yield (told_of(frame) if isinstance(frame, Job) else frame).encode()


class ScriptedGateway:
    """Each opened stream and each record that is read is the next of its script; ``asked`` notes the order."""

    def __init__(self, streams: Iterable[Stream], records: Iterable[Record]) -> None:
        self._streams = iter(streams)
        self._records = iter(records)
        self.asked: list[str] = []
        self.now = 0.0
        self.time = Time(sleep=self._sleep, clock=lambda: self.now)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def connected(self) -> Gateway:
        return Gateway("http://gateway", None, httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode().removeprefix("/api/v1"))
        step: Stream | Record
        if request.url.path == "/api/v1/events":
            step = next(self._streams)
            if isinstance(step, list):
                return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Script(step))
        else:
            step = next(self._records)
        if isinstance(step, Exception):
            raise step
        assert not isinstance(step, list)
        return step if isinstance(step, httpx.Response) else httpx.Response(200, text=step.model_dump_json())


def shown_on(width: int = 80, *, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, markup=False)


def text(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def followed(
    *streams: Stream, records: Iterable[Record], terminal: bool = False
) -> tuple[Job, list[str], ScriptedGateway]:
    """The job as it was returned, the lines that were shown, and the gateway."""
    script, out = ScriptedGateway(streams, records), shown_on(terminal=terminal)
    with script.connected() as gateway:
        ended = follow(gateway, "j1", "alpha", out, script.time)
    return ended, text(out).splitlines(), script


def test_without_a_terminal_each_step_is_one_plain_line():
    ended, lines, _ = followed(
        [
            job("blocked", blocked_by="j0"),
            job("running"),
            at(Phase.LEXICAL, 10, rate=450.0, eta_seconds=12.0),
            at(Phase.LEXICAL, 20),
            at(Phase.VECTORS, 60),
            job("completed"),
        ],
        records=[job("queued")],
    )

    assert ended.status is JobStatus.COMPLETED
    assert lines == [
        "queued: waits for a worker",
        "blocked: waits for job j0",
        "scan",
        "lexical: 10.0%  20/200 files  450/s  ETA 12 s  3 skipped",
        "vectors: 60.0%  120/200 files  3 skipped",
    ]


def test_the_record_is_read_once_after_the_stream_listens_and_never_again():
    steps = [at(Phase.LEXICAL, percent) for percent in range(100)]
    _, _, script = followed([*steps, job("completed")], records=[job("queued")])

    assert script.asked == ["/events?project=alpha", "/jobs/j1"]


def test_a_job_that_ended_before_the_stream_listened_is_not_waited_for():
    ended, _, script = followed([], records=[job("failed")])

    assert ended.status is JobStatus.FAILED
    assert len(script.asked) == 2


def test_on_a_terminal_there_is_a_bar_that_goes_away_at_the_end():
    steps: list[Frame] = [at(Phase.LEXICAL, 10, rate=450.0), job("completed")]
    _, lines, _ = followed(steps, records=[job("queued")], terminal=True)

    last = "\n".join(lines).split("lexical")[-1]
    assert "10.0%  20/200 files  450/s  3 skipped" in last
    assert "\x1b[2K" in last, "the line is erased"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_following_ends_with_the_job(status: str):
    ended, _, script = followed([job(status), job("running")], records=[job("running")])

    assert ended.status == status
    assert len(script.asked) == 2


def test_following_ends_when_the_job_is_paused():
    ended, _, _ = followed([job("paused")], records=[job("running"), job("paused")])
    assert ended.status is JobStatus.PAUSED


def test_a_pause_that_was_over_before_it_was_heard_of_is_none():
    ended, _, _ = followed([job("paused"), job("completed")], records=[job("queued"), job("running")])
    assert ended.status is JobStatus.COMPLETED


def test_other_jobs_and_other_events_change_nothing():
    other = job("completed", id="j0")
    memory = event(EventType.MEMORY_STORED, {"id": "m1", "tags": ["a"]}, "5-0")
    unknown = 'event: of_a_newer_server\r\ndata: {"data": {"what": 1}}\r\n\r\n'
    ended, lines, script = followed([other, memory, unknown, job("completed")], records=[job("queued")])

    assert (ended.id, ended.status) == ("j1", JobStatus.COMPLETED)
    assert lines == ["queued: waits for a worker"]
    assert len(script.asked) == 2


def test_after_missed_events_the_record_is_read_again():
    ended, _, script = followed([job("running"), RESYNC], records=[job("queued"), job("completed")])

    assert ended.status is JobStatus.COMPLETED
    assert script.asked == ["/events?project=alpha", "/jobs/j1", "/jobs/j1"]


@pytest.mark.parametrize("end", [[BROKEN], [SILENT], []])
def test_a_stream_that_breaks_ends_or_is_silent_is_opened_again_and_the_record_read(end: list[Frame]):
    ended, _, script = followed([job("running"), *end], [], records=[job("queued"), job("completed")])

    assert ended.status is JobStatus.COMPLETED
    assert script.asked == ["/events?project=alpha", "/jobs/j1"] * 2


def test_an_end_that_was_never_told_is_found_although_others_are_told_of():
    def others() -> Iterator[bytes]:
        yield LISTENING.encode()
        while script.now < 10 * SILENCE_SECONDS:
            script.now += 1
            yield told_of(job("running", id="j0")).encode()

    stream = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=others())
    script = ScriptedGateway([stream], [job("queued"), job("completed")])
    with script.connected() as gateway:
        assert follow(gateway, "j1", "alpha", shown_on(), script.time).status is JobStatus.COMPLETED

    assert SILENCE_SECONDS < script.now <= SILENCE_SECONDS + 2


def test_a_sign_of_life_is_a_reason_to_look_again():
    kept = event(EventType.MEMORY_DELETED, {"id": "m1"}, "5-0")
    ended, _, _ = followed([kept, KEEPALIVE], records=[job("queued"), job("completed")])
    assert ended.status is JobStatus.COMPLETED


def test_a_gateway_that_restarts_meanwhile_is_waited_for():
    gone = [REFUSED] * int(0.9 * PATIENCE_SECONDS / LONGEST_PAUSE)
    streams: list[Stream] = [[job("running"), BROKEN], *gone, [], [], *gone, []]
    ended, _, script = followed(*streams, records=[job("queued"), away(), job("running"), job("completed")])

    assert ended.status is JobStatus.COMPLETED
    assert script.now > PATIENCE_SECONDS


def test_a_redis_that_restarts_meanwhile_is_waited_for():
    records: list[Record] = [job("queued"), away(), away(), job("completed")]
    ended, _, _ = followed([job("running"), BROKEN], [], [], [], records=records)
    assert ended.status is JobStatus.COMPLETED


def test_a_gateway_that_stays_away_is_given_up_after_a_minute():
    script = ScriptedGateway(chain([[job("running"), BROKEN]], repeat(REFUSED)), [job("queued")])
    with script.connected() as gateway, pytest.raises(ServerUnavailable):
        follow(gateway, "j1", "alpha", shown_on(), script.time)

    assert PATIENCE_SECONDS < script.now <= PATIENCE_SECONDS + LONGEST_PAUSE
    assert len(script.asked) < 2 + PATIENCE_SECONDS / FIRST_PAUSE / 2, "it asks less and less often"


def test_a_gateway_that_hangs_is_given_up_too():
    script = ScriptedGateway(repeat(SILENT), [])
    with script.connected() as gateway, pytest.raises(ServerUnavailable):
        follow(gateway, "j1", "alpha", shown_on(), script.time)


@pytest.mark.parametrize(
    ("stream", "record", "error"),
    [
        ([], httpx.Response(404, json=UnknownJob("j1").body().model_dump()), Refused),
        (httpx.Response(404, json=UnknownProject("alpha", []).body().model_dump()), job("queued"), Refused),
        (httpx.Response(502, text="<html>Bad gateway</html>"), job("queued"), UnexpectedAnswer),
        (httpx.Response(200, text="<html>Welcome</html>"), job("queued"), UnexpectedAnswer),
        (["data: <html>\r\n\r\n"], job("queued"), UnexpectedAnswer),
        (httpx.DecodingError("odd gzip"), job("queued"), UnexpectedAnswer),
    ],
)
def test_what_would_not_pass_with_time_is_told_at_once(stream: Stream, record: Record, error: type[Exception]):
    script = ScriptedGateway([stream], [record])
    with script.connected() as gateway, pytest.raises(error):
        follow(gateway, "j1", "alpha", shown_on(), script.time)

    assert script.now == 0


def test_why_a_job_was_put_back_is_said_once_each_time():
    def resting(retries: int) -> Job:
        error = ChromaUnavailable("http://chroma:8000", "refused").body()
        again = {"blocked_by": "the wait before the next attempt", "retry_at": f"2026-01-01T11:16:0{retries}Z"}
        return job("blocked", retries=retries, error=error, **again)

    steps: list[Frame] = [resting(1), resting(1), job("running", retries=1), resting(2), job("completed")]
    _, lines, _ = followed(steps, records=[job("running")])

    assert lines == [
        "scan",
        "put back: The vector store does not answer at http://chroma:8000: refused.",
        "blocked: waits for its next attempt at 11:16:01 UTC",
        "scan",
        "put back: The vector store does not answer at http://chroma:8000: refused.",
        "blocked: waits for its next attempt at 11:16:02 UTC",
    ]


def test_the_counters_leave_a_bar_some_room():
    files = FileCounts(total=122_001, done=112_345, skipped={"binary": 1_234})
    busiest = job("running", phase="lexical", percent=29.9, files=files, rate=1234.0, eta_seconds=110.0)

    assert len(counters(busiest)) <= 64


# --- all jobs ---------------------------------------------------------------------------------------------------


def changed(*streams: Stream, records: Iterable[Record], project: str | None = None) -> list[tuple[str, str]]:
    """What is told until the gateway is given up."""
    script = ScriptedGateway(chain(streams, repeat(REFUSED)), records)
    seen: list[tuple[str, str]] = []
    with script.connected() as gateway, pytest.raises(ServerUnavailable):
        seen.extend((one.id, one.status) for one in changes(gateway, project, script.time))
    asked = f"project={project}" if project else ""
    assert all(asked in address for address in script.asked)
    return seen


def page(*jobs: Job) -> JobPage:
    return JobPage(items=list(jobs))


def test_watching_all_begins_with_what_is_unfinished_and_tells_each_change_of_state_once():
    before = page(job("queued", id="j3"), job("running", id="j2"), job("completed", id="j1"))
    seen = changed(
        [
            at(Phase.LEXICAL, 10, id="j2"),
            at(Phase.VECTORS, 60, id="j2"),
            job("completed", id="j2"),
            job("running", id="j3"),
            job("paused", id="j3"),
            job("queued", id="j3"),
            BROKEN,
        ],
        records=[before, before],
    )

    assert seen == [
        ("j2", "running"),
        ("j3", "queued"),
        ("j2", "completed"),
        ("j3", "running"),
        ("j3", "paused"),
        ("j3", "queued"),
    ]


def test_what_happened_while_the_gateway_was_away_is_told_too():
    first = page(job("running", id="j1"))
    later = page(job("failed", id="j2"), job("completed", id="j1"))
    seen = changed([BROKEN], [BROKEN], records=[first, first, later], project="alpha")

    assert seen == [("j1", "running"), ("j1", "completed"), ("j2", "failed")]


def test_what_is_no_job_s_event_costs_no_look_although_there_are_no_jobs():
    def memories() -> Iterator[bytes]:
        yield LISTENING.encode()
        for number in range(100):
            script.now += 1
            yield event(EventType.MEMORY_STORED, {"id": f"m{number}"}).encode()

    stream = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=memories())
    script = ScriptedGateway(chain([stream], repeat(REFUSED)), repeat(page()))
    with script.connected() as gateway, pytest.raises(ServerUnavailable):
        next(changes(gateway, None, script.time))

    assert sum(asked.startswith("/jobs") for asked in script.asked) <= 2 + 100 / SILENCE_SECONDS


def test_watching_all_of_a_gateway_that_is_away_from_the_first_fails_at_once():
    script = ScriptedGateway([], [REFUSED])
    with script.connected() as gateway, pytest.raises(ServerUnavailable):
        next(changes(gateway, None, script.time))

    assert script.now == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_each_change_is_one_line_for_people_or_programs(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    resting = job("blocked", blocked_by="the wait before the next attempt", retry_at="2026-01-01T11:16:09Z")
    told = [
        job("running"),
        resting,
        job("completed", files=FileCounts(total=3, done=2, failed=1), finished_at=CREATED),
        job("failed", error=DiskFull("/data").body(), finished_at=CREATED),
    ]

    def until_interrupted(*_: object) -> Iterator[Job]:
        yield from told
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "changes", until_interrupted)
    out = shown_on()
    with ScriptedGateway([], []).connected() as gateway, pytest.raises(following.typer.Exit) as left:
        tell_changes(gateway, None, out, as_json=as_json)

    assert left.value.exit_code == 130
    if as_json:
        assert [Job.model_validate_json(line) for line in capsys.readouterr().out.splitlines()] == told
    else:
        assert [line[8:] for line in text(out).splitlines()] == [
            "  j1  running    reconcile of alpha",
            "  j1  blocked    reconcile of alpha, waits for its next attempt at 11:16:09 UTC",
            "  j1  completed  reconcile of alpha: 2 files, 1 failed",
            f"  j1  failed     reconcile of alpha: {DiskFull('/data').text}",
        ]
        assert list(islice(text(out), 8))[2::3] == [":", ":"]
