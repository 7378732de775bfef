"""What it costs to ask for jobs: as many exchanges with Redis over a long history as over a short one."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from job_fleet import make_project

from muniment.backlog import Backlog
from muniment.jobs import JobStatus

HISTORY = 120
NOW = datetime(2025, 1, 2, tzinfo=UTC)


class Exchanges:
    """Counts what is sent to a fake Redis and waited for: single commands, and pipelines as one."""

    def __init__(self, redis, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        execute, pipeline = redis.execute_command, redis.pipeline

        def one(*arguments, **options):
            self.count += 1
            return execute(*arguments, **options)

        def many(*arguments, **options):
            pipe = pipeline(*arguments, **options)
            run = pipe.execute

            def at_once(*of, **how):
                self.count += 1
                return run(*of, **how)

            pipe.execute = at_once
            return pipe

        monkeypatch.setattr(redis, "execute_command", one)
        monkeypatch.setattr(redis, "pipeline", many)

    def of(self, ask: Callable[[], object]) -> int:
        self.count = 0
        ask()
        return self.count


@pytest.fixture
def exchanges(fleet, monkeypatch) -> Exchanges:
    return Exchanges(fleet.redis, monkeypatch)


def history(fleet, jobs: int) -> None:
    """Ended jobs of one project; two of others wait behind them, one runs."""
    project = make_project("busy")
    for _ in range(jobs):
        fleet.clock.advance(1)
        fleet.queue.cancel(fleet.asked(project))


def asking(fleet) -> dict[str, Callable[[], object]]:
    project = make_project("alpha")
    _, running = fleet.running(project)
    behind = fleet.asked(project)
    backlog = Backlog(fleet.redis, fleet.queue, fleet.leases)
    fleet.queue.standing([project.id])  # its script is loaded once
    return {
        "a job that runs": lambda: fleet.queue.get(running.id),
        "a job that waits": lambda: fleet.queue.get(behind),
        "the newest jobs": lambda: fleet.queue.list(limit=20),
        "those of one project": lambda: fleet.queue.list(project_id=project.id),
        "what a project shows": lambda: fleet.queue.current(project.id),
        "what every answer tells": lambda: fleet.queue.standing([project.id, "another", "a third"]),
        "what has not ended": lambda: fleet.queue.unfinished(project.id),
        "what waits": lambda: backlog.status([project], NOW),
        "what there is to do": fleet.queue.projects_with_work,
    }


MOST = {
    "a job that runs": 1,
    "a job that waits": 3,  # the record, what may block it, the slots
    "the newest jobs": 4,
    "those of one project": 4,
    "what a project shows": 4,
    "what every answer tells": 1,
    "what has not ended": 1,
    "what waits": 7,
    "what there is to do": 3,
}


def test_a_long_history_makes_no_question_about_jobs_more_expensive(fleet, exchanges):
    asked = asking(fleet)
    before = {what: exchanges.of(ask) for what, ask in asked.items()}
    history(fleet, HISTORY)
    fleet.asked(make_project("newest"))
    after = {what: exchanges.of(ask) for what, ask in asked.items()}
    assert after == before
    assert {what: count for what, count in after.items() if count > MOST[what]} == {}
    assert after.keys() == MOST.keys()


def test_a_page_of_many_jobs_that_wait_costs_no_exchange_for_each(fleet, exchanges):
    one = make_project("one")
    fleet.asked(one)
    alone = exchanges.of(fleet.queue.list)
    for number in range(40):
        fleet.asked(make_project(f"p{number}"))
    assert len(fleet.queue.list().items) == 41
    assert exchanges.of(fleet.queue.list) == alone


def test_what_waits_costs_the_same_for_one_project_and_for_many(fleet, exchanges):
    backlog = Backlog(fleet.redis, fleet.queue, fleet.leases)
    projects = [make_project(f"p{number}") for number in range(40)]
    for project in projects:
        fleet.asked(project)
        fleet.dirty.add(project.id, ["a.py"])
    alone = exchanges.of(lambda: backlog.status(projects[:1], NOW))
    assert exchanges.of(lambda: backlog.status(projects, NOW)) == alone
    assert sum(item.depth for item in backlog.status(projects, NOW).items) == 80


def test_what_is_filtered_is_read_in_large_parts(fleet, exchanges):
    wanted = fleet.asked(make_project("wanted"))
    history(fleet, HISTORY)
    found = []
    count = exchanges.of(lambda: found.extend(fleet.queue.list(statuses=frozenset({JobStatus.QUEUED})).items))
    assert [job.id for job in found] == [wanted]
    assert count <= HISTORY / 10
