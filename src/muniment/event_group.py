"""The event stream as several gateways share it: each event goes to one of them, and to another when that one dies.

A Redis consumer group. What was read and not acknowledged is pending; its reader holds it, and whoever has not held
for ``IDLE_SECONDS`` loses it. A group that is made anew begins at the present, or where this reader had come to.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Iterable
from typing import Any, Protocol, cast

from redis.exceptions import ResponseError

from muniment.bus import stream_order
from muniment.events import Event
from muniment.redis_client import EVENT_STREAM, StreamEntry, listen

log = logging.getLogger(__name__)
IDLE_SECONDS = 60.0
READ_COUNT = 50
ANSWER_SECONDS = 5.0  # beyond what a read waits for: a server that was stopped must not hold us for ever
GONE_SECONDS = 24 * 3600.0


class GroupCommands(Protocol):
    """The commands used on a client that decodes every answer to str."""

    async def aclose(self) -> None: ...
    async def xack(self, name: str, groupname: str, *ids: str) -> int: ...
    async def xautoclaim(
        self, name: str, groupname: str, consumername: str, min_idle_time: int, *, start_id: str, count: int
    ) -> Any: ...
    async def xclaim(
        self, name: str, groupname: str, consumername: str, min_idle_time: int, ids: list[str], *, justid: bool
    ) -> Any: ...
    async def xgroup_create(self, name: str, groupname: str, *, id: str, mkstream: bool) -> Any: ...
    async def xgroup_delconsumer(self, name: str, groupname: str, consumername: str) -> int: ...
    async def xinfo_consumers(self, name: str, groupname: str) -> list[dict[str, Any]]: ...
    async def xinfo_stream(self, name: str) -> dict[str, Any]: ...
    async def xreadgroup(
        self, groupname: str, consumername: str, streams: dict[str, str], *, count: int, block: int
    ) -> Any: ...


class EventGroup:
    """One reader of a group. For an event loop; every call may raise an error of Redis, and TimeoutError."""

    def __init__(self, url: str, group: str, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._redis = cast(GroupCommands, listen(url))
        self._group = group
        self._idle = int(idle_seconds * 1000)
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._came_to: str | None = None

    async def join(self) -> None:
        """Makes the group unless it is there, and forgets readers that were gone for a day and left nothing."""
        try:
            await self._redis.xgroup_create(EVENT_STREAM, self._group, id=self._came_to or "$", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        if self._came_to is None:
            self._came_to = str((await self._redis.xinfo_stream(EVENT_STREAM))["last-generated-id"])
        for reader in await self._redis.xinfo_consumers(EVENT_STREAM, self._group):
            if reader["pending"] == 0 and reader["idle"] > GONE_SECONDS * 1000:
                await self._redis.xgroup_delconsumer(EVENT_STREAM, self._group, reader["name"])

    async def read(self, seconds: float) -> list[Event]:
        """New events, at most so long after the call; none when there are none."""
        try:
            async with asyncio.timeout(seconds + ANSWER_SECONDS):
                answer = await self._redis.xreadgroup(
                    self._group, self.name, {EVENT_STREAM: ">"}, count=READ_COUNT, block=int(seconds * 1000)
                )
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self.join()  # Redis was emptied
            return []
        return await self._readable(answer[0][1] if answer else [])

    async def claim(self) -> list[Event]:
        """Events whose reader seems to have died."""
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await self._redis.xautoclaim(
                EVENT_STREAM, self._group, self.name, self._idle, start_id="0-0", count=READ_COUNT
            )
        return await self._readable(answer[1])

    async def hold(self, ids: Iterable[str]) -> None:
        """Keeps events from being claimed by another reader."""
        if wanted := list(ids):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._redis.xclaim(EVENT_STREAM, self._group, self.name, 0, wanted, justid=True)

    async def acknowledge(self, ids: Iterable[str]) -> None:
        if wanted := list(ids):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._redis.xack(EVENT_STREAM, self._group, *wanted)

    async def leave(self) -> None:
        """For a reader that holds nothing: with it Redis would forget what it holds."""
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._redis.xgroup_delconsumer(EVENT_STREAM, self._group, self.name)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _readable(self, entries: list[StreamEntry]) -> list[Event]:
        events = []
        for entry_id, fields in entries:
            if self._came_to is None or stream_order(entry_id) > stream_order(self._came_to):
                self._came_to = entry_id
            try:
                event = Event.model_validate_json(fields["event"])
            except (KeyError, TypeError, ValueError) as error:  # of a newer version, or no event at all
                log.warning("event %s cannot be read and is passed over: %s", entry_id, error)
                await self.acknowledge([entry_id])
                continue
            events.append(event.model_copy(update={"id": entry_id}))
        return events
