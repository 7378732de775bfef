"""What becomes of a job whose pass goes wrong, and of those behind and beside it."""

import errno
import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, NoReturn

import pytest

from muniment.errors import ChromaUnavailable, EmbedderRefused, EmbedderUnavailable
from muniment.events import EventType
from muniment.indexing import PassTools
from muniment.intake import ProjectRequest
from muniment.job_records import RESTING
from muniment.jobs import Job, JobKind, JobStatus, Phase, Progress
from muniment.leases import Lease
from muniment.project import Project
from muniment.redis_client import rest_key
from muniment.settings import Settings
from muniment.sqlite import connect, immediate
from muniment_api.deps import Services
from muniment_worker import tasks
from muniment_worker.control import LeaseKeeper
from muniment_worker.preflight import LEAST_FREE_BYTES
from muniment_worker.tasks import LONGEST_RETRY_SECONDS, Desk, carry_out, retry_delay

AWAY = ChromaUnavailable("http://chroma", "connection refused")


@pytest.fixture
def desk(services: Services) -> Desk:
    """Of a worker with no patience for what is away: a job is tried twice."""
    nothing: Any = None
    tools = PassTools(dirty=nothing, vectors=nothing, embedder=nothing, limits=nothing, helpers=0, now=nothing)
    settings = services.settings.model_copy(update={"retries": 1})
    return Desk(settings, services.connections, services.leases, services.queue, tools)


@pytest.fixture
def project(services: Services, gateway_settings: Settings) -> Project:
    """Alpha; its first job waits."""
    folder = gateway_settings.roots[0] / "alpha"
    folder.mkdir()
    return services.intake.init_project(ProjectRequest(name="alpha", watch_paths=[str(folder)])).project


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    """``passes(error)``: from now on every pass raises it, or ends well with None."""

    def behave(error: Exception | None) -> None:
        def index(*_: object) -> tuple[Progress, bool]:
            if error is not None:
                raise error
            return Progress(chunks=1), False

        monkeypatch.setattr(tasks, "_index", index)

    behave(None)
    return behave


def carried_out(desk: Desk, project: Project) -> tuple[str, Job]:
    """What became of the project's next job, and the job after that."""
    lease = desk.leases.acquire(project.id, "me")
    assert isinstance(lease, Lease)
    with LeaseKeeper(desk.leases, lease) as keeper:
        job = desk.queue.claim_next(lease)
        assert job is not None
        outcome = carry_out(desk, lease, job, keeper)
    return outcome, desk.queue.get(job.id)


def told(services: Services, job: Job) -> list[EventType]:
    return [event.type for event in services.bus.job_events(job.id)]


FINAL = {
    "nobody thought of": (RuntimeError("boom"), "internal"),
    "a store's own": (sqlite3.OperationalError("no such table: chunks"), "internal"),
    "refused by a server": (EmbedderRefused("http://embedder", "model", "no such model"), "embedder_refused"),
}


@pytest.mark.parametrize("fault", FINAL)
def test_what_no_waiting_would_help_fails_the_job_at_once_and_says_so(
    services: Services, desk: Desk, project: Project, passes: Callable[..., None], fault: str
) -> None:
    error, code = FINAL[fault]
    passes(error)
    outcome, job = carried_out(desk, project)
    assert (outcome, job.status, job.retries) == (f"failed: {code}", JobStatus.FAILED, 0)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == (code, False)
    assert job.error.message
    assert job.error.remedy
    assert job.finished_at is not None
    assert told(services, job) == [EventType.JOB_QUEUED, EventType.INDEX_STARTED, EventType.INDEX_FAILED]
    assert services.bus.job_events(job.id)[-1].data["job"]["error"]["code"] == code, "whoever listens knows why"


def test_a_job_that_failed_holds_up_neither_those_behind_it_nor_another_project(
    services: Services, desk: Desk, project: Project, passes: Callable[..., None]
) -> None:
    other = services.intake.init_project(ProjectRequest(name="beta", watch_paths=[])).project
    passes(RuntimeError("boom"))
    _, failed = carried_out(desk, project)
    assert failed.status == JobStatus.FAILED
    passes(None)
    services.intake.start("alpha", JobKind.REINDEX)
    for one in (project, other):
        outcome, job = carried_out(desk, one)
        assert (outcome, job.status, job.chunks) == ("completed", JobStatus.COMPLETED, 1)
    assert services.queue.get(failed.id) == failed, "what ended stays as it is"
    assert services.leases.slots_used() == 0


PASSING = {
    "the vector store": (AWAY, "chroma_unavailable"),
    "the embedding server": (EmbedderUnavailable("http://embedder", "overloaded"), "embedder_unavailable"),
    "space on the disk": (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_job_waits_for_what_may_come_back_and_then_completes(
    services: Services, desk: Desk, project: Project, passes: Callable[..., None], fault: str
) -> None:
    error, code = PASSING[fault]
    passes(error)
    outcome, job = carried_out(desk, project)
    assert outcome == f"tried again in 5 s: {code}"
    assert (job.status, job.blocked_by, job.retries) == (JobStatus.BLOCKED, RESTING, 1)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == (code, True)
    services.connections.records.delete(rest_key(project.id))  # the wait is over
    passes(None)
    outcome, job = carried_out(desk, project)
    assert (outcome, job.status, job.error) == ("completed", JobStatus.COMPLETED, None)
    assert told(services, job).count(EventType.INDEX_COMPLETE) == 1


@pytest.mark.parametrize("fault", PASSING)
def test_what_stays_away_fails_the_job_in_the_end(
    services: Services, desk: Desk, project: Project, passes: Callable[..., None], fault: str
) -> None:
    error, code = PASSING[fault]
    passes(error)
    carried_out(desk, project)
    services.connections.records.delete(rest_key(project.id))
    outcome, job = carried_out(desk, project)
    assert (outcome, job.status, job.retries) == (f"failed: {code}", JobStatus.FAILED, 1)
    assert told(services, job)[-1] == EventType.INDEX_FAILED
    passes(None)
    services.queue.retry(job.id)
    assert carried_out(desk, project)[1].status == JobStatus.COMPLETED


def test_a_lock_that_another_process_keeps_is_waited_for_and_fails_nobody(
    services: Services, desk: Desk, project: Project, passes: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.sqlite.BUSY_SECONDS", 0.05)
    passes(None)
    with closing(connect(services.settings.folder.server_db)) as other, immediate(other):
        outcome, job = carried_out(desk, project)
    assert outcome == "tried again in 5 s: database_busy"
    assert job.error is not None
    assert str(services.settings.data_dir) in job.error.message
    services.connections.records.delete(rest_key(project.id))
    assert carried_out(desk, project)[1].status == JobStatus.COMPLETED


def test_a_server_that_asks_to_be_left_alone_for_longer_gets_what_it_asks_for(
    services: Services, desk: Desk, project: Project, passes: Callable[..., None]
) -> None:
    passes(EmbedderUnavailable("http://embedder", "overloaded", retry_after=90.0))
    assert carried_out(desk, project)[0] == "tried again in 90 s: embedder_unavailable"
    assert 60 < services.connections.rq.ttl(rest_key(project.id)) <= 90


def test_each_wait_is_longer_than_the_one_before_up_to_a_bound() -> None:
    waits = [retry_delay(retries) for retries in range(12)]
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert waits[-1] == LONGEST_RETRY_SECONDS
    assert waits == sorted(waits)


def test_a_disk_that_is_nearly_full_is_seen_before_anything_is_read(
    services: Services, desk: Desk, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def index(*_: object) -> NoReturn:
        pytest.fail("the pass began")

    monkeypatch.setattr(tasks, "_index", index)
    full = shutil._ntuple_diskusage(10**9, 10**9 - LEAST_FREE_BYTES + 1, LEAST_FREE_BYTES - 1)
    monkeypatch.setattr("muniment_worker.preflight.shutil.disk_usage", lambda _: full)
    outcome, job = carried_out(desk, project)
    assert outcome == "tried again in 5 s: disk_full"
    assert job.error is not None
    assert str(services.settings.data_dir) in job.error.message


def test_a_job_that_kept_killing_its_process_says_where_the_last_time(
    services: Services, desk: Desk, project: Project
) -> None:
    lease = desk.leases.acquire(project.id, "me")
    assert isinstance(lease, Lease)
    reached = Progress(phase=Phase.VECTORS, percent=60.0, last_file="src/deadly.py")
    for number in range(desk.settings.max_attempts):
        killed = services.queue.claim_next(lease)
        assert killed is not None
        services.queue.progress(killed, reached.model_copy(update={"chunks": number}))
        services.queue.note_crash(project.id)
    services.leases.release(lease)
    outcome, job = carried_out(desk, project)
    assert (outcome, job.status) == ("failed: attempts_exhausted", JobStatus.FAILED)
    assert job.error is not None
    assert "in phase vectors, near 'src/deadly.py'" in job.error.message
    assert (job.last_file, job.percent, job.chunks) == ("src/deadly.py", 60.0, desk.settings.max_attempts - 1)


def test_a_failure_is_logged_with_its_job_and_its_trace(
    desk: Desk, project: Project, passes: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "muniment_worker.tasks")
    passes(RuntimeError("boom"))
    _, job = carried_out(desk, project)
    (record,) = caplog.records
    assert job.id in record.getMessage()
    assert record.exc_info is not None
