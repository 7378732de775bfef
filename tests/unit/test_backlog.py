"""What waits and who works, as ``queue_status`` tells it."""

from datetime import UTC, datetime

import pytest
from job_fleet import make_project

from muniment.backlog import LONG_BACKLOG, Backlog
from muniment.errors import ErrorBody
from muniment.jobs import JobRequest, Progress
from muniment.redis_client import dirty_since_key, lease_key

ALPHA, BETA = make_project("alpha"), make_project("beta")
AWAY = ErrorBody(code="chroma_unavailable", message="It is away.", remedy="Wait.", retryable=True)


@pytest.fixture
def status(fleet):
    """``status()`` of alpha and beta now; ``status(project)`` of that one."""
    backlog = Backlog(fleet.redis, fleet.queue, fleet.leases)

    def now(only=None):
        found = backlog.status([only] if only else [ALPHA, BETA], fleet.clock.now)
        return found.items[0] if only else found

    return now


def test_a_project_with_nothing_to_do_says_so(status):
    idle = status(ALPHA)
    assert (idle.project, idle.project_id) == ("alpha", ALPHA.id)
    assert (idle.depth, idle.jobs_waiting, idle.paths_waiting, idle.oldest_wait) == (0, 0, 0, None)
    assert (idle.running_job, idle.paused_jobs, idle.holder, idle.held_since) == (None, [], None, None)
    assert (idle.draining, idle.hint) == (False, None)


def test_the_depth_counts_jobs_and_dirty_paths_and_no_paused_job(fleet, status):
    paused = fleet.asked(ALPHA)
    fleet.queue.pause(paused)
    _, running = fleet.running(ALPHA)
    fleet.asked(ALPHA)
    fleet.dirty.add(ALPHA.id, ["a", "b", "b"])
    alpha = status(ALPHA)
    assert (alpha.depth, alpha.jobs_waiting, alpha.paths_waiting) == (3, 1, 2)
    assert (alpha.running_job, alpha.paused_jobs) == (running.id, [paused])


def test_the_oldest_wait_is_that_of_the_job_or_the_path_that_waits_longest(fleet, status):
    fleet.asked(ALPHA)
    fleet.clock.advance(30)
    assert status(ALPHA).oldest_wait == 30.0
    fleet.dirty.add(ALPHA.id, ["a"])
    since = int(fleet.clock.now.timestamp()) - 45
    fleet.redis.set(dirty_since_key(ALPHA.id), str(since), nx=False)
    assert status(ALPHA).oldest_wait == 45.0
    fleet.dirty.remove(ALPHA.id, fleet.dirty.peek(ALPHA.id, 10))
    assert status(ALPHA).oldest_wait == 30.0
    fleet.clock.advance(-60)
    assert status(ALPHA).oldest_wait == 0.0, "a clock that is behind"


def test_changed_paths_wait_since_the_first_of_them_and_not_at_all_once_all_are_taken(fleet):
    fleet.dirty.add(ALPHA.id, ["a"])
    first = fleet.redis.get(dirty_since_key(ALPHA.id))
    taken = fleet.dirty.peek(ALPHA.id, 10)
    fleet.dirty.add(ALPHA.id, ["b"])
    fleet.dirty.remove(ALPHA.id, taken)
    assert fleet.redis.get(dirty_since_key(ALPHA.id)) == first
    fleet.dirty.remove(ALPHA.id, fleet.dirty.peek(ALPHA.id, 10))
    assert fleet.redis.get(dirty_since_key(ALPHA.id)) is None


def test_the_holder_is_told_and_since_when(fleet, status):
    before = datetime.now(UTC)
    fleet.lease(ALPHA, "worker-7")
    alpha = status(ALPHA)
    assert alpha.holder == "worker-7"
    assert abs((alpha.held_since - before).total_seconds()) < 60
    assert fleet.redis.hget(lease_key(ALPHA.id), "since") == str(round(alpha.held_since.timestamp() * 1000))


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_a_project_drains_until_the_worker_of_its_stopped_job_lets_go(fleet, status, verb):
    lease, job = fleet.running(ALPHA)
    assert not status(ALPHA).draining
    getattr(fleet.queue, verb)(job.id)
    assert (status(ALPHA).draining, status(ALPHA).running_job) == (True, None)
    assert not status(BETA).draining
    fleet.leases.release(lease)
    assert not status(ALPHA).draining, "without anybody having looked for it"


def test_a_job_that_is_to_be_tried_again_waits_and_does_not_run(fleet, status):
    lease, job = fleet.running(ALPHA)
    fleet.asked(ALPHA)
    fleet.queue.try_later(lease, job, AWAY, Progress(), 60)
    fleet.clock.advance(20)
    alpha = status(ALPHA)
    assert (alpha.running_job, alpha.jobs_waiting, alpha.oldest_wait) == (None, 2, 20.0)


def test_the_project_that_has_waited_longest_comes_first(fleet, status):
    assert [item.project for item in status().items] == ["alpha", "beta"]
    fleet.asked(BETA)
    fleet.clock.advance(5)
    fleet.asked(ALPHA)
    fleet.clock.advance(5)
    assert [(item.project, item.oldest_wait) for item in status().items] == [("beta", 10.0), ("alpha", 5.0)]


def test_of_those_that_do_not_wait_one_that_runs_comes_first(fleet, status):
    fleet.running(BETA)
    assert [item.project for item in status().items] == ["beta", "alpha"]


def test_slots_are_counted_over_the_fleet(fleet, status):
    assert (status().slots_used, status().slots) == (0, 2)
    lease = fleet.lease(ALPHA)
    fleet.lease(BETA)
    assert status().slots_used == 2
    fleet.leases.release(lease)
    assert status().slots_used == 1


def test_from_a_hundred_on_callers_are_asked_to_slow_down(fleet, status):
    fleet.asked(ALPHA)
    fleet.dirty.add(ALPHA.id, (f"f{number}" for number in range(LONG_BACKLOG - 2)))
    assert (status(ALPHA).depth, status(ALPHA).hint, status().hint) == (99, None, None)
    fleet.asked(BETA)
    found = status()
    assert [item.hint for item in found.items] == [None, None]
    assert found.hint.startswith("100 jobs and changes wait"), "over all projects"
    fleet.dirty.add(ALPHA.id, ["one more"])
    assert status(ALPHA).hint.startswith("100 jobs and changes wait")


def test_a_record_that_nobody_can_read_does_not_hide_the_queue(fleet, status):
    fleet.spoil(fleet.asked(ALPHA), "request", "{")
    fleet.asked(ALPHA, JobRequest())
    assert status(ALPHA).jobs_waiting == 1
