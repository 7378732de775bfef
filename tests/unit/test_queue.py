"""Job records, leases, dirty paths and events, on a fake server: their logic, not their timing."""

from datetime import UTC, datetime

import pytest
from fakeredis import FakeRedis, FakeServer

from muniment.bus import Bus
from muniment.dirty import DirtyPaths
from muniment.errors import IllegalMove, InternalError, InvalidValue, UnknownJob
from muniment.events import EventType
from muniment.job_history import sweep_history
from muniment.job_records import NO_SLOT
from muniment.jobs import JobKind, JobRequest, JobStatus, Progress
from muniment.leases import Denied, Lease, Leases
from muniment.project import Project
from muniment.queue import JobQueue
from muniment.redis_client import Connections, text_client
from muniment.testing import ManualClock

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def make_project(name="alpha"):
    return Project(id=f"{name}-abc234", name=name, watch_paths=["/src"], created_at=NOW, updated_at=NOW)


class Fleet:
    """Everything on one fake server."""

    def __init__(self):
        server = FakeServer()
        records = text_client(FakeRedis(server=server, decode_responses=True))
        self.connections = Connections("fake", records, FakeRedis(server=server))
        self.clock = ManualClock()
        self.bus = Bus(records)
        self.leases = Leases(records, seconds=8, max_running=2)
        self.queue = JobQueue(self.connections, self.bus, self.leases, self.clock)
        self.dirty = DirtyPaths(records)

    def lease(self, project, owner="worker-1"):
        lease = self.leases.acquire(project.id, owner)
        assert isinstance(lease, Lease)
        return lease

    def events(self, job_id):
        return [event.type for event in self.bus.job_events(job_id)]


@pytest.fixture
def fleet():
    return Fleet()


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
    assert fleet.queue.rings(project.id) == 1
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


def test_a_job_behind_a_running_one_is_shown_as_blocked_by_it(fleet):
    project = make_project()
    first = fleet.queue.request(project, JobRequest())
    fleet.queue.claim_next(fleet.lease(project))
    second = fleet.queue.get(fleet.queue.request(project, JobRequest()).job_id)
    assert (second.status, second.blocked_by) == (JobStatus.BLOCKED, first.job_id)
    page = fleet.queue.list(statuses=frozenset({JobStatus.BLOCKED}))
    assert [job.id for job in page.items] == [second.id]


def test_a_job_without_a_free_slot_is_shown_as_blocked(fleet):
    for name in ("one", "two"):
        fleet.lease(make_project(name), owner=name)
    job = fleet.queue.get(fleet.queue.request(make_project("three"), JobRequest()).job_id)
    assert (job.status, job.blocked_by) == (JobStatus.BLOCKED, NO_SLOT)


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


def test_an_unknown_job_is_an_error_that_says_so(fleet):
    with pytest.raises(UnknownJob, match="nope"):
        fleet.queue.get("nope")


def test_pages_are_newest_first_and_stay_the_same_when_jobs_come_in_front(fleet):
    ids = []
    for number in range(5):
        project = make_project(f"p{number}")
        fleet.clock.advance(0 if number % 2 else 1)  # equal times too
        ids.append(fleet.queue.request(project, JobRequest()).job_id)
    first = fleet.queue.list(limit=2)
    fleet.clock.advance(1)
    fleet.queue.request(make_project("newer"), JobRequest())
    seen, page = list(first.items), first
    while page.next:
        page = fleet.queue.list(limit=2, cursor=page.next)
        seen += page.items
    assert sorted(job.id for job in seen) == sorted(ids)
    assert [job.created_at for job in seen] == sorted((job.created_at for job in seen), reverse=True)


def test_jobs_are_listed_by_project_and_path(fleet):
    alpha, beta = make_project("alpha"), make_project("beta")
    wanted = fleet.queue.request(alpha, JobRequest(kind=JobKind.UPDATE, paths=["lib/a.py"]))
    fleet.queue.request(beta, JobRequest())
    assert [job.id for job in fleet.queue.list(project_id=alpha.id).items] == [wanted.job_id]
    assert [job.id for job in fleet.queue.list(path="lib/").items] == [wanted.job_id]


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


def test_a_cursor_that_no_page_gave_is_refused(fleet):
    with pytest.raises(InvalidValue, match="nonsense"):
        fleet.queue.list(cursor="nonsense")


def test_joined_requests_leave_one_unanswered_bell(fleet):
    project = make_project()
    for _ in range(5):
        fleet.queue.request(project, JobRequest(kind=JobKind.UPDATE))
    assert fleet.queue.rings(project.id) == 1


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


def test_an_ended_job_is_kept_for_a_week_and_older_ones_leave_the_list(fleet):
    project = make_project()
    fleet.queue.request(project, JobRequest())
    lease = fleet.lease(project)
    job = fleet.queue.claim_next(lease)
    fleet.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    assert 0 < fleet.connections.rq.ttl(f"muniment:job:{job.id}") <= 7 * 24 * 3600
    paused = fleet.queue.pause(fleet.queue.request(project, JobRequest()).job_id)
    assert sweep_history(fleet.connections.records, fleet.clock.advance(6 * 24 * 3600)) == 0
    assert sweep_history(fleet.connections.records, fleet.clock.advance(2 * 24 * 3600)) == 2
    assert [listed.id for listed in fleet.queue.list().items] == [paused.id]
    assert [listed.id for listed in fleet.queue.list(project_id=project.id).items] == [paused.id]


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
    with pytest.raises(IllegalMove, match="cancelled and cannot become cancelled"):
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
    fleet.connections.records.delete(f"muniment:job:{first.id}")
    assert not fleet.queue.is_running(second)


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
