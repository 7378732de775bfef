"""How long jobs are remembered."""

from job_fleet import make_project

from muniment.job_history import sweep_history
from muniment.jobs import HISTORY_SECONDS, JobRequest, JobStatus, Progress
from muniment.redis_client import JOBS, job_key, project_jobs_key

DAY = 24 * 3600


def test_an_ended_job_is_kept_for_a_week_and_older_ones_leave_the_list(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    job = fleet.queue.claim_next(lease)
    fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    assert 0 < fleet.connections.rq.ttl(f"muniment:job:{job.id}") <= 7 * 24 * 3600
    paused = fleet.queue.pause(fleet.queue.request(project, JobRequest()).job_id)
    assert sweep_history(fleet.redis, fleet.clock.advance(6 * 24 * 3600)) == 0
    assert sweep_history(fleet.redis, fleet.clock.advance(2 * 24 * 3600)) == 2
    assert [listed.id for listed in fleet.queue.list().items] == [paused.id]
    assert [listed.id for listed in fleet.queue.list(project_id=project.id).items] == [paused.id]


def test_a_job_that_goes_on_is_kept_however_old_it_is(fleet):
    waits, rests, runs = make_project("waits"), make_project("rests"), make_project("runs")
    kept = {fleet.asked(waits), fleet.asked(rests), fleet.running(runs)[1].id}
    [resting] = fleet.queue.waiting(rests.id)
    fleet.queue.pause(resting.id)
    assert sweep_history(fleet.redis, fleet.clock.advance(3 * HISTORY_SECONDS)) == 0
    assert {job.id for job in fleet.queue.list().items} == kept


def test_a_job_is_remembered_from_its_end_on_not_from_its_beginning(fleet):
    project = make_project()
    lease, job = fleet.running(project)
    fleet.clock.advance(HISTORY_SECONDS)
    fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    assert sweep_history(fleet.redis, fleet.clock.advance(6 * DAY)) == 0
    assert sweep_history(fleet.redis, fleet.clock.advance(DAY)) == 2, "the fleet's list and the project's"


def test_old_records_that_are_gone_or_that_nobody_can_read_leave_the_lists(fleet):
    gone, broken = make_project("gone"), make_project("broken")
    fleet.redis.delete(job_key(fleet.asked(gone)))
    fleet.spoil(fleet.asked(broken), "request", "{")
    assert sweep_history(fleet.redis, fleet.clock.advance(8 * DAY)) == 4
    assert [fleet.redis.zcard(key) for key in (JOBS, project_jobs_key(gone.id), project_jobs_key(broken.id))] == [0] * 3
    assert sweep_history(fleet.redis, fleet.clock.now) == 0, "harmless to repeat"
