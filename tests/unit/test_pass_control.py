"""What stops a pass: its lease, the shutdown, and its own record."""

import threading
from datetime import UTC, datetime

import pytest
from fakeredis import FakeRedis, FakeServer

from muniment.bus import Bus
from muniment.events import EventType
from muniment.jobs import FileCounts, JobRequest, Phase, Progress
from muniment.leases import Lease, Leases
from muniment.pace import BASELINE_SECONDS, JobPace
from muniment.project import Project
from muniment.queue import JobQueue
from muniment.redis_client import Connections, text_client
from muniment_worker.control import LONG_SECONDS, LOOK_SECONDS, Interrupted, LeaseKeeper, PassControl, Stopped

NOW = datetime(2025, 1, 1, tzinfo=UTC)


class Running:
    """A claimed job on a fake server, and the control of its pass."""

    def __init__(self) -> None:
        self.server = FakeServer()
        records = text_client(FakeRedis(server=self.server, decode_responses=True))
        leases = Leases(records, seconds=8, max_running=2)
        connections = Connections("fake", records, FakeRedis(server=self.server))
        self.bus = Bus(records)
        self.queue = JobQueue(connections, self.bus, leases)
        project = Project(id="alpha-abc234", name="alpha", watch_paths=[], created_at=NOW, updated_at=NOW)
        self.queue.request(project, JobRequest())
        lease = leases.acquire(project.id, "worker")
        assert isinstance(lease, Lease)
        job = self.queue.claim_next(lease)
        assert job is not None
        self.job = job
        self.now = 0.0
        keeper = LeaseKeeper(leases, lease)
        self.stopping = threading.Event()
        pace = JobPace(records, project.id, lambda: self.now)
        self.control = PassControl(self.queue, job, keeper, self.stopping, lambda: self.now, pace)

    def quarters(self) -> list[float]:
        """At what percentages milestones were told."""
        told = self.bus.job_events(self.job.id)
        return [event.data["job"]["percent"] for event in told if event.type == EventType.INDEX_MILESTONE]


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


def test_a_long_pass_tells_of_each_quarter_once(running: Running) -> None:
    running.now = LONG_SECONDS + 1
    for percent in (10.0, 26.0, 30.0, 49.9, 51.0, 99.0, 99.9):
        running.control.report(Progress(percent=percent))
    assert running.quarters() == [26.0, 51.0, 99.0]


def test_a_short_pass_tells_of_no_quarter_and_what_it_passed_early_is_not_told_late(running: Running) -> None:
    running.control.report(Progress(percent=60.0))
    running.now = LONG_SECONDS
    running.control.report(Progress(percent=74.0))
    running.now = LONG_SECONDS + 1
    running.control.report(Progress(percent=74.9))
    assert running.quarters() == []
    running.control.report(Progress(percent=75.0))
    assert running.quarters() == [75.0]


def test_a_quarter_that_nobody_could_be_told_of_is_told_when_redis_is_back(running: Running) -> None:
    running.now = LONG_SECONDS + 1
    running.server.connected = False
    running.control.report(Progress(percent=30.0))
    running.server.connected = True
    running.control.report(Progress(percent=31.0))
    assert running.quarters() == [31.0]


def test_a_redis_that_is_away_when_the_scan_ends_delays_the_estimate_and_ends_nothing(running: Running) -> None:
    scanned = Progress(phase=Phase.LEXICAL, files=FileCounts(total=10))
    running.server.connected = False
    running.control.report(scanned)
    running.server.connected = True
    running.control.report(scanned)
    assert running.queue.get(running.job.id).estimate_seconds == BASELINE_SECONDS


def test_a_pass_that_waits_ends_when_its_job_is_paused(running: Running) -> None:
    class Waits(threading.Event):
        """Time passes at once; somebody pauses the job while it does."""

        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            assert timeout <= LOOK_SECONDS
            running.now += timeout
            if running.now > 5 and running.queue.is_running(running.job):
                running.queue.pause(running.job.id)
            return False

    running.control = PassControl(running.queue, running.job, running.control._keeper, Waits(), lambda: running.now)
    with pytest.raises(Stopped):
        running.control.pause(3600.0)
    assert 5 < running.now < 5 + 2 * LOOK_SECONDS + 0.01


def test_a_pass_that_waits_goes_on_at_once_when_the_process_has_to_end(running: Running) -> None:
    running.stopping.set()
    running.control.pause(3600.0)
    with pytest.raises(Interrupted):
        running.control.check()
