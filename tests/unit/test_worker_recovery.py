"""What a supervisor makes good, on a fake server: who is killed, who comes first, and what RQ shows."""

import json
from typing import cast

import pytest
from redis import Redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from muniment.indexing import PassTools
from muniment.jobs import JobRequest
from muniment.leases import Lease
from muniment.project import Project
from muniment.queue import utc_now
from muniment.redis_client import queue_name
from muniment_api.deps import Services
from muniment_worker import recovery
from muniment_worker.recovery import stop_stuck, tidy_bells
from muniment_worker.tasks import Desk

OWNER = "alpha-worker"


@pytest.fixture
def desk(services: Services) -> Desk:
    return Desk(services.settings, services.connections, services.leases, services.queue, cast(PassTools, None))


def make_project(name: str) -> Project:
    return Project(id=f"{name}-abc234", name=name, watch_paths=[], created_at=utc_now(), updated_at=utc_now())


def cancelled_while_it_ran(desk: Desk) -> Lease:
    """A job whose worker answers the bell 'bell-1' and has not let go of it."""
    project = make_project("alpha")
    desk.queue.request(project, JobRequest())
    lease = desk.leases.acquire(project.id, OWNER)
    assert isinstance(lease, Lease)
    job = desk.queue.claim_next(lease)
    assert job is not None
    desk.connections.rq.hset(Worker.redis_worker_namespace_prefix + OWNER, "current_job", "bell-1")
    desk.queue.cancel(job.id)
    return lease


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(recovery, "stop_horse", lambda _redis, owner, bell: sent.append((owner, bell)))
    return sent


def test_the_worker_that_does_not_let_go_is_told_to_kill_its_process(
    desk: Desk, commands: list[tuple[str, str]]
) -> None:
    cancelled_while_it_ran(desk)
    stop_stuck(desk, 3600)
    assert commands == []
    stop_stuck(desk, 0)
    assert commands == [(OWNER, "bell-1")]


def test_a_worker_that_lets_go_while_it_is_looked_up_keeps_its_next_process(
    desk: Desk, commands: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = cancelled_while_it_ran(desk)
    bell_of = recovery.bell_of

    def lets_go(redis: Redis, owner: str) -> str | None:
        desk.leases.release(lease)
        desk.leases.acquire(lease.project_id, OWNER)
        redis.hset(Worker.redis_worker_namespace_prefix + OWNER, "current_job", "bell-2")
        return bell_of(redis, owner)

    monkeypatch.setattr(recovery, "bell_of", lets_go)
    stop_stuck(desk, 0)
    assert commands == []


def test_projects_come_in_the_order_in_which_their_jobs_were_asked_for(desk: Desk) -> None:
    for name in ("delta", "alpha", "gamma"):
        desk.queue.request(make_project(name), JobRequest())
    assert recovery.runnable_projects(desk.queue, desk.leases) == ["delta-abc234", "alpha-abc234", "gamma-abc234"]


def test_a_bell_whose_worker_died_is_not_shown_as_running(desk: Desk) -> None:
    rq = desk.connections.rq
    queue = Queue(queue_name("alpha-abc234"), connection=rq, serializer=JSONSerializer)
    other = Queue("of-somebody-else", connection=rq)
    for each in (queue, other):
        rq.sadd("rq:queues", each.key)
        rq.zadd(f"rq:wip:{each.name}", {"bell-1:run-1": 1.0, "bell-2:run-1": 4e9})
    rq.sadd(f"rq:workers:{queue.name}", "rq:worker:gone")
    tidy_bells(rq)
    assert rq.zrange(f"rq:wip:{queue.name}", 0, -1) == [b"bell-2:run-1"]
    assert rq.zcard(f"rq:wip:{other.name}") == 2
    assert rq.scard(f"rq:workers:{queue.name}") == 0


def test_a_bell_that_nobody_can_read_is_dropped(desk: Desk) -> None:
    rq = desk.connections.rq
    name = queue_name("alpha-abc234")
    rq.sadd("rq:queues", f"rq:queue:{name}")
    rq.hset("rq:job:bell-1", mapping={"data": json.dumps("?"), "created_at": "yesterday"})
    rq.zadd(f"rq:wip:{name}", {"bell-1:run-1": 1.0})
    tidy_bells(rq)
    assert rq.zcard(f"rq:wip:{name}") == 0
