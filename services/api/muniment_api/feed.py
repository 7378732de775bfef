"""The live events of the bus for this process: one subscription to Redis, fanned out to bounded queues.

Everything here runs on the event loop. A reader that falls behind loses its queued events and is told to resync: it
never blocks another one, nor grows memory. Nothing that one message or one reader does ends the feed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from muniment.bus import Listener
from muniment.events import Event, EventType
from muniment.queue import utc_now
from muniment.redis_client import REDIS_ERRORS

QUEUE_LENGTH = 256
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts to subscribe again

log = logging.getLogger(__name__)
Hearer = Callable[[Event], None]


def resync() -> Event:
    return Event(type=EventType.RESYNC, at=utc_now())


class Reader:
    """One reader's queue. ``wanted`` decides before an event takes room in it."""

    def __init__(self, wanted: Callable[[Event], bool]) -> None:
        self._wanted = wanted
        self._queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_LENGTH)

    def offer(self, event: Event) -> None:
        if event.type != EventType.RESYNC and not self._wanted(event):
            return
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            event = resync()  # stands for all that was dropped, this event included
        self._queue.put_nowait(event)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            yield await self._queue.get()

    async def next(self, timeout: float) -> Event | None:
        """The next event; None when there was none for ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                return await self._queue.get()
        except TimeoutError:
            return None


def every_event(_: Event) -> bool:
    return True


class Feed:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._readers: set[Reader] = set()
        self._hearers: list[Hearer] = []
        self.standing = asyncio.Event()  # set while the subscription stands

    @contextmanager
    def reader(self, wanted: Callable[[Event], bool] = every_event) -> Iterator[Reader]:
        """Collects events from now on. Resync events are never filtered away."""
        reader = Reader(wanted)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def call(self, hearer: Hearer) -> None:
        """Calls ``hearer`` with every event from now on, resync included. It must not block."""
        self._hearers.append(hearer)

    def tell(self, event: Event) -> None:
        for hear in (*(reader.offer for reader in self._readers), *self._hearers):
            try:
                hear(event)
            except Exception:  # the boundary: what one of them cannot take must not cost the others anything
                log.exception("events: %s of %s is passed over by a reader", event.type, event.project_id)

    async def run(self) -> None:
        """Subscribes and fans out until cancelled; a Redis that is away is tried again and again."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._listener.subscribed() as events:
                    self.tell(resync())  # what happened before the subscription stood is not known
                    self.standing.set()
                    pause = FIRST_PAUSE
                    async for event in events:
                        self.tell(event)
            except (*REDIS_ERRORS, OSError) as error:
                log.warning("events: Redis does not answer (%s); trying again in %.1f s", error, pause)
            except Exception:  # the boundary: nobody else would subscribe again
                log.exception("events: the subscription broke; trying again in %.1f s", pause)
            finally:
                self.standing.clear()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
