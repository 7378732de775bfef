"""Garbage in Redis, several supervisors, many projects: whatever comes between, each job has its turn."""

import time

import pytest
from fleet import PATIENT, Fleet, attempts, ended, has_ended_well, let_go, waits_for

from muniment.jobs import Phase
from muniment.redis_client import WORK, job_key, queue_name, waiting_key

pytestmark = pytest.mark.endurance
FILES = 400


@pytest.fixture
def fleet(tmp_path, valkey_url, chroma_url):
    fleet = Fleet(tmp_path, valkey_url, chroma_url)
    yield fleet
    fleet.stop()


# --- records and entries that nobody wrote ----------------------------------------------------------------------------


MALFORMED = {
    "request that is no JSON": ("request", "{"),
    "no time": ("created_at", "yesterday"),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_a_record_that_nobody_can_read_holds_up_neither_its_project_nor_another(fleet, until, fault):
    project, other = fleet.project("alpha", 3), fleet.project("beta", 3)
    spoiled = fleet.request(project)
    field, value = MALFORMED[fault]
    fleet.connections.records.hset(job_key(spoiled), field, value)
    behind = fleet.request(project)
    assert behind != spoiled
    fleet.start()
    for job_id in (behind, fleet.request(other)):
        until(ended(fleet, job_id), PATIENT)
    if field in {"attempt", "progress"}:  # begun anew, so it can be read again
        assert ended(fleet, spoiled)()
    else:
        assert f"job {spoiled} of {project.id} is dropped" in (fleet.tmp_path / "worker.log").read_text()
    assert spoiled not in fleet.connections.records.lrange(waiting_key(project.id), 0, -1)


def test_work_of_projects_that_nobody_knows_holds_up_nothing(fleet, until):
    project = fleet.project("alpha", 3)
    for name in ("ghost-abc123", "../../etc", "a b\n", ""):
        fleet.connections.rq.sadd(WORK, name)
    supervisor = fleet.start()
    until(ended(fleet, fleet.request(project)), PATIENT)
    until(lambda: fleet.connections.rq.scard(WORK) == 0, PATIENT)
    assert supervisor.is_running()


GARBAGE = [b"no-such-bell", b"\xff\xfe", b"", b"half"]


def test_garbage_on_the_queue_of_a_project_holds_up_nothing(fleet, until):
    project = fleet.project("alpha", 3)
    rq, queue = fleet.connections.rq, f"rq:queue:{queue_name(project.id)}"
    rq.hset("rq:job:half", "status", "queued")
    rq.sadd("rq:queues", queue)
    rq.rpush(queue, *GARBAGE)
    supervisor = fleet.start()
    first = fleet.request(project)
    until(ended(fleet, first), PATIENT)
    rq.lpush(queue, *GARBAGE)  # and now before a worker that waits
    second = fleet.request(project)
    waits_for(until, ended(fleet, second), PATIENT, "a job behind garbage")
    assert supervisor.is_running()
    until(lambda: rq.llen(queue) == 0, PATIENT)


def test_a_bell_that_calls_for_something_else_fails_and_those_behind_it_are_answered(fleet, until):
    project = fleet.project("alpha", 3)
    queue = fleet.queue.bells.queue(project.id)
    wrong = queue.enqueue("muniment_worker.tasks.dance", failure_ttl=60)
    fleet.start()
    for _ in range(2):
        until(ended(fleet, fleet.request(project)), PATIENT)
        wrong = queue.enqueue("nobody.knows.it", failure_ttl=60)
    until(lambda: wrong.get_status(refresh=True) == "failed", PATIENT)
    until(lambda: fleet.shown_as_running(project) == (0, 0), 20)


# --- several supervisors ----------------------------------------------------------------------------------------------


def test_the_cap_holds_over_two_supervisors_and_no_project_runs_twice(fleet, until):
    fleet.environment["MUNIMENT_MAX_RUNNING"] = "2"
    projects = [fleet.project(name, 60) for name in ("alpha", "beta", "gamma", "delta")]
    for _ in range(2):
        fleet.start()
    jobs = [fleet.request(project) for project in projects]
    most = 0

    def all_ended():
        nonlocal most
        most = max(most, fleet.leases.slots_used())
        return all(ended(fleet, job_id)() for job_id in jobs)

    until(all_ended, 2 * PATIENT)
    assert most <= 2
    assert [fleet.queue.get(job_id).attempt for job_id in jobs] == [1] * 4
    again = [fleet.request(project) for project in projects for _ in range(2)]
    until(lambda: all(ended(fleet, job_id)() for job_id in again), 2 * PATIENT)
    assert "is written by another" not in (fleet.tmp_path / "worker.log").read_text()


def test_a_job_starts_at_once_although_another_supervisors_worker_lingers_on_the_queue(fleet, until):
    project = fleet.project("alpha", 3)
    for _ in range(2):
        fleet.start()
    for number in range(8):
        job_id = fleet.edit(project, f"new{number}.py", f"def new_{number}(): ...\n")
        began = time.monotonic()
        until(ended(fleet, job_id), PATIENT)
        print(f"edit {number}: {time.monotonic() - began:.2f} s")
    assert fleet.is_complete(project, 11)


def test_killing_one_supervisor_does_not_disturb_the_job_of_another(fleet, until):
    alpha, beta = fleet.project("alpha", FILES), fleet.project("beta", FILES)
    first = fleet.start()
    one = fleet.request(alpha)
    until(lambda: fleet.in_the_middle(alpha), PATIENT)
    fleet.start()
    first.suspend()  # so that the second one takes it
    two = fleet.request(beta)
    until(attempts(fleet, two, 1), PATIENT)
    first.kill()
    first.resume()
    for project, job_id in ((alpha, one), (beta, two)):
        has_ended_well(fleet, project, job_id, until)
    assert fleet.queue.get(two).attempt == 1
    assert fleet.queue.get(one).attempt == 2


# --- order ------------------------------------------------------------------------------------------------------------


def test_jobs_of_one_project_run_in_the_order_in_which_they_were_asked_for(fleet, until):
    project = fleet.project("alpha", FILES)
    fleet.start()
    order = [fleet.request(project)]
    until(attempts(fleet, order[0], 1), PATIENT)
    for _ in range(3):
        # each waits behind the last one only after that was paused and resumed
        order.append(fleet.request(project))
        fleet.queue.pause(order[-1])
    for job_id in reversed(order[1:]):
        fleet.queue.resume(job_id)
    for job_id in order:
        until(ended(fleet, job_id), PATIENT)
    started = [fleet.queue.get(job_id).started_at for job_id in order]
    assert started == sorted(started)


def test_small_updates_do_not_wait_for_other_projects_long_passes_while_a_slot_is_free(fleet, until):
    longs = [fleet.project(name, 1500) for name in ("alpha", "beta")]
    small = fleet.project("small", 3)
    fleet.start()
    until(ended(fleet, fleet.request(small)), PATIENT)
    jobs = [fleet.request(project) for project in longs]
    until(lambda: all(attempts(fleet, job_id, 1)() for job_id in jobs), PATIENT)
    for number in range(3):
        until(ended(fleet, fleet.edit(small, f"new{number}.py", f"def new_{number}(): ...\n")), PATIENT)
    assert not any(ended(fleet, job_id)() for job_id in jobs)
    for job_id in jobs:
        fleet.queue.cancel(job_id)


def test_those_that_wait_for_a_slot_get_it_in_the_order_in_which_they_were_asked_for(fleet, until):
    fleet.environment["MUNIMENT_MAX_RUNNING"] = "1"
    names = ("delta", "alpha", "gamma", "beta")
    jobs = [fleet.request(fleet.project(name, 10)) for name in names]
    fleet.start()
    for job_id in jobs:
        until(ended(fleet, job_id), PATIENT)
    started = [fleet.queue.get(job_id).started_at for job_id in jobs]
    assert started == sorted(started)


def test_no_edit_is_lost_in_the_instant_in_which_a_job_ends(fleet, until):
    project = fleet.project("alpha", 3)
    fleet.start()
    until(ended(fleet, fleet.request(project)), PATIENT)
    for number in range(15):
        job_id = fleet.edit(project, f"even{number}.py", f"def even_{number}(): ...\n")
        until(lambda job_id=job_id: fleet.queue.get(job_id).phase == Phase.FINISH, PATIENT)
        fleet.edit(project, f"odd{number}.py", f"def odd_{number}(): ...\n")
    until(lambda: not fleet.queue.has_work(project.id) and fleet.dirty.count(project.id) == 0, PATIENT)
    until(let_go(fleet, project), 10)
    assert fleet.is_complete(project, 33)
