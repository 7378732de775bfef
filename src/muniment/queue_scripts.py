"""The Lua scripts of the job records: each one atomic step that either happens or leaves everything as it was.

All of them change a job's status through ``move``, which refuses what ``muniment.jobs.MOVES`` does not allow.
"""

from muniment.jobs import MOVES
from muniment.redis_client import (
    JOB,
    JOBS,
    STOPPING,
    WORK,
    active_key,
    dirty_key,
    lease_key,
    paused_key,
    project_jobs_key,
    rest_key,
    waiting_key,
)

_ALLOWED = ", ".join(
    f"{status} = {{{', '.join(f'{target} = true' for target in sorted(targets))}}}" for status, targets in MOVES.items()
)
_KEYS = "\n".join(
    f"local function {name}(project) return '{key('')}' .. project end"
    for name, key in {
        "active": active_key,
        "waiting": waiting_key,
        "paused": paused_key,
        "dirty": dirty_key,
        "lease": lease_key,
        "rest": rest_key,
        "history": project_jobs_key,
    }.items()
)

PRELUDE = f"""
local MOVES = {{{_ALLOWED}}}
local JOBS, WORK, STOPPING = '{JOBS}', '{WORK}', '{STOPPING}'
{_KEYS}
local function record(id) return '{JOB}' .. id end

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- the one compare-and-set of a job's status
local function move(id, target)
  local status = redis.call('HGET', record(id), 'status')
  if not status or not MOVES[status] or not MOVES[status][target] then return false end
  redis.call('HSET', record(id), 'status', target)
  return true
end

local function holds(project, token)
  return redis.call('HGET', lease(project), 'token') == token
end

-- whether it is this holder's to end: a paused one could be queued again, but not by who ran it
local function runs(project, id, token)
  local seen = redis.call('HMGET', record(id), 'status', 'owner')
  return holds(project, token) and seen[1] == 'running' and seen[2] == token
end

-- the new record's fields and values begin at ARGV[first]
local function enqueue(project, id, created, first)
  for index = first, #ARGV, 2 do redis.call('HSET', record(id), ARGV[index], ARGV[index + 1]) end
  redis.call('RPUSH', waiting(project), id)
  redis.call('ZADD', JOBS, created, id)
  redis.call('ZADD', history(project), created, id)
  redis.call('SADD', WORK, project)
end

local function has_work(project)
  return redis.call('EXISTS', active(project), waiting(project)) > 0
end

-- what is dirty must not wait for the next change; answers the id of the update that takes it, '' for none
local function stand_in(project, id, created, first)
  if has_work(project) or redis.call('ZCARD', dirty(project)) == 0 then return '' end
  enqueue(project, id, created, first)
  return id
end

local function let_go(project, id)
  if redis.call('GET', active(project)) == id then redis.call('DEL', active(project)) end
  redis.call('LREM', waiting(project), 0, id)
  redis.call('LREM', paused(project), 0, id)
end
"""


def _script(body: str) -> str:
    return PRELUDE + body


# ARGV project, id of the last one that waits, its request as stored ('': it is not to be joined), the wanted request,
#      new id, created ms, record...
REQUEST = _script("""
local last = redis.call('LINDEX', waiting(ARGV[1]), -1) or ''
if last ~= ARGV[2] then return 'changed' end
if ARGV[3] ~= '' then
  local seen = redis.call('HMGET', record(last), 'status', 'request')
  if seen[1] ~= 'queued' or seen[2] ~= ARGV[3] then return 'changed' end
  redis.call('HSET', record(last), 'request', ARGV[4])
  redis.call('SADD', WORK, ARGV[1])
  return 'joined'
end
enqueue(ARGV[1], ARGV[5], ARGV[6], 7)
return 'queued'
""")

# ARGV project, lease token, now
CLAIM = _script("""
local project, token = ARGV[1], ARGV[2]
if not holds(project, token) or redis.call('EXISTS', rest(project)) == 1 then return '' end
local function claim(id)
  if redis.call('HEXISTS', record(id), 'request') == 0 or not move(id, 'running') then return false end
  redis.call('SET', active(project), id)
  -- not HINCRBY: over a record that nobody can read the script would end in the middle, at every claim
  local attempt = (tonumber(redis.call('HGET', record(id), 'attempt')) or 0) + 1
  redis.call('HSET', record(id), 'owner', token, 'attempt', attempt, 'claimed_at', ARGV[3])
  local progress = redis.call('HGET', record(id), 'progress')
  if progress then redis.call('HSET', record(id), 'progress_before', progress) end  -- an attempt begins at nothing
  redis.call('HDEL', record(id), 'error', 'retry_at', 'estimate_seconds', 'progress')
  redis.call('HSETNX', record(id), 'started_at', ARGV[3])
  redis.call('ZREM', STOPPING, id)  -- whoever was to let go of it has: this is another's lease
  return true
end
local id = redis.call('GET', active(project))
if id then
  -- still running: who ran it was killed
  if redis.call('HGET', record(id), 'status') == 'running' then move(id, 'queued') end
  if claim(id) then return id end
  redis.call('DEL', active(project))
end
while true do
  id = redis.call('LPOP', waiting(project))
  if not id then break end
  if claim(id) then return id end
end
redis.call('SREM', WORK, project)
return ''
""")

# ARGV project, id, lease token, status, finished at, progress, error, how far the estimate was off,
#      how long history is kept in s, whether an update of what is dirty stands in for it, standing id, created ms,
#      its record...
# Answers whether it ended, and the id of the standing update that was made ('': none).
FINISH = _script("""
local project, id = ARGV[1], ARGV[2]
if not runs(project, id, ARGV[3]) or not move(id, ARGV[4]) then return {0, ''} end
redis.call('HSET', record(id), 'finished_at', ARGV[5], 'progress', ARGV[6])
if ARGV[7] ~= '' then redis.call('HSET', record(id), 'error', ARGV[7]) end
if ARGV[8] ~= '' then redis.call('HSET', record(id), 'estimate_error', ARGV[8]) end
redis.call('EXPIRE', record(id), ARGV[9])
let_go(project, id)
local standing = ''
if ARGV[10] == '1' then standing = stand_in(project, ARGV[11], ARGV[12], 13) end
if not has_work(project) then redis.call('SREM', WORK, project) end
return {1, standing}
""")

# Cancels or pauses. What its holder still does is its own to stop: it looks at its record.
# ARGV project, id, target, now, how long history is kept in s, whether an update of what is dirty stands in for it,
#      standing id, created ms, its record...
# Answers the status that the job had, '' for an unknown one, whether it moved, and the id of the update ('': none).
STOP = _script("""
local project, id, target = ARGV[1], ARGV[2], ARGV[3]
local status = redis.call('HGET', record(id), 'status')
if not status then return {'', 0, ''} end
if not move(id, target) then return {status, 0, ''} end
let_go(project, id)
if target == 'cancelled' then
  redis.call('HSET', record(id), 'finished_at', ARGV[4])
  redis.call('EXPIRE', record(id), ARGV[5])
else
  redis.call('RPUSH', paused(project), id)
end
redis.call('HDEL', record(id), 'retry_at')
if redis.call('GET', rest(project)) == id then redis.call('DEL', rest(project)) end
if status == 'running' then redis.call('ZADD', STOPPING, milliseconds(), id) end
local standing = ''
-- of a paused one, what was dirty has its update by now
if ARGV[6] == '1' and status ~= 'paused' then standing = stand_in(project, ARGV[7], ARGV[8], 9) end
if not has_work(project) then redis.call('SREM', WORK, project) end
return {status, 1, standing}
""")

# ARGV project, id    Those that wait stay in the order in which they were asked for.
RESUME = _script("""
local project, id = ARGV[1], ARGV[2]
local status = redis.call('HGET', record(id), 'status')
if not status then return {'', 0} end
if status ~= 'paused' or not move(id, 'queued') then return {status, 0} end
let_go(project, id)
local created, later = tonumber(redis.call('ZSCORE', JOBS, id)) or 0, nil
for _, other in ipairs(redis.call('LRANGE', waiting(project), 0, -1)) do
  later = later or ((tonumber(redis.call('ZSCORE', JOBS, other)) or 0) >= created and other)
end
if later then
  redis.call('LINSERT', waiting(project), 'BEFORE', later, id)
else
  redis.call('RPUSH', waiting(project), id)
end
redis.call('SADD', WORK, project)
return {status, 1}
""")

# ARGV id, attempt, progress, estimate in s
# Only while this very attempt runs: a late report must neither revive a lost record nor speak for its successor.
PROGRESS = _script("""
local seen = redis.call('HMGET', record(ARGV[1]), 'status', 'attempt')
if seen[1] ~= 'running' or seen[2] ~= ARGV[2] then return 0 end
redis.call('HSET', record(ARGV[1]), 'progress', ARGV[3])
if ARGV[4] ~= '' then redis.call('HSETNX', record(ARGV[1]), 'estimate_seconds', ARGV[4]) end
return 1
""")

# ARGV project, id, lease token    The attempt does not count.
PUT_BACK = _script("""
local project, id = ARGV[1], ARGV[2]
if not runs(project, id, ARGV[3]) or not move(id, 'queued') then return 0 end
redis.call('HINCRBY', record(id), 'attempt', -1)
return 1
""")

# ARGV project, id, lease token, error, progress, ms until the next attempt, when that is
TRY_LATER = _script("""
local project, id = ARGV[1], ARGV[2]
if not runs(project, id, ARGV[3]) or not move(id, 'queued') then return 0 end
redis.call('HINCRBY', record(id), 'retries', 1)
redis.call('HSET', record(id), 'error', ARGV[4], 'progress', ARGV[5], 'retry_at', ARGV[7])
redis.call('SET', rest(project), id, 'PX', ARGV[6])
return 1
""")

# ARGV project, id    A record that nobody can read: it must not stop those behind it.
DISCARD = _script("""
let_go(ARGV[1], ARGV[2])
redis.call('DEL', record(ARGV[2]))
redis.call('ZREM', JOBS, ARGV[2])
redis.call('ZREM', history(ARGV[1]), ARGV[2])
if not has_work(ARGV[1]) then redis.call('SREM', WORK, ARGV[1]) end
return 1
""")

# ARGV grace in ms    Jobs that were stopped so long ago and whose holder still has the lease; forgets those it let go.
OVERDUE = _script("""
local now, overdue = milliseconds(), {}
for index, id in ipairs(redis.call('ZRANGE', STOPPING, 0, -1)) do
  local seen = redis.call('HMGET', record(id), 'project_id', 'owner')
  if not seen[1] or not seen[2] or not holds(seen[1], seen[2]) then
    redis.call('ZREM', STOPPING, id)
  elseif now - redis.call('ZSCORE', STOPPING, id) >= tonumber(ARGV[1]) then
    overdue[#overdue + 1] = id
  end
end
return overdue
""")

# ARGV projects    Two values for each: the status of the job to show for it, or '', and how many paths are dirty.
STANDING = _script("""
local told = {}
for _, project in ipairs(ARGV) do
  local status
  local shown = {
    redis.call('GET', active(project)),
    redis.call('LINDEX', waiting(project), 0),
    redis.call('LINDEX', paused(project), -1),
    redis.call('ZREVRANGE', history(project), 0, 0)[1],
  }
  for _, id in ipairs(shown) do
    status = id and redis.call('HGET', record(id), 'status')
    if status and MOVES[status] then break end
    status = nil
  end
  told[#told + 1] = status or ''
  told[#told + 1] = redis.call('ZCARD', dirty(project))
end
return told
""")
