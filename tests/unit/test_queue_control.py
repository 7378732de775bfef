"""Pausing, resuming, cancelling and retrying jobs, putting them back, and holders that do not let go."""

from datetime import timedelta

import pytest
from job_fleet import make_project

from muniment.errors import ErrorBody, IllegalMove, UnknownJob
from muniment.events import EventType
from muniment.job_records import RESTING
from muniment.jobs import JobKind, JobRequest, JobStatus, Progress
from muniment.redis_client import rest_key

AWAY = ErrorBody(code="chroma_unavailable", message="It is away.", remedy="Wait.", retryable=True)
UPDATE = JobRequest(kind=JobKind.UPDATE)


def test_a_job_that_was_put_back_comes_first_and_does_not_count_the_attempt(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    job = fleet.queue.claim_next(lease)
    fleet.queue.request(project, JobRequest())
    assert fleet.queue.put_back(lease, job)
    assert fleet.queue.get(job.id).status == JobStatus.QUEUED
    again = fleet.queue.claim_next(lease)
    assert (again.id, again.attempt) == (job.id, 1)


def test_a_queued_job_is_cancelled_and_told(fleet):
    project = make_project()
    job_id = fleet.queue.request(project, JobRequest()).job_id
    job = fleet.queue.cancel(job_id)
    assert (job.status, job.finished_at) == (JobStatus.CANCELLED, fleet.clock.now)
    assert fleet.events(job_id) == [EventType.JOB_QUEUED, EventType.INDEX_CANCELLED]
    assert not fleet.queue.has_work(project.id)
    assert fleet.queue.projects_with_work() == []
    assert fleet.queue.claim_next(fleet.lease(project)) is None


def test_a_cancelled_pass_sees_it_and_can_end_nothing(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    job = fleet.queue.claim_next(lease)
    assert fleet.queue.is_running(job)
    fleet.queue.cancel(job.id)
    assert not fleet.queue.is_running(job)
    fleet.queue.progress(job, Progress(percent=50))
    assert not fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    assert not fleet.queue.put_back(lease, job)
    assert fleet.queue.get(job.id).status == JobStatus.CANCELLED
    assert fleet.queue.get(job.id).percent == 0


def test_cancelling_the_running_job_leaves_the_one_that_waits(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    running = fleet.queue.claim_next(lease)
    waiting = fleet.queue.request(project, JobRequest()).job_id
    fleet.queue.cancel(running.id)
    assert fleet.queue.projects_with_work() == [project.id]
    assert fleet.queue.claim_next(lease).id == waiting


def test_what_has_ended_cannot_be_cancelled(fleet):
    project = make_project()
    job_id = fleet.queue.request(project, JobRequest()).job_id
    fleet.queue.cancel(job_id)
    with pytest.raises(IllegalMove, match="cancelled and cannot be cancelled"):
        fleet.queue.cancel(job_id)
    with pytest.raises(UnknownJob):
        fleet.queue.cancel("0000000000000000")


def test_an_attempt_that_was_put_back_and_claimed_again_is_another_one(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    first = fleet.queue.claim_next(lease)
    second = fleet.queue.claim_next(lease)
    assert first.id == second.id
    assert not fleet.queue.is_running(first)
    assert fleet.queue.is_running(second)
    fleet.redis.delete(f"muniment:job:{first.id}")
    assert not fleet.queue.is_running(second)


def test_a_paused_job_waits_for_nobody_and_goes_on_when_it_is_resumed(fleet):
    project = make_project()
    job_id = fleet.asked(project)
    assert fleet.queue.pause(job_id).status == JobStatus.PAUSED
    lease = fleet.lease(project)
    assert fleet.queue.claim_next(lease) is None
    assert fleet.queue.projects_with_work() == []
    assert [job.id for job in fleet.queue.paused(project.id)] == [job_id]
    assert fleet.queue.resume(job_id).status == JobStatus.QUEUED
    assert fleet.queue.bells.unanswered(project.id) == 1
    assert fleet.queue.claim_next(lease).id == job_id
    assert fleet.events(job_id) == [
        EventType.JOB_QUEUED,
        EventType.INDEX_PAUSED,
        EventType.INDEX_RESUMED,
        EventType.INDEX_STARTED,
    ]


def test_pausing_ends_the_attempt_and_resuming_makes_another(fleet):
    project = make_project()
    lease, job = fleet.running(project)
    fleet.queue.pause(job.id)
    assert not fleet.queue.is_running(job)
    fleet.queue.resume(job.id)
    assert not fleet.queue.is_running(job)
    again = fleet.queue.claim_next(lease)
    assert (again.id, again.attempt) == (job.id, 2)
    assert not fleet.queue.is_running(job)


@pytest.mark.parametrize("end", ["put back", "later", "completed"])
def test_who_ran_a_paused_job_cannot_take_it_out_of_its_pause(fleet, end):
    project = make_project()
    lease, job = fleet.running(project)
    fleet.queue.pause(job.id)
    if end == "put back":
        assert not fleet.queue.put_back(lease, job)
    elif end == "later":
        assert not fleet.queue.try_later(lease, job, AWAY, Progress(), 5)
    else:
        assert not fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    assert fleet.queue.get(job.id).status == JobStatus.PAUSED
    assert fleet.queue.resume(job.id).status == JobStatus.QUEUED


def test_a_request_does_not_join_a_paused_job(fleet):
    project = make_project()
    paused = fleet.asked(project)
    fleet.queue.pause(paused)
    assert fleet.asked(project) != paused


def test_resumed_jobs_take_their_turn_by_when_they_were_asked_for(fleet):
    project = make_project()
    asked = []
    for _ in range(3):
        asked.append(fleet.asked(project))
        fleet.queue.pause(asked[-1])
        fleet.clock.advance(1)
    last = fleet.asked(project)
    for number in (1, 2, 0):
        fleet.queue.resume(asked[number])
    assert [job.id for job in fleet.queue.waiting(project.id)] == [*asked, last]


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_an_update_takes_what_is_dirty_when_its_job_is_stopped(fleet, verb):
    """Whether the job ran or waited: the edit joined it, and nobody will ask again."""
    for name, claimed in (("ran", True), ("waited", False)):
        project = make_project(name)
        job_id = fleet.running(project)[1].id if claimed else fleet.asked(project)
        fleet.dirty.add(project.id, ["a.py"])
        getattr(fleet.queue, verb)(job_id)
        [standing] = fleet.queue.waiting(project.id)
        assert standing.request.only_dirty
        assert fleet.events(standing.id) == [EventType.JOB_QUEUED]


def test_an_update_that_is_stopped_is_not_followed_by_the_same_again(fleet):
    project = make_project()
    _, job = fleet.running(project, UPDATE)
    fleet.dirty.add(project.id, ["a.py"])
    fleet.queue.pause(job.id)
    assert fleet.queue.waiting(project.id) == []
    fleet.queue.cancel(job.id)
    assert fleet.queue.waiting(project.id) == []


@pytest.mark.parametrize(
    ("status", "verb", "answer"),
    [
        ("queued", "resume", "is queued and cannot be resumed. What a queued job can be: cancelled, paused."),
        ("running", "resume", "is running and cannot be resumed. What a running job can be: cancelled, paused."),
        ("running", "retry", "is running and cannot be retried. What a running job can be: cancelled, paused."),
        ("paused", "pause", "is paused and cannot be paused. What a paused job can be: cancelled, resumed."),
        ("failed", "cancel", "is failed and cannot be cancelled. What a failed job can be: retried."),
        ("completed", "retry", "is completed and cannot be retried. What a completed job can be: nothing else."),
    ],
)
def test_a_refusal_names_what_is_allowed(fleet, status, verb, answer):
    project = make_project()
    if status in ("completed", "failed"):
        job_id = fleet.finished(project, JobStatus(status))
    else:
        job_id = fleet.running(project)[1].id if status == "running" else fleet.asked(project)
    if status == "paused":
        fleet.queue.pause(job_id)
    with pytest.raises(IllegalMove) as refusal:
        getattr(fleet.queue, verb)(job_id)
    assert str(refusal.value) == f"Job {job_id} {answer}"
    assert fleet.queue.get(job_id).status == status


def test_a_retry_asks_anew_for_the_same_and_joins_what_waits(fleet):
    project = make_project()
    wanted = JobRequest(kind=JobKind.REINDEX, paths=["lib"])
    lease, job = fleet.running(project, wanted)
    fleet.queue.finish(lease, job, JobStatus.FAILED, Progress())
    retried = fleet.queue.retry(job.id)
    assert retried.job_id != job.id
    assert not retried.joined
    assert fleet.queue.get(retried.job_id).request == wanted
    assert fleet.queue.get(job.id).status == JobStatus.FAILED
    again = fleet.queue.retry(job.id)
    assert (again.job_id, again.joined) == (retried.job_id, True)
    fleet.queue.cancel(again.job_id)
    assert not fleet.queue.retry(again.job_id).joined


def test_a_job_that_is_tried_later_says_why_and_when_and_blocks_its_project(fleet):
    project = make_project()
    lease, job = fleet.running(project)
    behind = fleet.asked(project)
    assert fleet.queue.try_later(lease, job, AWAY, Progress(chunks=4), 60)
    resting = fleet.queue.get(job.id)
    assert (resting.status, resting.blocked_by) == (JobStatus.BLOCKED, RESTING)
    assert (resting.retries, resting.chunks, resting.error) == (1, 4, AWAY)
    assert resting.retry_at == fleet.clock.now + timedelta(seconds=60)
    assert fleet.queue.get(behind).blocked_by == job.id
    assert fleet.queue.claim_next(lease) is None
    assert fleet.queue.projects_with_work() == []
    fleet.redis.delete(rest_key(project.id))
    assert fleet.queue.projects_with_work() == [project.id]
    again = fleet.queue.claim_next(lease)
    assert (again.id, again.error, again.retry_at, again.retries) == (job.id, None, None, 1)


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_a_job_that_was_to_be_tried_later_makes_way_when_it_is_stopped(fleet, verb):
    project = make_project()
    lease, job = fleet.running(project)
    behind = fleet.asked(project)
    fleet.queue.try_later(lease, job, AWAY, Progress(), 60)
    assert getattr(fleet.queue, verb)(job.id).retry_at is None
    assert fleet.queue.claim_next(lease).id == behind


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_a_holder_that_does_not_let_go_of_a_stopped_job_is_overdue(fleet, verb):
    project = make_project()
    lease, job = fleet.running(project)
    assert fleet.queue.overdue(0) == []
    getattr(fleet.queue, verb)(job.id)
    assert fleet.queue.overdue(3600) == []
    assert [late.id for late in fleet.queue.overdue(0)] == [job.id]
    assert [late.id for late in fleet.queue.stopping()] == [job.id]
    fleet.leases.release(lease)
    assert fleet.queue.overdue(0) == []
    assert fleet.queue.stopping() == []


def test_a_job_that_goes_on_under_another_lease_is_not_overdue(fleet):
    """Resumed before anybody looked: whoever runs it now must not be killed for its pause."""
    project = make_project()
    lease, job = fleet.running(project)
    fleet.queue.pause(job.id)
    fleet.leases.release(lease)
    fleet.queue.resume(job.id)
    assert fleet.queue.claim_next(fleet.lease(project, "worker-2")).id == job.id
    assert fleet.queue.overdue(0) == []
    assert fleet.queue.stopping() == []


def test_a_job_that_was_resumed_is_overdue_while_the_old_holder_does_not_let_go(fleet):
    project = make_project()
    _, job = fleet.running(project)
    fleet.queue.pause(job.id)
    fleet.queue.resume(job.id)
    assert [late.id for late in fleet.queue.overdue(0)] == [job.id]


def test_who_has_the_lease_ends_only_what_was_claimed_under_it(fleet):
    project = make_project()
    _, job = fleet.running(project)
    fleet.leases.release_owned(project.id, "worker-1")  # it was killed
    lease = fleet.lease(project, "worker-2")
    assert not fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    assert not fleet.queue.put_back(lease, job)
    assert not fleet.queue.try_later(lease, job, AWAY, Progress(), 5)
    assert fleet.queue.get(job.id).status == JobStatus.RUNNING


@pytest.mark.parametrize(("request_", "stands"), [(JobRequest(), True), (UPDATE, False)])
def test_what_is_dirty_has_an_update_after_a_job_that_failed_unless_that_was_one(fleet, request_, stands):
    project = make_project()
    lease, job = fleet.running(project, request_)
    fleet.dirty.add(project.id, ["a.py"])
    assert fleet.queue.finish(lease, job, JobStatus.FAILED, Progress(), AWAY)
    assert [waiting.kind for waiting in fleet.queue.waiting(project.id)] == [JobKind.UPDATE] * stands
