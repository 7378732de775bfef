"""What a job shows when it is begun again: how far the attempt that runs has come, not another one."""

import pytest
from job_fleet import make_project

from muniment.errors import ErrorBody
from muniment.jobs import FileCounts, JobStatus, Phase, Progress
from muniment.redis_client import job_key, rest_key

AWAY = ErrorBody(code="chroma_unavailable", message="It is away.", remedy="Wait.", retryable=True)
HALF = Progress(phase=Phase.VECTORS, files=FileCounts(total=8, done=8), percent=50.0, chunks=8, last_file="h.py")
NOTHING = Progress()


def shown(job):
    return Progress.model_validate(job.model_dump(include=set(Progress.model_fields)))


def ended_without_finishing(fleet, project, lease, job, how):
    """Returns the lease of who goes on."""
    if how == "killed":
        fleet.leases.release_owned(project.id, lease.owner)
        return fleet.lease(project, "worker-2")
    if how == "paused":
        fleet.queue.pause(job.id)
        fleet.queue.resume(job.id)
    elif how == "put back":
        assert fleet.queue.put_back(lease, job)
    else:
        assert fleet.queue.try_later(lease, job, AWAY, HALF, 60)
        fleet.redis.delete(rest_key(project.id))
    return lease


@pytest.mark.parametrize("how", ["killed", "paused", "put back", "later"])
def test_an_attempt_begins_at_nothing_and_its_counters_never_fall(fleet, how):
    project = make_project()
    lease, job = fleet.running(project)
    assert shown(job) == NOTHING
    fleet.queue.progress(job, HALF)
    lease = ended_without_finishing(fleet, project, lease, job, how)
    before = fleet.queue.get(job.id)
    assert (before.percent, before.chunks, before.last_file) == (50.0, 8, "h.py"), "as far as it came, until it goes on"
    again = fleet.queue.claim_next(lease)
    assert shown(again) == shown(fleet.queue.get(job.id)) == NOTHING
    started = fleet.bus.job_events(job.id)[-1]
    assert (started.type, started.data["job"]["percent"]) == ("index_started", 0.0)
    assert fleet.queue.progress_before(again) == HALF


def test_of_attempts_that_died_before_they_said_anything_the_one_before_counts(fleet):
    project = make_project()
    lease, job = fleet.running(project)
    assert fleet.queue.progress_before(job) == NOTHING
    fleet.queue.progress(job, HALF)
    for _ in range(3):
        job = fleet.queue.claim_next(lease)
    assert fleet.queue.progress_before(job) == HALF


def test_what_nobody_can_read_of_an_earlier_attempt_holds_up_nothing(fleet):
    project = make_project()
    lease, job = fleet.running(project)
    fleet.spoil(job.id, "progress", "{nonsense")
    again = fleet.queue.claim_next(lease)
    assert (again.id, again.attempt) == (job.id, 2)
    assert fleet.queue.progress_before(again) == NOTHING
    assert fleet.queue.finish(lease, again, JobStatus.COMPLETED, HALF)
    assert fleet.redis.ttl(job_key(job.id)) > 0
