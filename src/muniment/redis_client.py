"""Connections to Redis or Valkey, and the names of the keys in it.

Everything under ``muniment:`` can be lost: projects reconcile and nothing of an index is gone.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, overload

import redis
import redis.asyncio
from redis import Redis

from muniment.errors import RedisUnavailable
from muniment.logs import stands_for

# every error, not only a lost connection: a server that refuses to write (full disk, no replica) is as good as away
REDIS_ERRORS = (redis.RedisError,)
stands_for(redis.RedisError, RedisUnavailable)
SOCKET_TIMEOUT = 5.0


Argument = str | int | float
StreamEntry = tuple[str, dict[str, str]]


class Script(Protocol):
    """A registered Lua script; a server that forgot it gets it again."""

    def __call__(self, keys: Iterable[str], args: Iterable[Argument] = ()) -> Any: ...


class Records(Protocol):
    """The commands used on a client that decodes every answer to str. redis-py's own types leave bytes or str open."""

    def close(self) -> None: ...
    def delete(self, *keys: str) -> int: ...
    def exists(self, *keys: str) -> int: ...
    def expire(self, key: str, seconds: int) -> bool: ...
    def get(self, key: str) -> str | None: ...
    def hget(self, key: str, field: str) -> str | None: ...
    def hgetall(self, key: str) -> dict[str, str]: ...
    def hincrby(self, key: str, field: str, amount: int) -> int: ...
    def hmget(self, key: str, *fields: str) -> list[str | None]: ...
    def hset(self, key: str, field: str, value: str) -> int: ...
    def ping(self) -> bool: ...
    def publish(self, channel: str, message: str) -> int: ...
    def pubsub(self, *, ignore_subscribe_messages: bool) -> Any: ...
    def register_script(self, script: str) -> Script: ...
    def set(self, key: str, value: str, *, nx: bool) -> bool | None: ...
    def smembers(self, key: str) -> AbstractSet[str]: ...
    def srem(self, key: str, *members: str) -> int: ...
    def xrange(self, key: str) -> list[StreamEntry]: ...
    def lindex(self, key: str, index: int) -> str | None: ...
    def lrange(self, key: str, start: int, end: int) -> list[str]: ...
    def pipeline(self, *, transaction: bool) -> Any: ...
    def zcard(self, key: str) -> int: ...
    @overload
    def zrange(self, key: str, start: int, end: int, *, withscores: Literal[True]) -> list[tuple[str, float]]: ...
    @overload
    def zrange(self, key: str, start: int, end: int, *, withscores: Literal[False]) -> list[str]: ...
    def scan_iter(self, *, match: str) -> Iterable[str]: ...
    def zrangebyscore(self, key: str, minimum: int | str, maximum: int | str) -> list[str]: ...
    def zrem(self, key: str, *members: str) -> int: ...
    def zrevrange(self, key: str, start: int, end: int) -> list[str]: ...
    def zrevrangebyscore(
        self, key: str, maximum: int | str, minimum: int | str, *, start: int, num: int, withscores: bool
    ) -> list[tuple[str, float]]: ...


class AsyncRecords(Protocol):
    """The same for an event loop."""

    async def aclose(self) -> None: ...
    async def xrange(self, key: str, *, min: str = "-", count: int | None = None) -> list[StreamEntry]: ...
    async def xrevrange(self, key: str, *, count: int | None = None) -> list[StreamEntry]: ...
    def pubsub(self) -> AbstractAsyncContextManager[Any]: ...


@dataclass(frozen=True)
class Connections:
    """``records`` decodes answers to str; ``rq`` must not: RQ's payloads are bytes, and a worker sets its timeout."""

    url: str
    records: Records
    rq: Redis

    def close(self) -> None:
        self.records.close()
        self.rq.close()

    def unavailable(self, error: Exception) -> RedisUnavailable:
        return RedisUnavailable(self.url, str(error) or type(error).__name__)


def connect(url: str) -> Connections:
    """Connects lazily: a server that is away shows at the first command."""
    return Connections(
        url=url,
        records=text_client(Redis.from_url(url, decode_responses=True, socket_timeout=SOCKET_TIMEOUT)),
        rq=Redis.from_url(url, socket_timeout=SOCKET_TIMEOUT),
    )


def text_client(client: Redis) -> Records:
    """``client`` must have been made with ``decode_responses=True``."""
    return cast(Records, client)


def listen(url: str) -> AsyncRecords:
    """A client for blocking reads in an event loop: no read timeout."""
    client = redis.asyncio.Redis.from_url(url, decode_responses=True, socket_timeout=None)
    return cast(AsyncRecords, client)


PREFIX = "muniment:"
EVENT_STREAM = PREFIX + "events"
EVENT_CHANNEL = PREFIX + "events"
BELL_CHANNEL = PREFIX + "bell"  # message: a project id; something may have become runnable
EPOCH = PREFIX + "epoch"  # missing: Redis was wiped, every project must reconcile
JOBS = PREFIX + "jobs"  # sorted set of job ids by creation time
WORK = PREFIX + "work"  # set of project ids that have a job to run
SLOTS = PREFIX + "slots"  # sorted set of project ids by lease expiry: the fleet's running passes
STOPPING = PREFIX + "stopping"  # sorted set of jobs paused or cancelled while they ran, by when, until they let go
PACE = PREFIX + "pace"  # how fast anything was indexed before
DIRTY_SEQUENCE = PREFIX + "dirty-sequence"
JOB = PREFIX + "job:"
QUEUE_PREFIX = "muniment-"  # of RQ queues


def job_key(job_id: str) -> str:
    return JOB + job_id


def job_events_key(job_id: str) -> str:
    return PREFIX + "job-events:" + job_id


def project_jobs_key(project_id: str) -> str:
    return PREFIX + "jobs:" + project_id


def active_key(project_id: str) -> str:
    """The id of the job that was claimed and has not ended."""
    return PREFIX + "active:" + project_id


def waiting_key(project_id: str) -> str:
    """List of the ids of the jobs that wait, the next one first: more than one only after some were resumed."""
    return PREFIX + "waiting:" + project_id


def paused_key(project_id: str) -> str:
    """List of the ids of its paused jobs."""
    return PREFIX + "paused:" + project_id


def rest_key(project_id: str) -> str:
    """The id of the job that is tried again when this key has expired; until then nothing of the project runs."""
    return PREFIX + "rest:" + project_id


def pace_key(project_id: str) -> str:
    """How fast the project was indexed before."""
    return PREFIX + "pace:" + project_id


def lease_key(project_id: str) -> str:
    return PREFIX + "lease:" + project_id


def dirty_key(project_id: str) -> str:
    return PREFIX + "dirty:" + project_id


def dirty_since_key(project_id: str) -> str:
    """Since when there was no moment without dirty paths (seconds, Redis' clock): none waits for longer."""
    return PREFIX + "dirty-since:" + project_id


def queue_name(project_id: str) -> str:
    """The project's RQ queue."""
    return QUEUE_PREFIX + project_id
