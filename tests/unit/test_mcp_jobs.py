"""The MCP tools that stop jobs, let them go on, and tell what waits."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from mcp import Client
from mcp_results import data, error, text

from muniment.jobs import Job, JobKind, JobStatus, Progress
from muniment.leases import Lease
from muniment.project import Project
from muniment.queue import utc_now
from muniment.settings import Settings
from muniment_api.deps import Services
from muniment_api.gateway.project_tools import RisingProgress

Connect = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture
def alpha(services: Services, gateway_settings: Settings) -> Project:
    """A project that nobody watches and that was never indexed."""
    folder = gateway_settings.roots[0] / "alpha"
    folder.mkdir()
    project, _ = services.projects.add_or_update(
        "alpha", watch_paths=[str(folder)], watch_patterns=None, watch_exclude=None, watch=False, now=utc_now()
    )
    return project


@pytest.fixture
def job_id(services: Services, alpha: Project) -> str:
    """Of a reconcile that waits."""
    return services.intake.start(alpha.id, JobKind.RECONCILE).job_id


def claimed(services: Services, project: Project) -> tuple[Lease, Job]:
    lease = services.leases.acquire(project.id, "host:1")
    assert isinstance(lease, Lease)
    job = services.queue.claim_next(lease)
    assert job is not None
    return lease, job


async def test_a_job_is_paused_and_goes_on(connect: Connect, job_id: str) -> None:
    async with connect() as client:
        paused = await client.call_tool("pause_job", {"job_id": job_id})
        assert data(paused)["status"] == "paused"
        assert text(paused).startswith(f"Job {job_id} (reconcile of 'alpha'): paused")
        resumed = await client.call_tool("resume_job", {"job_id": job_id})
        assert data(resumed)["status"] == "queued"
        assert text(resumed).startswith(f"Job {job_id} (reconcile of 'alpha'): queued")


async def test_a_running_job_is_cancelled_once_that_is_confirmed(
    connect: Connect, services: Services, alpha: Project, job_id: str
) -> None:
    _, job = claimed(services, alpha)
    async with connect() as client:
        asked = error(await client.call_tool("cancel_job", {"job_id": job_id}))
        assert asked["code"] == "cancel_unconfirmed"
        assert "confirm=true" in asked["remedy"]
        assert "pause_job" in asked["remedy"]
        assert services.queue.is_running(job)
        cancelled = await client.call_tool("cancel_job", {"job_id": job_id, "confirm": True})
        assert data(cancelled)["status"] == "cancelled"
        assert not services.queue.is_running(job)


async def test_what_cannot_be_done_to_a_job_says_what_can(connect: Connect, services: Services, job_id: str) -> None:
    async with connect() as client:
        refused = error(await client.call_tool("resume_job", {"job_id": job_id}))
        assert (refused["code"], refused["retryable"]) == ("illegal_move", False)
        assert refused["message"] == f"Job {job_id} is queued and cannot be resumed."
        assert "cancelled, paused" in refused["remedy"]
        services.queue.cancel(job_id)
        refused = error(await client.call_tool("pause_job", {"job_id": job_id}))
        assert "retried" in refused["remedy"]
        ended = error(await client.call_tool("cancel_job", {"job_id": job_id}))
        assert ended["code"] == "illegal_move", "there is nothing to confirm"
        for tool in ("pause_job", "resume_job", "cancel_job"):
            assert error(await client.call_tool(tool, {"job_id": "0"}))["code"] == "unknown_job"


async def test_the_queues_are_told_in_words_and_numbers(
    connect: Connect, services: Services, alpha: Project, job_id: str
) -> None:
    services.queue.pause(job_id)
    services.dirty.add(alpha.id, ["a.py", "b.py"])
    running = services.intake.start(alpha.id, JobKind.REINDEX).job_id
    claimed(services, alpha)
    services.projects.add_or_update(
        "beta", watch_paths=[], watch_patterns=None, watch_exclude=None, watch=None, now=utc_now()
    )
    async with connect() as client:
        result = await client.call_tool("queue_status", {})
        items = {item["project"]: item for item in data(result)["items"]}
        one = await client.call_tool("queue_status", {"project": "beta"})
        unknown = await client.call_tool("queue_status", {"project": "gamma"})
    assert (items["alpha"]["depth"], items["alpha"]["paths_waiting"]) == (2, 2)
    assert (items["alpha"]["running_job"], items["alpha"]["paused_jobs"]) == (running, [job_id])
    assert items["beta"]["depth"] == 0
    head, idle, busy = text(result).split("\n")
    assert head == "1 of 3 slots in use."
    assert idle == "Nothing waits or runs for 1 project."
    assert busy.startswith("'alpha': 0 waiting, 2 changed paths, longest wait ")
    assert busy.endswith(f" s, job {running} runs, paused: {job_id}")
    assert [item["project"] for item in data(one)["items"]] == ["beta"]
    assert error(unknown)["code"] == "unknown_project"


async def test_waiting_for_a_paused_job_ends_at_once_and_says_so(
    connect: Connect, services: Services, job_id: str
) -> None:
    services.queue.pause(job_id)
    async with connect() as client:
        result = await client.call_tool("wait_for_index", {"project": "alpha", "timeout": 25}, read_timeout_seconds=10)
    assert data(result)["ready"] is False
    assert data(result)["status"]["state"] == "paused"
    assert text(result).startswith(f"Not ready: job {job_id} is paused; resume_job lets it go on.")


async def test_what_moves_beside_a_paused_job_is_waited_for(
    connect: Connect, services: Services, alpha: Project, job_id: str
) -> None:
    services.queue.pause(job_id)
    services.intake.start(alpha.id, JobKind.UPDATE, paths=["src"])
    async with connect() as client:
        result = await client.call_tool("wait_for_index", {"project": "alpha", "timeout": 0.1})
    assert data(result)["ready"] is False
    assert data(result)["status"]["state"] == "indexing"
    assert text(result).startswith("Not ready yet: indexing goes on by itself")


async def test_a_paused_job_that_is_cancelled_is_waited_for_no_more(
    connect: Connect, services: Services, job_id: str
) -> None:
    services.queue.pause(job_id)
    services.queue.cancel(job_id)
    assert services.queue.get(job_id).status == JobStatus.CANCELLED
    async with connect() as client:
        assert data(await client.call_tool("wait_for_index", {"project": "alpha"}))["ready"] is True


def test_progress_rises_through_jobs_that_begin_anew() -> None:
    told = RisingProgress()
    seen = [told.next(percent) for percent in (0.0, 40.0, 40.0, 10.0, 99.9, 0.0, 100.0, 0.0, 1.0)]
    assert seen == [
        (0.0, 100.0),
        (40.0, 100.0),
        None,
        (110.0, 200.0),
        (199.9, 200.0),
        (200.0, 300.0),
        (300.0, 300.0),
        None,  # it would be 300 again
        (301.0, 400.0),
    ]


async def test_a_job_that_stands_still_promises_no_time(
    connect: Connect, services: Services, alpha: Project, job_id: str
) -> None:
    _, job = claimed(services, alpha)
    services.queue.progress(job, Progress(percent=40.0, rate=100.0, eta_seconds=30.0))
    async with connect() as client:
        assert "about 30 s left" in text(await client.call_tool("get_job_status", {"job_id": job_id}))
        paused = await client.call_tool("pause_job", {"job_id": job_id})
    assert (data(paused)["percent"], data(paused)["rate"], data(paused)["eta_seconds"]) == (40.0, None, None)
    assert text(paused).endswith("40.0%.")
