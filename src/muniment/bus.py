"""The event bus: a Redis stream that readers can replay, and a channel that tells at once.

A state change is appended to the stream and published with its stream id by one script; progress is published only.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from muniment.events import Event
from muniment.redis_client import EVENT_CHANNEL, EVENT_STREAM, Argument, Records, job_events_key, listen

log = logging.getLogger(__name__)
STREAM_LENGTH = 10_000
JOB_EVENTS_SECONDS = 7 * 24 * 3600
REPLAY_LIMIT = 1_000

_PUBLISH = """
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'event', ARGV[1])
if #KEYS > 2 then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', 1000, '*', 'event', ARGV[1])
  redis.call('EXPIRE', KEYS[3], ARGV[3])
end
redis.call('PUBLISH', KEYS[2], id .. ' ' .. ARGV[1])
return id
"""


class Bus:
    """The writing side, for every process."""

    def __init__(self, redis: Records) -> None:
        self._redis = redis
        self._publish = redis.register_script(_PUBLISH)

    def publish(self, event: Event) -> str:
        """Keeps the event and tells everyone; returns its stream id."""
        keys = [EVENT_STREAM, EVENT_CHANNEL]
        if event.job_id is not None:
            keys.append(job_events_key(event.job_id))
        arguments: list[Argument] = [event.model_dump_json(exclude={"id"}), STREAM_LENGTH, JOB_EVENTS_SECONDS]
        return str(self._publish(keys=keys, args=arguments))

    def announce(self, event: Event) -> None:
        """Tells whoever listens now; nothing is kept."""
        self._redis.publish(EVENT_CHANNEL, "- " + event.model_dump_json(exclude={"id"}))

    def job_events(self, job_id: str) -> list[Event]:
        return [_kept(entry_id, fields) for entry_id, fields in self._redis.xrange(job_events_key(job_id))]


@dataclass(frozen=True)
class Replay:
    """``complete`` is False when events after the asked-for id were trimmed or lost: the reader must resync."""

    events: list[Event]
    complete: bool


class Listener:
    """The reading side, for an event loop. Subscribe first, then replay, then drop what comes twice by its id."""

    def __init__(self, url: str) -> None:
        self._redis = listen(url)

    async def close(self) -> None:
        await self._redis.aclose()

    async def replay(self, after_id: str) -> Replay:
        """Kept events after a stream id, oldest first, at most REPLAY_LIMIT."""
        oldest = await self._redis.xrange(EVENT_STREAM, count=1)
        entries = await self._redis.xrange(EVENT_STREAM, min="(" + after_id, count=REPLAY_LIMIT)
        last = await self._redis.xrevrange(EVENT_STREAM, count=1)
        known = bool(oldest) and stream_order(oldest[0][0]) <= stream_order(after_id)
        reached = not last or bool(entries and entries[-1][0] == last[0][0]) or last[0][0] == after_id
        ahead = bool(last) and stream_order(after_id) > stream_order(last[0][0])  # the stream was lost and began anew
        return Replay([_kept(*entry) for entry in entries], complete=known and reached and not ahead)

    @asynccontextmanager
    async def subscribed(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Yields the live events from the moment the subscription stands."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(EVENT_CHANNEL)
            confirmation = await channel.get_message(timeout=5.0)
            if confirmation is None:
                raise ConnectionError("the subscription was not confirmed")

            async def events() -> AsyncIterator[Event]:
                async for message in channel.listen():
                    if message["type"] == "message" and (event := _told(message["data"])) is not None:
                        yield event

            yield events()


def stream_order(stream_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def _kept(entry_id: str, fields: dict[str, str]) -> Event:
    return Event.model_validate_json(fields["event"]).model_copy(update={"id": entry_id})


def _told(message: str) -> Event | None:
    """None for what is no event, or one that only a newer version of us understands."""
    stream_id, _, body = message.partition(" ")
    try:
        event = Event.model_validate_json(body)
        if stream_id == "-":
            return event
        stream_order(stream_id)
    except ValueError as error:
        log.warning("a message is passed over: %s (%.200s)", error, message)
        return None
    return event.model_copy(update={"id": stream_id})
