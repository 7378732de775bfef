"""The Lua scripts of the job records: each one atomic step that either happens or leaves everything as it was."""

# KEYS waiting, record, jobs, project's jobs, work
# ARGV job prefix, expected waiting id, its expected request, wanted request, new id, project id, created ms,
#      how long history is kept in ms, then the new record's fields and values
REQUEST = """
local waiting = redis.call('GET', KEYS[1]) or ''
if waiting ~= ARGV[2] then return 'changed' end
if waiting ~= '' then
  local known = ARGV[1] .. waiting
  if redis.call('HGET', known, 'status') == 'queued' then
    if redis.call('HGET', known, 'request') ~= ARGV[3] then return 'changed' end
    redis.call('HSET', known, 'request', ARGV[4])
    redis.call('SADD', KEYS[5], ARGV[6])
    return 'joined'
  end
end
for index = 9, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[index], ARGV[index + 1]) end
redis.call('SET', KEYS[1], ARGV[5])
redis.call('ZADD', KEYS[3], ARGV[7], ARGV[5])
redis.call('ZADD', KEYS[4], ARGV[7], ARGV[5])
for _, history in ipairs({KEYS[3], KEYS[4]}) do
  redis.call('ZREMRANGEBYSCORE', history, '-inf', ARGV[7] - ARGV[8])
end
redis.call('SADD', KEYS[5], ARGV[6])
return 'queued'
"""

# KEYS lease, active, waiting, work    ARGV job prefix, project id, lease token, now
# An active record that is neither queued nor running has ended without its pointer: the pointer is stale.
CLAIM = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[3] then return '' end
for _, pointer in ipairs({KEYS[2], KEYS[3]}) do
  local id = redis.call('GET', pointer)
  if id then
    local record = ARGV[1] .. id
    local status = redis.call('HGET', record, 'status')
    redis.call('DEL', pointer)
    if status == 'queued' or (status == 'running' and pointer == KEYS[2]) then
      redis.call('SET', KEYS[2], id)
      redis.call('HSET', record, 'status', 'running', 'owner', ARGV[3])
      redis.call('HINCRBY', record, 'attempt', 1)
      redis.call('HSETNX', record, 'started_at', ARGV[4])
      return id
    end
  end
end
redis.call('SREM', KEYS[4], ARGV[2])
return ''
"""

# KEYS lease, record, active, waiting, dirty, work, standing record, jobs, project's jobs
# ARGV lease token, status, finished at, progress, error, project id, standing id, created ms,
#      how long history is kept in s, then the standing record's fields and values
FINISH = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'lost' end
if redis.call('HGET', KEYS[2], 'status') ~= 'running' then return 'lost' end
redis.call('HSET', KEYS[2], 'status', ARGV[2], 'finished_at', ARGV[3], 'progress', ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'error', ARGV[5]) end
redis.call('EXPIRE', KEYS[2], ARGV[9])
redis.call('DEL', KEYS[3])
local waits = redis.call('EXISTS', KEYS[4]) == 1
if ARGV[2] == 'completed' and not waits and redis.call('ZCARD', KEYS[5]) > 0 then
  for index = 10, #ARGV, 2 do redis.call('HSET', KEYS[7], ARGV[index], ARGV[index + 1]) end
  redis.call('SET', KEYS[4], ARGV[7])
  redis.call('ZADD', KEYS[8], ARGV[8], ARGV[7])
  redis.call('ZADD', KEYS[9], ARGV[8], ARGV[7])
  waits = true
end
if waits then return 'more' end
redis.call('SREM', KEYS[6], ARGV[6])
return 'done'
"""

# KEYS record, active, waiting, work    ARGV job id, project id, now, how long history is kept in s
# Answers the status that the job had. What its holder still does is its own to stop: it looks at its record.
CANCEL = """
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return '' end
if status ~= 'queued' and status ~= 'running' and status ~= 'paused' then return status end
redis.call('HSET', KEYS[1], 'status', 'cancelled', 'finished_at', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
for _, pointer in ipairs({KEYS[2], KEYS[3]}) do
  if redis.call('GET', pointer) == ARGV[1] then redis.call('DEL', pointer) end
end
if redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then redis.call('SREM', KEYS[4], ARGV[2]) end
return status
"""

# KEYS record    ARGV attempt, progress
# Only while this very attempt runs: a late report must neither revive a lost record nor speak for its successor.
PROGRESS = """
local seen = redis.call('HMGET', KEYS[1], 'status', 'attempt')
if seen[1] ~= 'running' or seen[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'progress', ARGV[2])
return 1
"""

# KEYS lease, record    ARGV lease token
PUT_BACK = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], 'status') ~= 'running' then return 0 end
redis.call('HSET', KEYS[2], 'status', 'queued')
redis.call('HINCRBY', KEYS[2], 'attempt', -1)
return 1
"""
