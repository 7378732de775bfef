"""Jobs that are asked for, claimed and ended, leases and dirty paths, on a fake server: the logic, not the timing."""

import pytest
from job_fleet import make_project

from muniment.errors import InternalError, UnknownJob
from muniment.events import EventType
from muniment.jobs import JobKind, JobRequest, JobStatus, Progress
from muniment.leases import Denied, Lease


def test_a_request_is_a_queued_record_with_a_bell(fleet):
    project = make_project()
    requested = fleet.queue.request(project, JobRequest())
    job = fleet.queue.get(requested.job_id)
    assert (job.status, job.kind, job.project, requested.joined) == (
        JobStatus.QUEUED,
        JobKind.RECONCILE,
        "alpha",
        False,
    )
    assert fleet.queue.bells.unanswered(project.id) == 1
    assert fleet.queue.projects_with_work() == [project.id]
    assert fleet.events(job.id) == [EventType.JOB_QUEUED]


def test_a_second_request_joins_the_job_that_waits_and_widens_it(fleet):
    project = make_project()
    first = fleet.queue.request(project, JobRequest(kind=JobKind.UPDATE, paths=["a.py"]))
    second = fleet.queue.request(project, JobRequest(kind=JobKind.REINDEX))
    assert second.job_id == first.job_id
    assert second.joined
    assert fleet.queue.get(first.job_id).request == JobRequest(kind=JobKind.REINDEX)


def test_while_one_runs_at_most_one_more_waits(fleet):
    project = make_project()
    first = fleet.queue.request(project, JobRequest())
    fleet.queue.claim_next(fleet.lease(project))
    second = fleet.queue.request(project, JobRequest())
    third = fleet.queue.request(project, JobRequest())
    assert first.job_id != second.job_id == third.job_id


def test_claiming_runs_the_job_and_finishing_ends_it(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    job = fleet.queue.claim_next(lease)
    assert (job.status, job.attempt) == (JobStatus.RUNNING, 1)
    assert fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress(chunks=7))
    ended = fleet.queue.get(job.id)
    assert (ended.status, ended.chunks, ended.percent) == (JobStatus.COMPLETED, 7, 100.0)
    assert fleet.queue.projects_with_work() == []
    assert fleet.queue.claim_next(lease) is None
    assert fleet.events(job.id) == [EventType.JOB_QUEUED, EventType.INDEX_STARTED, EventType.INDEX_COMPLETE]


def test_the_job_of_a_dead_worker_is_claimed_again_before_the_one_that_waits(fleet):
    project = make_project()
    first = fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    fleet.queue.claim_next(lease)
    fleet.queue.request(project, JobRequest())
    fleet.leases.release_owned(project.id, "worker-1")  # it was killed
    again = fleet.queue.claim_next(fleet.lease(project, "worker-2"))
    assert (again.id, again.attempt) == (first.job_id, 2)


def test_a_worker_without_the_lease_claims_and_ends_nothing(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    old = fleet.lease(project, "old")
    job = fleet.queue.claim_next(old)
    fleet.leases.release_owned(project.id, "old")
    new = fleet.lease(project, "new")
    assert fleet.queue.claim_next(old) is None
    assert not fleet.queue.finish(old, job, JobStatus.COMPLETED, Progress())
    assert not fleet.queue.put_back(old, job)
    assert fleet.queue.get(job.id).status == JobStatus.RUNNING
    assert fleet.queue.claim_next(new).id == job.id


def test_an_edit_in_the_instant_a_job_ends_makes_a_standing_update(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    job = fleet.queue.claim_next(lease)
    fleet.dirty.add(project.id, ["late.py"])
    fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    [standing] = fleet.queue.waiting(project.id)
    assert standing.request.only_dirty
    assert fleet.queue.has_work(project.id)


def test_a_failed_job_carries_its_error_and_what_it_had_done(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    job = fleet.queue.claim_next(lease)
    fleet.queue.finish(lease, job, JobStatus.FAILED, Progress(chunks=3), InternalError("boom").body())
    failed = fleet.queue.get(job.id)
    assert (failed.status, failed.error.code, failed.chunks) == (JobStatus.FAILED, "internal", 3)
    assert fleet.events(job.id)[-1] == EventType.INDEX_FAILED


def test_a_project_has_one_lease_at_a_time_and_the_fleet_a_bounded_number(fleet):
    one, two, three = (make_project(name) for name in ("one", "two", "three"))
    lease = fleet.lease(one, "a")
    assert fleet.leases.acquire(one.id, "b") == Denied("a")
    fleet.lease(two, "b")
    assert fleet.leases.acquire(three.id, "c") == Denied(None)
    assert not fleet.leases.slot_free()
    assert fleet.leases.release(lease)
    assert not fleet.leases.release(lease)
    assert isinstance(fleet.leases.acquire(three.id, "c"), Lease)


def test_a_lease_is_renewed_only_by_its_holder(fleet):
    project = make_project()
    old = fleet.lease(project, "old")
    assert fleet.leases.renew(old)
    fleet.leases.release_owned(project.id, "somebody else")
    assert fleet.leases.renew(old)
    fleet.leases.release_owned(project.id, "old")
    fleet.lease(project, "new")
    assert not fleet.leases.renew(old)
    assert fleet.leases.holder(project.id).owner == "new"


def test_a_path_that_changed_again_while_it_was_indexed_stays_dirty(fleet):
    fleet.dirty.add("p", ["a.py", "b.py"])
    taken = fleet.dirty.peek("p", 10)
    fleet.dirty.add("p", ["a.py"])
    fleet.dirty.remove("p", taken)
    assert list(fleet.dirty.peek("p", 10)) == ["a.py"]


def test_dirty_paths_are_taken_oldest_first(fleet):
    fleet.dirty.add("p", ["b.py", "a.py"])
    fleet.dirty.add("p", ["b.py"])
    assert list(fleet.dirty.peek("p", 10)) == ["a.py", "b.py"]
    assert fleet.dirty.first("p") < fleet.dirty.last("p")
    assert fleet.dirty.count("p") == 2


def test_a_new_server_is_unknown_until_it_is_marked(fleet):
    assert not fleet.queue.epoch_known()
    fleet.queue.mark_epoch()
    assert fleet.queue.epoch_known()


def test_joined_requests_leave_one_unanswered_bell(fleet):
    project = make_project()
    for _ in range(5):
        fleet.queue.request(project, JobRequest(kind=JobKind.UPDATE))
    assert fleet.queue.bells.unanswered(project.id) == 1


def test_a_late_report_neither_revives_a_lost_record_nor_speaks_for_its_successor(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    first = fleet.queue.claim_next(fleet.lease(project, "old"))
    fleet.leases.release_owned(project.id, "old")
    second = fleet.queue.claim_next(fleet.lease(project, "new"))
    fleet.queue.progress(second, Progress(chunks=2))
    fleet.queue.progress(first, Progress(chunks=1))
    assert fleet.queue.get(first.id).chunks == 2
    fleet.connections.rq.flushall()
    fleet.queue.progress(second, Progress(chunks=3))
    with pytest.raises(UnknownJob):
        fleet.queue.get(second.id)


def test_crashes_are_counted_apart_from_attempts(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    job = fleet.queue.claim_next(fleet.lease(project))
    assert fleet.queue.crashes(job) == 0
    fleet.queue.note_crash(project.id)
    assert fleet.queue.crashes(job) == 1
    fleet.queue.note_crash("nobody-abc234")


def test_of_a_forgotten_project_only_the_records_of_its_jobs_are_left(fleet):
    project, other = make_project(), make_project("alpha-abc234-x")
    for one in (project, other):
        fleet.queue.request(one, JobRequest())
        fleet.queue.claim_next(fleet.lease(one))
        fleet.queue.request(one, JobRequest())
        fleet.dirty.add(one.id, ["a.py"])
    before = set(fleet.connections.rq.scan_iter())
    fleet.queue.cancel_all(project.id)
    assert fleet.queue.forget(project.id)
    gone = before - set(fleet.connections.rq.scan_iter())
    names = {key.decode() for key in before if key.decode().endswith(project.id)}
    assert {key.decode() for key in gone if not key.startswith(b"rq:job:")} == names
    assert all(job.status == JobStatus.CANCELLED for job in fleet.queue.list().items if job.project_id == project.id)
    assert fleet.queue.projects_with_work() == [other.id]
    assert fleet.queue.has_work(other.id)
    assert fleet.leases.holder(other.id) is not None
    assert fleet.queue.forget(project.id), "harmless to repeat"


def test_a_project_is_not_forgotten_while_a_worker_lingers_on_its_queue(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    redis = fleet.connections.rq
    redis.sadd(f"rq:workers:muniment-{project.id}", "rq:worker:lingers")
    redis.set("rq:worker:lingers", "x")
    assert not fleet.queue.forget(project.id)
    redis.delete("rq:worker:lingers")
    assert fleet.queue.forget(project.id), "a worker that was killed is none"


def test_a_request_behind_one_that_nobody_can_read_is_a_job_of_its_own(fleet):
    project = make_project()
    broken = fleet.asked(project)
    fleet.spoil(broken, "request", "{")
    requested = fleet.queue.request(project, JobRequest())
    assert not requested.joined
    assert requested.job_id != broken
    assert fleet.queue.request(project, JobRequest()).joined


def test_a_request_joins_one_that_another_version_wrote(fleet):
    project = make_project()
    waiting = fleet.asked(project)
    fleet.spoil(waiting, "request", '{"kind": "update", "paths": ["a"]}')
    assert fleet.queue.request(project, JobRequest(kind=JobKind.REINDEX)).job_id == waiting
    assert fleet.queue.get(waiting).kind == JobKind.REINDEX


@pytest.mark.parametrize("field", ["request", "created_at", "retries"])
def test_a_record_that_nobody_can_read_does_not_stop_those_behind_it(fleet, field):
    project = make_project()
    broken = fleet.asked(project)
    fleet.spoil(broken, field, "{nonsense")
    good = fleet.asked(project)
    assert fleet.queue.claim_next(fleet.lease(project)).id == good
    assert fleet.queue.waiting(project.id) == []
    assert fleet.queue.projects_with_work() == [project.id]


@pytest.mark.parametrize("field", ["attempt", "error", "progress"])
def test_a_claim_mends_what_it_writes_anyway(fleet, field):
    project = make_project()
    broken = fleet.asked(project)
    fleet.spoil(broken, field, "{nonsense")
    job = fleet.queue.claim_next(fleet.lease(project))
    assert (job.id, job.attempt, job.error) == (broken, 1, None)


def test_an_update_that_stands_in_is_told_as_any_other_job(fleet):
    project = make_project()
    lease, job = fleet.running(project)
    fleet.dirty.add(project.id, ["late.py"])
    fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    [standing] = fleet.queue.waiting(project.id)
    assert fleet.events(standing.id) == [EventType.JOB_QUEUED]
