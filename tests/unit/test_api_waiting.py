"""Waiting for an index: over at the event, at the timeout, or when Redis forgot."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from anyio import to_thread

from muniment.errors import UnknownJob
from muniment.events import Event, EventType
from muniment.jobs import Job, JobKind, JobStatus
from muniment.project import Project
from muniment.redis_client import REDIS_ERRORS
from muniment.status import WaitMark
from muniment_api import waiting
from muniment_api.feed import Feed
from muniment_api.waiting import until_covered

NOW = datetime(2025, 1, 1, tzinfo=UTC)
ALPHA = Project(id="alpha-1", name="alpha", watch_paths=["/a"], created_at=NOW, updated_at=NOW)
JOB = Job(
    id="j1",
    project="alpha",
    project_id="alpha-1",
    kind=JobKind.RECONCILE,
    status=JobStatus.RUNNING,
    created_at=NOW,
    percent=40,
)


def event(kind: EventType, project_id: str = "alpha-1") -> Event:
    return Event(type=kind, at=NOW, project_id=project_id, data={"job": JOB.model_dump(mode="json")})


class FakeStatus:
    """Answers "covered" by asking each of the given functions once, the last one for ever. ``asked`` counts."""

    def __init__(self, *answers: Callable[[], bool]) -> None:
        self.answers = list(answers)
        self.only_paused = False
        self.asked = 0
        self.marks = 0
        self.looked = threading.Event()

    def mark(self, _: Project) -> WaitMark:
        self.marks += 1
        return WaitMark(frozenset({"j1"}), 0)

    def covered(self, _: Project, __: WaitMark) -> bool:
        self.asked += 1
        self.looked.set()
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return answer()

    def held_up(self, _: Project) -> bool:
        return self.only_paused


def yes() -> bool:
    return True


def no() -> bool:
    return False


def wiped() -> bool:
    raise UnknownJob("j1")


def away() -> bool:
    raise REDIS_ERRORS[0]("away")


@pytest.fixture
def feed() -> Feed:
    return Feed(listener=None)


async def test_what_is_covered_already_is_not_waited_for(feed: Feed) -> None:
    assert await until_covered(FakeStatus(yes), feed, ALPHA, 60)


async def test_the_timeout_ends_the_wait(feed: Feed) -> None:
    assert not await until_covered(FakeStatus(no), feed, ALPHA, 0.05)


async def test_no_timeout_looks_once(feed: Feed) -> None:
    status = FakeStatus(no)
    assert not await until_covered(status, feed, ALPHA, 0)
    assert status.asked == 1


async def test_an_event_of_the_project_ends_the_wait_at_once(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 60.0)
    status = FakeStatus(no, yes)
    task = asyncio.create_task(until_covered(status, feed, ALPHA, 60))
    assert await to_thread.run_sync(status.looked.wait, 5)
    feed.tell(event(EventType.INDEX_COMPLETE, "beta-1"))
    feed.tell(event(EventType.INDEX_COMPLETE))
    assert await asyncio.wait_for(task, 5)
    assert status.asked == 2


async def test_an_event_that_got_lost_only_delays(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 0.01)
    assert await until_covered(FakeStatus(no, no, yes), feed, ALPHA, 60)


async def test_progress_is_passed_on_and_ends_nothing(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 60.0)
    seen: list[float] = []

    async def on_progress(job: Job) -> None:
        seen.append(job.percent)

    status = FakeStatus(no, yes)
    task = asyncio.create_task(until_covered(status, feed, ALPHA, 60, on_progress))
    assert await to_thread.run_sync(status.looked.wait, 5)
    feed.tell(event(EventType.INDEX_PROGRESS))
    feed.tell(event(EventType.INDEX_PROGRESS))
    feed.tell(event(EventType.INDEX_COMPLETE))
    assert await asyncio.wait_for(task, 5)
    assert seen == [40, 40, 40]
    assert status.asked == 2


async def test_where_only_paused_jobs_are_left_nothing_is_waited_for(feed: Feed) -> None:
    status = FakeStatus(no)
    status.only_paused = True
    assert not await asyncio.wait_for(until_covered(status, feed, ALPHA, 60), 5)


async def test_a_wait_ends_when_its_job_is_paused(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 60.0)
    status = FakeStatus(no)
    task = asyncio.create_task(until_covered(status, feed, ALPHA, 60))
    assert await to_thread.run_sync(status.looked.wait, 5)
    status.only_paused = True
    feed.tell(event(EventType.INDEX_PAUSED))
    assert not await asyncio.wait_for(task, 5)


async def test_a_job_that_does_not_run_is_no_progress(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 60.0)
    seen: list[Job] = []

    async def on_progress(job: Job) -> None:
        seen.append(job)

    status = FakeStatus(no, yes)
    task = asyncio.create_task(until_covered(status, feed, ALPHA, 60, on_progress))
    assert await to_thread.run_sync(status.looked.wait, 5)
    queued = JOB.model_copy(update={"id": "j2", "status": JobStatus.QUEUED, "percent": 0})
    feed.tell(event(EventType.JOB_QUEUED).model_copy(update={"data": {"job": queued.model_dump(mode="json")}}))
    assert await asyncio.wait_for(task, 5)
    assert not seen


async def test_after_redis_was_wiped_it_waits_for_what_is_queued_there_now(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 0.01)
    status = FakeStatus(wiped, no, yes)
    assert await until_covered(status, feed, ALPHA, 60)
    assert status.marks == 2


async def test_a_redis_that_goes_away_meanwhile_is_waited_for_too(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 0.01)
    assert await until_covered(FakeStatus(away, away, yes), feed, ALPHA, 60)
