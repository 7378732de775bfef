"""Reads the events that the gateways share and has people told of them.

An event is acknowledged when nothing more is tried with any of its messages: what a gateway held when it died is told
by another one, or by the next, a minute later. No part of this waits for a receiver.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from pydantic import BaseModel

from muniment.errors import ReceiverRefused
from muniment.event_group import EventGroup
from muniment.events import Event
from muniment.notices import masked, notice_kind, receiver_kind
from muniment.notifying.audience import Audience
from muniment.notifying.deliveries import Deliveries, KindCounts
from muniment.notifying.message import Message, message_of
from muniment.notifying.receiver import NotDelivered, Receiver
from muniment.notifying.store import Choice
from muniment.notifying.throttle import Throttle
from muniment.queue import utc_now
from muniment.redis_client import REDIS_ERRORS

log = logging.getLogger(__name__)
GROUP = "muniment-notify"
READ_SECONDS = 5.0
LATE_SECONDS = 3600.0  # nobody wants to hear of it any more
GRACE_SECONDS = 1.0  # at the end, for what is on its way
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts when Redis is away
AWAY = (*REDIS_ERRORS, OSError)  # TimeoutError is an OSError


class Outcome(BaseModel):
    """Of a test. ``detail``: why it did not arrive."""

    url: str
    kind: str
    ok: bool
    detail: str | None = None
    took_ms: float


class Notifier:
    """Belongs to the event loop. ``choice``: what a project chose, read from the disk in a thread."""

    def __init__(
        self,
        group: EventGroup,
        audience: Audience,
        choice: Callable[[str], Choice],
        receiver: Callable[[str], Receiver],
        *,
        deliveries: Deliveries | None = None,
        throttle: Throttle | None = None,
        hold_seconds: float = 15.0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.since = clock()
        self._group = group
        self._audience = audience
        self._choice = choice
        self._receiver = receiver
        self._deliveries = deliveries or Deliveries(receiver)
        self._throttle = throttle or Throttle()
        self._hold_seconds = hold_seconds
        self._clock = clock
        self._in_flight: dict[str, int] = {}  # what is still to do, by event id; 0: to be acknowledged
        self._finished: asyncio.Queue[str] = asyncio.Queue()
        self._ending = False

    def counts(self) -> list[KindCounts]:
        return self._deliveries.counts()

    async def run(self) -> None:
        """Until cancelled, after ``stop``; a Redis that is away is tried again and again."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._read, self._keep, self._acknowledge):
                    tasks.create_task(self._again_and_again(work), name=f"notifier{work.__name__}")
        finally:
            await self._end()

    def stop(self) -> None:
        """To be called before ``run`` is cancelled: a client of Redis may swallow the cancellation."""
        self._ending = True

    async def try_out(self, urls: list[str], message: Message) -> list[Outcome]:
        """Sends one message to each at once, without a second try; the order stays."""
        return await asyncio.gather(*(self._tried(url, message) for url in urls))

    # --- from the stream -----------------------------------------------------------------------------------------

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE
        while not self._ending:
            try:
                await work()
                pause = FIRST_PAUSE
            except AWAY as error:
                level = logging.WARNING if work == self._read else logging.DEBUG  # once is enough
                log.log(level, "notifications: Redis does not answer (%s); trying again in %.1f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _read(self) -> None:
        await self._group.join()
        while not self._ending:
            await self._take(await self._group.read(READ_SECONDS))

    async def _keep(self) -> None:
        """Shows that this gateway lives, and takes over from those that do not."""
        await self._group.join()
        while not self._ending:
            await self._group.hold(self._in_flight)
            await self._take(await self._group.claim())
            await asyncio.sleep(self._hold_seconds)

    async def _acknowledge(self) -> None:
        ids = [event_id for event_id, left in self._in_flight.items() if left == 0]  # from when Redis was away
        while not self._ending:
            ids = ids or [await self._finished.get()]
            while not self._finished.empty():
                ids.append(self._finished.get_nowait())
            await self._group.acknowledge(ids)
            for event_id in ids:
                self._in_flight.pop(event_id, None)
            ids = []

    async def _take(self, events: list[Event]) -> None:
        for event in events:
            if event.id is None or event.id in self._in_flight:
                continue
            self._in_flight[event.id] = 1
            try:
                await self._tell(event, event.id)
            except ValueError as error:
                log.warning("event %s cannot be told: %s", event.id, error)
            except sqlite3.Error as error:
                log.warning("whom project %s notifies cannot be read: %s", event.project, error)
                del self._in_flight[event.id]  # it stays pending, and is claimed later
                continue
            self._done(event.id)

    async def _tell(self, event: Event, event_id: str) -> None:
        """Raises ValueError for an event that this version cannot read, and sqlite3.Error."""
        kind = notice_kind(event)
        if kind is None:
            return
        project_id = event.project_id or ""
        message = message_of(event, kind)
        now = self._clock()
        late = (now - event.at).total_seconds() > LATE_SECONDS
        for url in self._audience.of(kind, await asyncio.to_thread(self._choice, project_id)):
            if late:
                self._deliveries.count(url).dropped += 1
                continue
            left_out = self._throttle.admit((url, project_id), kind, now.timestamp())
            if left_out is None:
                self._deliveries.count(url).throttled += 1
                continue
            self._in_flight[event_id] += 1
            told = message.model_copy(update={"left_out": left_out})
            self._deliveries.offer(url, told, lambda: self._done(event_id))

    def _done(self, event_id: str) -> None:
        self._in_flight[event_id] -= 1
        if self._in_flight[event_id] == 0:
            self._finished.put_nowait(event_id)

    async def _end(self) -> None:
        await self._deliveries.close(GRACE_SECONDS)
        done = [event_id for event_id, left in self._in_flight.items() if left == 0]
        try:
            await self._group.acknowledge(done)
            if len(done) == len(self._in_flight):
                await self._group.leave()
        except AWAY as error:
            log.debug("notifications: what was told is not acknowledged: %s", error)
        finally:
            await self._group.close()

    # --- a test --------------------------------------------------------------------------------------------------

    async def _tried(self, url: str, message: Message) -> Outcome:
        began = time.perf_counter()
        detail: str | None = None
        try:
            await (await asyncio.to_thread(self._receiver, url)).send(message)
        except NotDelivered as error:
            detail = str(error)
        except ReceiverRefused as error:
            detail = error.text
        took_ms = round((time.perf_counter() - began) * 1000, 1)
        return Outcome(url=masked(url), kind=receiver_kind(url), ok=detail is None, detail=detail, took_ms=took_ms)
