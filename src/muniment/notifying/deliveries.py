"""Sends messages without letting one receiver wait for another: a bounded line for each, a few tries, counters.

Belongs to one event loop. Nothing here raises: what cannot be delivered is counted and told in the log.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from muniment.errors import ReceiverRefused
from muniment.notices import masked, receiver_kind
from muniment.notifying.message import Message
from muniment.notifying.receiver import NotDelivered, Receiver

log = logging.getLogger(__name__)
PAUSES = (1.0, 5.0)  # seconds before the second and the third try
LONGEST_PAUSE = 30.0  # whatever a receiver asks for
LINE_LENGTH = 50  # messages that wait for one receiver; then the oldest is dropped


class KindCounts(BaseModel):
    """What became of the messages to receivers of one kind, since the gateway started."""

    kind: str
    sent: int = 0
    failed: int = 0
    dropped: int = 0
    throttled: int = 0
    retried: int = 0
    waiting: int = 0
    last_error: str | None = None


@dataclass(slots=True)
class _Line:
    messages: deque[tuple[Message, Callable[[], None]]] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Deliveries:
    """``receiver``: makes the one that a URL names; may raise ReceiverRefused."""

    def __init__(
        self, receiver: Callable[[str], Receiver], *, pauses: Sequence[float] = PAUSES, length: int = LINE_LENGTH
    ) -> None:
        self._receiver = receiver
        self._pauses = pauses
        self._length = length
        self._lines: dict[str, _Line] = {}
        self._counts: dict[str, KindCounts] = {}

    def counts(self) -> list[KindCounts]:
        """By kind; ``waiting`` holds those on their way, too."""
        return [one.model_copy() for _, one in sorted(self._counts.items())]

    def count(self, url: str) -> KindCounts:
        """The counters of this receiver's kind, to add to."""
        kind = receiver_kind(url)
        return self._counts.setdefault(kind, KindCounts(kind=kind))

    def offer(self, url: str, message: Message, done: Callable[[], None]) -> None:
        """Puts the message into the receiver's line; ``done`` is called once, when nothing more is tried with it."""
        line = self._lines.setdefault(url, _Line())
        if len(line.messages) >= self._length:
            _, dropped = line.messages.popleft()
            self.count(url).dropped += 1
            self.count(url).waiting -= 1
            dropped()
        line.messages.append((message, done))
        self.count(url).waiting += 1
        if line.task is None:
            line.task = asyncio.create_task(self._work_off(url, line), name="notify")

    async def close(self, grace_seconds: float) -> None:
        """Gives what is on its way a moment, then lets go: what was not ``done`` stays undone."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace_seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _work_off(self, url: str, line: _Line) -> None:
        try:
            while line.messages:
                message, done = line.messages.popleft()
                await self._deliver(url, message)
                self.count(url).waiting -= 1
                done()
        finally:  # the next message begins a new line, whatever became of this one
            del self._lines[url]

    async def _deliver(self, url: str, message: Message) -> None:
        counts = self.count(url)
        try:
            receiver = await asyncio.to_thread(self._receiver, url)  # the first of Apprise's takes 0.3 s
        except ReceiverRefused as error:
            counts.failed += 1
            counts.last_error = error.text
            log.warning("%s", error)
            return
        for pause in (*self._pauses, None):
            try:
                await receiver.send(message)
            except NotDelivered as error:
                counts.last_error = f"{masked(url)}: {error}"
                if pause is None or not error.retryable:
                    counts.failed += 1
                    log.warning("notification '%s' did not reach %s: %s", message.title, masked(url), error)
                    return
                counts.retried += 1
                await asyncio.sleep(min(max(pause, error.retry_after or 0), LONGEST_PAUSE))
            else:
                counts.sent += 1
                return
