"""The worker service as real processes: serialised per project, side by side between projects, and unkillable."""

from contextlib import closing

import psutil
import pytest
from fleet import NOW, PATIENT, Fleet, ended
from redis import Redis

from muniment.events import EventType
from muniment.indexing import open_index
from muniment.jobs import JobStatus
from muniment.leases import Lease
from muniment.queue import utc_now
from muniment.redis_client import queue_name
from muniment.sqlite import connect as connect_database
from muniment.status import StatusReader


@pytest.fixture
def fleet(tmp_path, valkey_url, chroma_url):
    fleet = Fleet(tmp_path, valkey_url, chroma_url)
    yield fleet
    fleet.stop()


def test_a_queued_job_runs_to_its_end_and_tells(fleet, until):
    project = fleet.project("alpha", 20)
    fleet.start()
    job_id = fleet.request(project)
    until(ended(fleet, job_id), PATIENT)
    assert fleet.is_complete(project, 20)
    told = [event.type for event in fleet.bus.job_events(job_id)]
    assert told == [EventType.JOB_QUEUED, EventType.INDEX_STARTED, EventType.INDEX_COMPLETE]
    assert fleet.leases.holder(project.id) is None


def test_two_projects_run_side_by_side_and_one_never_twice(fleet, until):
    alpha, beta = fleet.project("alpha", 300), fleet.project("beta", 300)
    fleet.start()
    fleet.start()
    first = fleet.request(alpha)
    until(lambda: fleet.queue.get(first).status == JobStatus.RUNNING, PATIENT)
    second, other = fleet.request(alpha), fleet.request(beta)
    until(lambda: fleet.queue.get(other).status == JobStatus.RUNNING and fleet.in_the_middle(alpha), PATIENT)
    assert fleet.queue.get(second).blocked_by == first
    for job_id in (first, second, other):
        until(ended(fleet, job_id), PATIENT)
    jobs = [fleet.queue.get(job_id) for job_id in (first, second)]
    assert jobs[0].finished_at <= jobs[1].started_at
    assert fleet.is_complete(alpha, 300)
    assert fleet.is_complete(beta, 300)


def test_a_job_waits_while_all_slots_are_taken_and_runs_when_one_is_free(fleet, until):
    held = [fleet.leases.acquire(f"other-{number}", f"someone-{number}") for number in range(3)]
    assert all(isinstance(lease, Lease) for lease in held)
    fleet.environment["MUNIMENT_MAX_RUNNING"] = "3"
    project = fleet.project("alpha", 3)
    fleet.start()
    job_id = fleet.request(project)
    until(lambda: all(fleet.leases.renew(lease) for lease in held) and fleet.queue.get(job_id).blocked_by, 10)
    fleet.leases.release(held[0])
    until(ended(fleet, job_id), PATIENT)


def test_a_stopped_worker_revived_after_its_lease_ran_out_writes_nothing_more(fleet, until):
    project = fleet.project("alpha", 400)
    supervisor = fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), PATIENT)
    worker = supervisor.children()[0]
    horse = worker.children()[0]
    for process in (horse, worker, supervisor):
        process.suspend()
    until(lambda: fleet.leases.holder(project.id) is None, 10)
    fleet.start()
    # the flock is still held by the stopped process: nobody writes beside it
    until(lambda: fleet.queue.get(job_id).attempt >= 1 and fleet.leases.holder(project.id) is not None, 20)
    for process in (supervisor, worker, horse):
        process.resume()
    horse.wait(timeout=20)
    until(ended(fleet, job_id), PATIENT)
    assert fleet.is_complete(project, 400)


def test_after_redis_was_wiped_every_project_reconciles(fleet, until):
    project = fleet.project("alpha", 5)
    fleet.start()
    until(ended(fleet, fleet.request(project)), PATIENT)
    (fleet.tmp_path / "alpha" / "new.py").write_text("def added_meanwhile(): ...\n")
    with Redis.from_url(fleet.connections.url) as redis:
        redis.flushall()
    until(lambda: fleet.counters(project).files_vector == 6, PATIENT)
    assert fleet.is_complete(project, 6)


def test_a_lost_bell_is_rung_again(fleet, until):
    project = fleet.project("alpha", 3)
    job_id = fleet.request(project)
    fleet.connections.rq.delete(f"rq:queue:{queue_name(project.id)}")
    fleet.start()
    until(ended(fleet, job_id), PATIENT)


def test_a_job_of_a_project_that_is_gone_is_cancelled_and_leaves_nothing(fleet, until):
    project = fleet.project("alpha", 3)
    fleet.projects.remove(project.id, NOW)
    fleet.start()
    job_id = fleet.request(project)
    until(ended(fleet, job_id, JobStatus.CANCELLED), PATIENT)
    until(lambda: not fleet.queue.has_work(project.id) and fleet.leases.holder(project.id) is None, PATIENT)
    assert not fleet.folder.project(project.id).path.exists()


def test_a_job_that_keeps_killing_its_worker_fails_with_what_to_do(fleet, until):
    fleet.environment["MUNIMENT_MAX_ATTEMPTS"] = "1"
    project = fleet.project("alpha", 400)
    supervisor = fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), PATIENT)
    supervisor.children()[0].children()[0].kill()
    until(ended(fleet, job_id, JobStatus.FAILED), PATIENT)
    assert fleet.queue.get(job_id).error.code == "attempts_exhausted"


def test_a_redis_that_refuses_to_write_for_a_while_ends_neither_the_fleet_nor_the_job(fleet, until):
    project = fleet.project("alpha", 400)
    supervisor = fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), PATIENT)
    log = fleet.tmp_path / "worker.log"
    with Redis.from_url(fleet.connections.url) as redis:
        redis.config_set("min-replicas-to-write", 1)  # as a full disk does: every write is answered with an error
        try:
            until(lambda: "Not enough good replicas" in log.read_text() or "NOREPLICAS" in log.read_text(), 20)
        finally:
            redis.config_set("min-replicas-to-write", 0)
    until(ended(fleet, job_id), PATIENT)
    assert supervisor.is_running()
    assert supervisor.status() != psutil.STATUS_ZOMBIE
    assert fleet.is_complete(project, 400)


def test_a_project_whose_folder_is_no_longer_allowed_is_not_read(fleet, until):
    project = fleet.project("alpha", 3)
    fleet.environment["MUNIMENT_ROOTS"] = str(fleet.tmp_path / "elsewhere")
    fleet.start()
    job_id = fleet.request(project)
    until(ended(fleet, job_id, JobStatus.FAILED), PATIENT)
    assert fleet.queue.get(job_id).error.code == "path_outside_roots"
    assert fleet.counters(project) is None


def test_a_project_that_was_changed_is_not_called_complete_before_it_was_looked_at_again(fleet, until):
    status = StatusReader(fleet.folder, fleet.queue, fleet.dirty, lambda _: 0)
    project = fleet.project("alpha", 3)
    fleet.start()
    until(ended(fleet, fleet.request(project)), PATIENT)
    assert status.project_status(project).up_to_date
    changed, _ = fleet.projects.add_or_update(
        "alpha", watch_paths=None, watch_patterns=["*.md"], watch_exclude=None, watch=None, now=utc_now()
    )
    assert not status.project_status(changed).up_to_date
    assert status.header(changed).lexical_percent < 100
    until(ended(fleet, fleet.request(changed)), PATIENT)
    assert status.project_status(changed).up_to_date
    assert status.header(changed).lexical_percent == 0  # of no file at all, and the header says why
    assert "watch_patterns" in status.header(changed).warnings[0]
    widened, _ = fleet.projects.add_or_update(
        "alpha", watch_paths=None, watch_patterns=["*.py"], watch_exclude=None, watch=None, now=utc_now()
    )
    assert status.header(widened).lexical_percent < 100


def test_what_a_reconcile_could_not_reach_is_not_asked_for_again_and_again(fleet, until):
    project = fleet.project("alpha", 3)
    fleet.start()
    until(ended(fleet, fleet.request(project)), PATIENT)
    until(lambda: fleet.leases.holder(project.id) is None)
    with open_index(fleet.folder.project(project.id), project.id) as index:
        index.manifest.reread([1])
    (fleet.tmp_path / "alpha").rename(fleet.tmp_path / "unmounted")
    last = fleet.request(project)
    until(ended(fleet, last), PATIENT)
    until(lambda: fleet.leases.holder(project.id) is None)
    assert fleet.queue.current(project.id).id == last


def test_an_index_whose_manifest_is_damaged_inside_is_built_anew_by_the_job_that_meets_it(fleet, until):
    project = fleet.project("alpha", 20)
    fleet.start()
    until(ended(fleet, fleet.request(project)), PATIENT)
    until(lambda: fleet.leases.holder(project.id) is None)
    manifest = fleet.folder.project(project.id).manifest
    with closing(connect_database(manifest)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with manifest.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xde\xad" * (size // 2))
    (fleet.tmp_path / "alpha/file1.py").write_text("def changed(): ...\n")
    until(ended(fleet, fleet.request(project)), PATIENT)
    assert fleet.is_complete(project, 20)
