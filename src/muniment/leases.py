"""Leases: which worker runs a project now, and how many projects run at once over the fleet.

A lease schedules and shows who works; what protects the index is the ``flock`` and the manifest's generation. The times
are Redis' own, so the clocks of the hosts do not matter.
"""

import secrets
from dataclasses import dataclass

from pydantic import BaseModel

from muniment.redis_client import BELL_CHANNEL, SLOTS, Argument, Records, lease_key

_ACQUIRE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ms = now + tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local holder = redis.call('HGET', KEYS[1], 'owner')
if holder then return {'held', holder} end
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then
  return {'full', ''}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'token', ARGV[3], 'since', now)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], until_ms, ARGV[1])
return {'granted', ARGV[3]}
"""

_RENEW = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[3]), ARGV[1])
return 1
"""

_RELEASE = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', KEYS[3], ARGV[1])
return 1
"""

_RELEASE_OWNED = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', KEYS[3], ARGV[1])
return 1
"""

_RUNNING = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
return redis.call('ZCARD', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Lease:
    project_id: str
    owner: str
    token: str  # random, so that a wiped Redis never repeats one


@dataclass(frozen=True, slots=True)
class Denied:
    """``holder`` is who has the project; None: no slot of the fleet is free."""

    holder: str | None


class LeaseHolder(BaseModel):
    owner: str
    since_ms: int  # Redis time, milliseconds since the epoch


class Leases:
    def __init__(self, redis: Records, *, seconds: float, max_running: int) -> None:
        self._redis = redis
        self.seconds = seconds
        self._milliseconds = int(seconds * 1000)
        self.max_running = max_running
        self._acquire = redis.register_script(_ACQUIRE)
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)
        self._release_owned = redis.register_script(_RELEASE_OWNED)
        self._running = redis.register_script(_RUNNING)

    def acquire(self, project_id: str, owner: str) -> Lease | Denied:
        """Takes the project and a slot of the fleet, both or neither."""
        token = secrets.token_hex(16)
        arguments: list[Argument] = [project_id, owner, token, self._milliseconds, self.max_running]
        outcome, detail = self._acquire(keys=[lease_key(project_id), SLOTS], args=arguments)
        if outcome == "granted":
            return Lease(project_id, owner, token)
        return Denied(detail if outcome == "held" else None)

    def renew(self, lease: Lease) -> bool:
        """False: it is another's by now, or it has run out."""
        arguments: list[Argument] = [lease.project_id, lease.token, self._milliseconds]
        return bool(self._renew(keys=[lease_key(lease.project_id), SLOTS], args=arguments))

    def release(self, lease: Lease) -> bool:
        """Gives project and slot back, only if they are still this holder's; wakes whoever waits for one."""
        keys = [lease_key(lease.project_id), SLOTS, BELL_CHANNEL]
        return bool(self._release(keys=keys, args=[lease.project_id, lease.token]))

    def release_owned(self, project_id: str, owner: str) -> bool:
        """The same on behalf of an owner that died: nobody has to wait until its lease runs out."""
        keys = [lease_key(project_id), SLOTS, BELL_CHANNEL]
        return bool(self._release_owned(keys=keys, args=[project_id, owner]))

    def holder(self, project_id: str) -> LeaseHolder | None:
        values = self._redis.hgetall(lease_key(project_id))
        return LeaseHolder(owner=values["owner"], since_ms=int(values["since"])) if values else None

    def slot_free(self) -> bool:
        return self.slots_used() < self.max_running

    def slots_used(self) -> int:
        return int(self._running(keys=[SLOTS]))
