"""How long jobs are remembered: those that ended longer ago than history is kept leave the lists."""

from datetime import datetime, timedelta

from muniment.bus import JOB_EVENTS_SECONDS
from muniment.job_records import as_job, is_over
from muniment.jobs import HISTORY_SECONDS
from muniment.redis_client import JOBS, Records, job_events_key, job_key, project_jobs_key

AHEAD = timedelta(days=2)  # before their events would go, jobs that go on keep them: there is a sweep every day


def sweep_history(redis: Records, now: datetime) -> int:
    """Returns how many jobs were swept. Harmless to repeat, and when two do it at once."""
    ended_before = now - timedelta(seconds=HISTORY_SECONDS)
    lists = [JOBS, *redis.scan_iter(match=project_jobs_key("*"))]
    return sum(_sweep(redis, key, ended_before) for key in lists)


def _sweep(redis: Records, key: str, ended_before: datetime) -> int:
    """Takes the old ones out of one list. Records that have ended expire by themselves."""
    swept = 0
    for job_id in redis.zrangebyscore(key, "-inf", int((ended_before + AHEAD).timestamp() * 1000)):
        job = as_job(redis.hgetall(job_key(job_id)))
        if job is not None and not is_over(job):  # one that is paused may be older than any history
            redis.expire(job_events_key(job_id), JOB_EVENTS_SECONDS)
        elif job is None or job.finished_at is None or job.finished_at <= ended_before:
            swept += redis.zrem(key, job_id)
    return swept
