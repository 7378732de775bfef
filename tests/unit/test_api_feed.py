"""Live events: one subscription, many readers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from starlette.types import Message

from muniment.bus import Bus, Listener, Replay
from muniment.events import Event, EventType
from muniment.redis_client import EVENT_CHANNEL, text_client
from muniment_api import feed as feeds
from muniment_api import sse
from muniment_api.feed import QUEUE_LENGTH, Feed, every_event
from muniment_api.sse import EventStream, frames

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def event(number: int | None, project_id: str = "alpha-1") -> Event:
    stream_id = None if number is None else f"{number}-0"
    return Event(id=stream_id, type=EventType.JOB_QUEUED, at=NOW, project_id=project_id)


class FakeListener:
    """Each subscription yields what its script holds, then fails; after the last script it stays silent."""

    def __init__(self, *scripts: list[Event]) -> None:
        self.scripts = list(scripts)
        self.kept = Replay([], complete=True)
        self.failure: Exception = ConnectionResetError("the server went away")

    @asynccontextmanager
    async def subscribed(self) -> AsyncIterator[AsyncIterator[Event]]:
        async def told() -> AsyncIterator[Event]:
            if not self.scripts:
                await asyncio.Event().wait()
            for one in self.scripts.pop(0):
                yield one
            raise self.failure

        yield told()

    async def replay(self, after_id: str) -> Replay:
        if after_id == "0-1":
            raise feeds.REDIS_ERRORS[0]("away")
        return self.kept


async def take(reader: feeds.Reader, count: int) -> list[Event | None]:
    return [await reader.next(5) for _ in range(count)]


def names(found: list[Event | None]) -> list[str | None]:
    return [None if one is None else one.id or one.type.value for one in found]


async def test_every_reader_gets_every_event() -> None:
    feed = Feed(FakeListener())
    with feed.reader() as one, feed.reader() as other:
        feed.tell(event(1))
        feed.tell(event(2))
        assert names(await take(one, 2)) == names(await take(other, 2)) == ["1-0", "2-0"]


async def test_a_reader_that_falls_behind_is_told_to_resync_and_the_others_miss_nothing() -> None:
    feed = Feed(FakeListener())
    with feed.reader() as slow, feed.reader() as quick:
        for number in range(1, QUEUE_LENGTH + 3):
            feed.tell(event(number))
            assert names(await take(quick, 1)) == [f"{number}-0"]
        assert names(await take(slow, 2)) == ["resync", f"{QUEUE_LENGTH + 2}-0"]
        assert await slow.next(0) is None


async def test_what_a_reader_does_not_want_takes_no_room() -> None:
    feed = Feed(FakeListener())
    with feed.reader(lambda one: one.project_id == "beta-1") as reader:
        for number in range(1, 2 * QUEUE_LENGTH):
            feed.tell(event(number))
        feed.tell(event(9, "beta-1"))
        assert names(await take(reader, 1)) == ["9-0"]


async def test_a_lost_subscription_is_made_anew_and_readers_resync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "FIRST_PAUSE", 0.001)
    feed = Feed(FakeListener([event(1)], [event(2)]))
    with feed.reader(lambda _: True) as reader:
        running = asyncio.create_task(feed.run())
        found = names(await take(reader, 5))
        running.cancel()
        await asyncio.wait({running})
    assert found == ["resync", "1-0", "resync", "2-0", "resync"]


async def texts(feed: Feed, listener: FakeListener, after_id: str | None, live: list[Event]) -> list[str]:
    """The first lines of the frames of a stream during which ``live`` happens after it listens."""
    stream = frames(feed, listener, every_event, after_id)
    shown = [str((await anext(stream)).comment)]
    for one in live:
        feed.tell(one)
    last = event(99)
    feed.tell(last)
    async for one in stream:
        shown.append(one.id or str(one.event))
        if one.id == last.id:
            break
    await stream.aclose()
    return shown


async def test_a_stream_begins_with_what_was_missed_and_tells_nothing_twice() -> None:
    listener = FakeListener()
    listener.kept = Replay([event(3), event(4)], complete=True)
    live = [event(4), event(None), event(5)]
    shown = await texts(Feed(listener), listener, "2-0", live)
    assert shown == ["listening", "3-0", "4-0", "job_queued", "5-0", "99-0"]


async def test_a_stream_says_resync_when_events_are_no_longer_kept() -> None:
    listener = FakeListener()
    listener.kept = Replay([event(40)], complete=False)
    assert await texts(Feed(listener), listener, "2-0", [event(41)]) == ["listening", "resync", "41-0", "99-0"]


async def test_a_stream_begins_although_redis_is_away() -> None:
    listener = FakeListener()
    assert await texts(Feed(listener), listener, "0-1", []) == ["listening", "resync", "99-0"]


async def test_a_stream_without_a_last_id_begins_now() -> None:
    listener = FakeListener()
    listener.kept = Replay([event(3)], complete=True)
    assert await texts(Feed(listener), listener, None, [event(5)]) == ["listening", "5-0", "99-0"]


async def test_a_stream_that_ends_leaves_no_reader_behind() -> None:
    listener = FakeListener()
    feed = Feed(listener)
    await texts(feed, listener, None, [])
    assert not feed._readers


class Unexpected(Exception):
    """An error that nobody has foreseen."""


async def test_an_unexpected_error_of_the_subscription_does_not_end_the_feed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feeds, "FIRST_PAUSE", 0.001)
    listener = FakeListener([event(1)], [event(2)])
    listener.failure = Unexpected("of a library")
    feed = Feed(listener)
    with feed.reader() as reader:
        running = asyncio.create_task(feed.run())
        assert names(await take(reader, 4)) == ["resync", "1-0", "resync", "2-0"]
        running.cancel()
        await asyncio.wait({running})
    assert "of a library" in caplog.text


async def test_an_event_that_one_reader_cannot_take_is_passed_over_by_it_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def chokes_on_the_second(one: Event) -> bool:
        if one.id == "2-0":
            raise Unexpected("of a reader")
        return True

    feed = Feed(FakeListener([event(1), event(2), event(3)]))
    called: list[Event | None] = []
    feed.call(called.append)
    with feed.reader(chokes_on_the_second) as broken, feed.reader() as whole:
        running = asyncio.create_task(feed.run())
        assert names(await take(whole, 4)) == ["resync", "1-0", "2-0", "3-0"]
        assert names(await take(broken, 3)) == ["resync", "1-0", "3-0"]
        running.cancel()
        await asyncio.wait({running})
    assert names(called)[:4] == ["resync", "1-0", "2-0", "3-0"]
    assert "of a reader" in caplog.text


async def test_a_message_that_is_no_event_is_passed_over_and_the_subscription_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = FakeServer()
    told = Bus(text_client(FakeRedis(server=server, decode_responses=True)))
    listener = Listener("redis://unused")
    listener._redis = FakeAsyncRedis(server=server, decode_responses=True)
    feed = Feed(listener)
    strange = ["", "nonsense", "1-0 {}", '- {"type": "of_a_newer_version"}', f"x-y {event(None).model_dump_json()}"]
    with feed.reader() as reader:
        running = asyncio.create_task(feed.run())
        await asyncio.wait_for(feed.standing.wait(), 5)
        publisher = FakeRedis(server=server)
        for message in strange:
            publisher.publish(EVENT_CHANNEL, message)
        told.announce(event(None))
        assert names(await take(reader, 2)) == ["resync", "job_queued"]
        assert feed.standing.is_set()
        running.cancel()
        await asyncio.wait({running})
    assert caplog.text.count("a message is passed over") == len(strange)
    await listener.close()


async def sent_to(client: Callable[[Message], Awaitable[None]]) -> None:
    """Runs a stream that tells nothing by itself against a client, until it ends."""
    stream = EventStream(frames(Feed(FakeListener()), FakeListener(), every_event, None))

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    await asyncio.wait_for(stream({"type": "http", "method": "GET"}, receive, client), 10)


async def test_a_client_that_takes_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "SEND_SECONDS", 0.01)

    async def takes_only_the_headers(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    await sent_to(takes_only_the_headers)


async def test_a_silent_stream_is_kept_alive_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEPALIVE_SECONDS", 0.01)
    seen: list[bytes] = []

    async def leaves_after_the_third(message: Message) -> None:
        seen.append(message.get("body", b"").strip())
        if len(seen) == 4:
            raise sse.SendTimeoutError

    await sent_to(leaves_after_the_third)
    assert seen == [b"", b": listening\r\nretry: 1000", b": keepalive", b": keepalive"]
