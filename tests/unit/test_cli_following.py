"""Watching a job from the command line, over a gateway that answers from a script."""

import io
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from rich.console import Console

from muniment.cli.client import Gateway, Refused
from muniment.cli.following import PATIENCE_SECONDS, POLL_SECONDS, counters, follow
from muniment.errors import RedisUnavailable, ServerUnavailable, UnknownJob
from muniment.jobs import FileCounts, Job, JobStatus, Phase

AWAY = httpx.Response(503, json=RedisUnavailable("redis://x", "refused").body().model_dump())


def job(status: str, **fields: Any) -> Job:
    given = {"id": "j1", "project": "alpha", "project_id": "alpha-x7k2m9", "kind": "reconcile", "status": status}
    return Job.model_validate({**given, "created_at": "2026-01-01T00:00:00Z", **fields})


def at(phase: Phase, percent: float, **fields: Any) -> Job:
    files = FileCounts(total=200, done=int(percent * 2), skipped={"binary": 3})
    return job("running", phase=phase, percent=percent, files=files, **fields)


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now


def followed(steps: Iterable[Job | httpx.Response | Exception], *, terminal: bool = False) -> tuple[Job, str]:
    """The job as it was returned, and all that was shown."""
    script = iter(steps)

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/jobs/j1"
        step = next(script)
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, httpx.Response) else httpx.Response(200, text=step.model_dump_json())

    time = Time()
    out = Console(file=io.StringIO(), width=80, force_terminal=terminal, color_system=None)
    with Gateway("http://gateway", None, httpx.MockTransport(answer)) as gateway:
        ended = follow(gateway, "j1", out, sleep=time.sleep, clock=time.clock)
    assert isinstance(out.file, io.StringIO)
    return ended, out.file.getvalue()


def test_without_a_terminal_each_step_is_one_plain_line():
    ended, shown = followed(
        [
            job("queued"),
            job("queued"),
            job("blocked", blocked_by="j0"),
            job("running"),
            at(Phase.LEXICAL, 10, rate=450.0, eta_seconds=12.0),
            at(Phase.LEXICAL, 20),
            at(Phase.VECTORS, 60),
            job("completed"),
        ]
    )

    assert ended.status is JobStatus.COMPLETED
    assert shown.splitlines() == [
        "queued: waits for a worker",
        "blocked: waits for job j0",
        "scan",
        "lexical: 10.0%  20/200 files  450/s  ETA 12 s  3 skipped",
        "vectors: 60.0%  120/200 files  3 skipped",
    ]


def test_on_a_terminal_there_is_a_bar_that_goes_away_at_the_end():
    _, shown = followed([job("queued"), at(Phase.LEXICAL, 10, rate=450.0), job("completed")], terminal=True)

    last = shown.split("lexical")[-1]
    assert "10.0%  20/200 files  450/s  3 skipped" in last
    assert "\x1b[2K" in last, "the line is erased"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "paused"])
def test_following_ends_with_the_job_and_when_it_is_paused(status: str):
    assert followed([job("running"), job(status), job("running")])[0].status == status


def test_a_gateway_that_restarts_meanwhile_is_waited_for():
    away = [httpx.ConnectError("refused")] * int(0.7 * PATIENCE_SECONDS / POLL_SECONDS)
    ended, _ = followed([job("running"), *away, AWAY, job("running"), *away, job("completed")])

    assert ended.status is JobStatus.COMPLETED


def test_a_gateway_that_stays_away_is_given_up():
    looks = int(PATIENCE_SECONDS / POLL_SECONDS) + 2
    with pytest.raises(ServerUnavailable):
        followed([job("running"), *[httpx.ConnectError("refused")] * looks])


def test_a_job_that_is_gone_is_not_waited_for():
    gone = httpx.Response(404, json=UnknownJob("j1").body().model_dump())
    with pytest.raises(Refused, match="No job with id 'j1'"):
        followed([job("running"), gone])


def test_the_counters_leave_a_bar_some_room():
    files = FileCounts(total=122_001, done=112_345, skipped={"binary": 1_234})
    busiest = job("running", phase="lexical", percent=29.9, files=files, rate=1234.0, eta_seconds=110.0)

    assert len(counters(busiest)) <= 64
