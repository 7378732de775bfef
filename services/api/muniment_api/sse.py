"""Events as a stream to an HTTP client (server-sent events)."""

import logging
from collections.abc import AsyncIterator, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from muniment.bus import Listener, Replay, stream_order
from muniment.events import Event, EventType
from muniment.redis_client import REDIS_ERRORS
from muniment_api.feed import Feed, resync

KEEPALIVE_SECONDS = 15
SEND_SECONDS = 30.0  # a client that takes nothing for so long is disconnected
RETRY_MILLISECONDS = 1000

log = logging.getLogger(__name__)


class EventStream(EventSourceResponse):
    """Ends by itself when the server stops, the client goes, or the client no longer reads."""

    def __init__(self, frames: AsyncIterator[ServerSentEvent]) -> None:
        super().__init__(frames, ping=KEEPALIVE_SECONDS, ping_message_factory=_keepalive, send_timeout=SEND_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("disconnected a reader of events that took nothing for %.0f s", SEND_SECONDS)


async def frames(
    feed: Feed, listener: Listener, wanted: Callable[[Event], bool], after_id: str | None
) -> AsyncIterator[ServerSentEvent]:
    """The kept events after a stream id, then the live ones, each once. Begins with a comment once it listens."""
    with feed.reader(wanted) as reader:
        yield ServerSentEvent(comment="listening", retry=RETRY_MILLISECONDS)
        seen: str | None = None
        if after_id is not None:
            replay = await _replay(listener, after_id)
            if replay.complete:
                for event in filter(wanted, replay.events):
                    yield frame(event)
                seen = replay.events[-1].id if replay.events else after_id
            else:
                yield frame(resync())
        async for event in reader:
            if event.type == EventType.RESYNC:
                seen = None
            if seen is None or event.id is None or stream_order(event.id) > stream_order(seen):
                yield frame(event)


async def _replay(listener: Listener, after_id: str) -> Replay:
    try:
        return await listener.replay(after_id)
    except (*REDIS_ERRORS, ValueError):
        # Away, or with an event that only a newer version of us understands.
        # A status other than 200 would make browsers give up for good.
        return Replay([], complete=False)


def frame(event: Event) -> ServerSentEvent:
    return ServerSentEvent(data=event.model_dump_json(), event=event.type.value, id=event.id)


def _keepalive() -> ServerSentEvent:
    return ServerSentEvent(comment="keepalive")
