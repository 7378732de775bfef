"""What stops a pass: its lease, the shutdown, and its own record."""

import threading
from datetime import UTC, datetime

import pytest
from fakeredis import FakeRedis, FakeServer

from muniment.bus import Bus
from muniment.jobs import JobRequest
from muniment.leases import Lease, Leases
from muniment.project import Project
from muniment.queue import JobQueue
from muniment.redis_client import Connections, text_client
from muniment_worker.control import LOOK_SECONDS, LeaseKeeper, PassControl, Stopped

NOW = datetime(2025, 1, 1, tzinfo=UTC)


class Running:
    """A claimed job on a fake server, and the control of its pass."""

    def __init__(self) -> None:
        self.server = FakeServer()
        records = text_client(FakeRedis(server=self.server, decode_responses=True))
        leases = Leases(records, seconds=8, max_running=2)
        connections = Connections("fake", records, FakeRedis(server=self.server))
        self.queue = JobQueue(connections, Bus(records), leases)
        project = Project(id="alpha-abc234", name="alpha", watch_paths=[], created_at=NOW, updated_at=NOW)
        self.queue.request(project, JobRequest())
        lease = leases.acquire(project.id, "worker")
        assert isinstance(lease, Lease)
        job = self.queue.claim_next(lease)
        assert job is not None
        self.job = job
        self.now = 0.0
        keeper = LeaseKeeper(leases, lease)
        self.control = PassControl(self.queue, job, keeper, threading.Event(), lambda: self.now)


@pytest.fixture
def running() -> Running:
    return Running()


def test_a_pass_whose_job_runs_goes_on(running: Running) -> None:
    for _ in range(5):
        running.control.check()
        running.now += LOOK_SECONDS


def test_a_cancelled_job_stops_its_pass_at_the_next_look(running: Running) -> None:
    running.control.check()
    running.queue.cancel(running.job.id)
    running.control.check()  # not asked again yet: a check must cost nothing
    running.now += LOOK_SECONDS
    with pytest.raises(Stopped):
        running.control.check()
    with pytest.raises(Stopped):
        running.control.check()


def test_a_job_whose_record_is_gone_stops_its_pass(running: Running) -> None:
    FakeRedis(server=running.server).flushall()
    with pytest.raises(Stopped):
        running.control.check()


def test_a_redis_that_is_away_stops_nothing(running: Running) -> None:
    running.server.connected = False
    for _ in range(3):
        running.control.check()
        running.now += LOOK_SECONDS
    running.server.connected = True
    running.queue.cancel(running.job.id)
    with pytest.raises(Stopped):
        running.control.check()
