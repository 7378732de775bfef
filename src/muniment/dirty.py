"""Paths that changed and wait for a pass: a sorted set path -> sequence per project.

A pass reads without removing, and removes after the manifest's commit only where the sequence is unchanged: a path that
changed again meanwhile stays.
"""

from collections.abc import Iterable, Mapping

from muniment.redis_client import DIRTY_SEQUENCE, Argument, Records, dirty_key, dirty_since_key

_ADD = """
local time = redis.call('TIME')
redis.call('SET', KEYS[3], time[1], 'NX')
for _, path in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], redis.call('INCR', KEYS[2]), path)
end
return redis.call('ZCARD', KEYS[1])
"""

_REMOVE = """
for index = 1, #ARGV, 2 do
  local sequence = redis.call('ZSCORE', KEYS[1], ARGV[index])
  if sequence and tonumber(sequence) == tonumber(ARGV[index + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[index])
  end
end
local left = redis.call('ZCARD', KEYS[1])
if left == 0 then redis.call('DEL', KEYS[2]) end
return left
"""

SCRIPT_BATCH = 1000


class DirtyPaths:
    def __init__(self, redis: Records) -> None:
        self._redis = redis
        self._add = redis.register_script(_ADD)
        self._remove = redis.register_script(_REMOVE)

    def add(self, project_id: str, paths: Iterable[str]) -> int:
        """Notes indexed paths (files or folders) as changed; returns how many wait."""
        pending = list(paths)
        waiting = 0
        for start in range(0, len(pending), SCRIPT_BATCH):
            keys = [dirty_key(project_id), DIRTY_SEQUENCE, dirty_since_key(project_id)]
            waiting = int(self._add(keys=keys, args=pending[start : start + SCRIPT_BATCH]))
        return waiting

    def peek(self, project_id: str, limit: int) -> dict[str, int]:
        """The oldest changed paths with their sequence numbers."""
        pairs = self._redis.zrange(dirty_key(project_id), 0, limit - 1, withscores=True)
        return {path: int(sequence) for path, sequence in pairs}

    def remove(self, project_id: str, done: Mapping[str, int]) -> None:
        """Forgets the paths whose sequence is still the one that was peeked."""
        pairs = list(done.items())
        for start in range(0, len(pairs), SCRIPT_BATCH):
            arguments: list[Argument] = [value for pair in pairs[start : start + SCRIPT_BATCH] for value in pair]
            self._remove(keys=[dirty_key(project_id), dirty_since_key(project_id)], args=arguments)

    def count(self, project_id: str) -> int:
        return int(self._redis.zcard(dirty_key(project_id)))

    def first(self, project_id: str) -> int | None:
        """The sequence of the path that waits longest."""
        pairs = self._redis.zrange(dirty_key(project_id), 0, 0, withscores=True)
        return int(pairs[0][1]) if pairs else None

    def last(self, project_id: str) -> int:
        """The sequence of the newest path that waits; 0 when none does."""
        pairs = self._redis.zrange(dirty_key(project_id), -1, -1, withscores=True)
        return int(pairs[0][1]) if pairs else 0
