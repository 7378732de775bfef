"""Reading jobs: one, pages of them, what a project shows, and what nobody can read."""

import pytest
from job_fleet import make_project

from muniment.dirty import DirtyPaths
from muniment.errors import InvalidValue, UnknownJob
from muniment.job_records import NO_SLOT, READ_AHEAD
from muniment.jobs import JobKind, JobRequest, JobStatus
from muniment.redis_client import job_key


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


def test_a_cursor_that_no_page_gave_is_refused(fleet):
    with pytest.raises(InvalidValue, match="nonsense"):
        fleet.queue.list(cursor="nonsense")


def test_an_unknown_job_is_an_error_that_says_so(fleet):
    with pytest.raises(UnknownJob, match="nope"):
        fleet.queue.get("nope")


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


def test_a_page_looks_behind_more_jobs_than_it_reads_at_once(fleet):
    wanted, others = make_project("wanted"), make_project("others")
    first = fleet.asked(wanted)
    for _ in range(READ_AHEAD + 3):
        fleet.clock.advance(1)
        fleet.queue.cancel(fleet.asked(others))
    queued = frozenset({JobStatus.QUEUED})
    page = fleet.queue.list(statuses=queued)
    assert ([job.id for job in page.items], page.next) == ([first], None)
    fleet.clock.advance(1)
    newest = fleet.asked(others)
    page = fleet.queue.list(statuses=queued, limit=1)
    assert [job.id for job in page.items] == [newest]
    page = fleet.queue.list(statuses=queued, limit=1, cursor=page.next)
    assert ([job.id for job in page.items], page.next) == ([first], None)


@pytest.mark.parametrize("limit", range(1, 8))
def test_pages_of_any_size_show_every_job_once(fleet, monkeypatch, limit):
    monkeypatch.setattr("muniment.job_records.READ_AHEAD", 3)
    monkeypatch.setattr("muniment.job_records.PAGE_LIMIT", 5)  # also how many ids are asked for at once
    asked = []
    for number in range(13):
        asked.append(fleet.asked(make_project(f"p{number}")))
        fleet.clock.advance(number % 3)  # equal times too
    seen, page = [], fleet.queue.list(limit=limit)
    while page.next is not None:
        assert len(page.items) == min(limit, 5)
        seen += page.items
        page = fleet.queue.list(limit=limit, cursor=page.next)
    seen += page.items
    assert sorted(job.id for job in seen) == sorted(asked)


def test_a_job_that_comes_in_front_while_a_page_is_filled_makes_none_appear_twice(fleet, monkeypatch):
    monkeypatch.setattr("muniment.job_records.PAGE_LIMIT", 4)
    wanted = {fleet.asked(make_project(f"p{number}")) for number in range(4)}
    for number in range(2):
        fleet.clock.advance(1)
        fleet.queue.cancel(fleet.asked(make_project(f"cancelled{number}")))
    read = fleet.queue.read

    def interrupted(ids):
        monkeypatch.setattr(fleet.queue, "read", read)
        fleet.clock.advance(1)
        fleet.asked(make_project("newer"))
        return read(ids)

    monkeypatch.setattr(fleet.queue, "read", interrupted)
    listed = [job.id for job in fleet.queue.list(statuses=frozenset({JobStatus.QUEUED}), limit=4).items]
    assert len(listed) == 4
    assert set(listed) == wanted


@pytest.mark.parametrize("field", ["request", "progress", "attempt", "created_at", "error", "status"])
def test_a_record_that_nobody_can_read_is_passed_over(fleet, field):
    project = make_project()
    good = fleet.asked(project)
    fleet.queue.pause(good)
    fleet.clock.advance(1)
    broken = fleet.asked(project)
    fleet.spoil(broken, field, "{nonsense")
    with pytest.raises(UnknownJob):
        fleet.queue.get(broken)
    assert [job.id for job in fleet.queue.list().items] == [good]
    assert fleet.queue.waiting(project.id) == []
    assert fleet.queue.current(project.id).id == good


def test_a_project_shows_what_runs_else_what_waits_else_what_is_paused_else_the_last(fleet):
    project = make_project()
    assert fleet.queue.current(project.id) is None
    last = fleet.finished(project)
    assert fleet.queue.current(project.id).id == last
    fleet.clock.advance(1)
    paused = fleet.asked(project)
    fleet.queue.pause(paused)
    fleet.clock.advance(1)
    ended = fleet.finished(project)
    assert fleet.queue.current(project.id).id == paused
    fleet.clock.advance(1)
    waiting = fleet.asked(project)
    assert fleet.queue.current(project.id).id == waiting
    running = fleet.queue.claim_next(fleet.lease(project))
    behind = fleet.asked(project)
    assert fleet.queue.current(project.id).id == running.id == waiting
    unfinished = fleet.queue.unfinished(project.id)
    assert (unfinished.moving, unfinished.paused) == ([running.id, behind], [paused])
    assert ended not in unfinished.ids


def test_what_every_answer_tells_of_a_project_is_the_state_of_its_current_job(fleet):
    projects = [make_project(name) for name in ("idle", "ended", "waiting", "running", "paused", "gone")]
    _, ended, waiting, running, paused, gone = projects
    fleet.finished(ended)
    for project in (waiting, running, paused, gone):
        fleet.finished(project)
        fleet.clock.advance(1)
        job_id = fleet.asked(project)
        if project is running:
            fleet.queue.claim_next(fleet.lease(project))
        elif project is paused:
            fleet.queue.pause(job_id)
        elif project is gone:
            fleet.redis.delete(job_key(job_id))
    told = fleet.queue.standing([project.id for project in projects])
    assert [one.status for one in told] == [None, "completed", "queued", "running", "paused", None]
    for project, one in zip(projects, told, strict=True):
        current = fleet.queue.current(project.id)
        # that a waiting job is held up by another is no state of its own
        held_up = current is not None and current.status == JobStatus.BLOCKED
        assert one.status == (JobStatus.QUEUED if held_up else current and current.status)
    assert fleet.queue.standing([]) == []


def test_changed_paths_that_wait_are_told_with_it(fleet):
    project, other = make_project(), make_project("beta")
    DirtyPaths(fleet.redis).add(project.id, ["a.py", "b.py"])
    assert [one.dirty for one in fleet.queue.standing([other.id, project.id])] == [0, 2]


def test_a_job_is_not_blocked_by_the_worker_that_is_about_to_claim_it(fleet):
    project, other = make_project(), make_project("beta")
    job_id = fleet.asked(project)
    fleet.lease(project)
    fleet.lease(other)
    assert not fleet.leases.slot_free()
    assert fleet.queue.get(job_id).status == JobStatus.QUEUED
