"""What is remembered of jobs goes away by itself, and no sooner than the job."""

from typing import cast

import pytest
from job_fleet import make_project

from muniment.bus import JOB_EVENTS_SECONDS
from muniment.events import EventType
from muniment.indexing import PassTools
from muniment.job_history import sweep_history
from muniment.jobs import HISTORY_SECONDS, JobRequest, JobStatus, Progress
from muniment.queue import JobQueue
from muniment.redis_client import job_events_key, job_key
from muniment.testing import ManualClock
from muniment_api.deps import Services
from muniment_worker.supervisor import Supervisor
from muniment_worker.tasks import Desk

DAY = 24 * 3600
STARTED = [EventType.JOB_QUEUED, EventType.INDEX_STARTED]


def test_old_jobs_are_swept_when_the_supervisor_starts_and_once_a_day_after_that(services: Services) -> None:
    desk = Desk(services.settings, services.connections, services.leases, services.queue, cast(PassTools, None))
    long_ago = JobQueue(services.connections, services.bus, services.leases, ManualClock())

    def asked_long_ago() -> str:
        job_id = long_ago.request(make_project(), JobRequest()).job_id
        long_ago.cancel(job_id)
        return job_id

    def listed() -> list[str]:
        return [job.id for job in services.queue.list().items]

    seconds = 0.0
    supervisor = Supervisor(services.settings, lambda: seconds)
    asked_long_ago()
    assert len(listed()) == 1
    supervisor.tick(desk)
    assert listed() == []
    old = asked_long_ago()
    seconds = DAY - 1.0
    supervisor.tick(desk)
    assert listed() == [old], "a look at all jobs once a day is enough"
    seconds = DAY + 1.0
    supervisor.tick(desk)
    assert listed() == []


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_the_events_of_a_job_that_ended_go_when_its_record_goes(fleet, status):
    lease, job = fleet.running(make_project())
    assert fleet.redis.ttl(job_key(job.id)) == -1, "it is kept until it has ended"
    if status == JobStatus.CANCELLED:
        fleet.queue.cancel(job.id)
    else:
        assert fleet.queue.finish(lease, job, status, Progress())
    record, events = (fleet.redis.ttl(key) for key in (job_key(job.id), job_events_key(job.id)))
    assert HISTORY_SECONDS - 60 < record <= HISTORY_SECONDS
    assert abs(record - events) < 60


def test_what_happened_to_a_job_is_known_as_long_as_it_goes_on(fleet):
    project = make_project()
    _, job = fleet.running(project)
    fleet.queue.pause(job.id)
    events, told = job_events_key(job.id), fleet.events(job.id)
    for day in range(1, 30):
        fleet.redis.expire(events, fleet.redis.ttl(events) - DAY)  # a day goes by
        sweep_history(fleet.redis, fleet.clock.advance(DAY))
        assert fleet.events(job.id) == told == [*STARTED, EventType.INDEX_PAUSED], f"on day {day}"
    fleet.queue.cancel(job.id)
    assert 0 < fleet.redis.ttl(events) <= JOB_EVENTS_SECONDS
