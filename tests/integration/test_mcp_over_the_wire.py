"""MCP as clients reach it: over HTTP, and over stdio through `muniment mcp`."""

import asyncio
import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from gateway_process import bridge, connected
from mcp import MCPError

from muniment.jobs import FileCounts, JobKind, JobStatus, Phase, Progress
from muniment.leases import Lease
from muniment.queue import utc_now
from muniment.settings import Settings
from muniment.testing import HashedWordsEmbedder
from muniment_api.app import create_app
from muniment_api.deps import Services, build_services

TOKEN = "a token of the tests"
Until = Callable[..., object]


class Gateway:
    """A gateway in a thread; after ``stop`` it can ``start`` again on the same port."""

    def __init__(self, settings: Settings, until: Until) -> None:
        self.settings = settings
        self._until = until
        self._port = 0
        self.start()

    def start(self) -> None:
        embedder = HashedWordsEmbedder()
        self.services: Services = build_services(self.settings, file_embedder=embedder, memory_embedder=embedder)
        config = uvicorn.Config(
            create_app(self.services), port=self._port, log_level="warning", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        self._until(lambda: self._server.started and self.services.feed.standing.is_set())
        self._port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"


@pytest.fixture
def make_gateway(tmp_path: Path, valkey_url: str, until: Until) -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def make(**settings: Any) -> Gateway:
        common = {"redis_url": valkey_url, "chroma_url": "http://127.0.0.1:9", "roots": [tmp_path]}
        # nobody renews the leases of these tests
        made.append(Gateway(Settings(data_dir=tmp_path / "data", lease_seconds=120, **common, **settings), until))
        return made[-1]

    yield make
    for gateway in made:
        gateway.stop()


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway()


@pytest.fixture(params=["legacy", "auto"])
def mode(request: pytest.FixtureRequest) -> str:
    """The handshake protocol, and the one without sessions."""
    return str(request.param)


@pytest.fixture(params=["http", "stdio"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def project_with_a_running_job(services: Services, folder: Path) -> Lease:
    project, _ = services.projects.add_or_update(
        "alpha", watch_paths=[str(folder)], watch_patterns=None, watch_exclude=None, watch=None, now=utc_now()
    )
    services.intake.start("alpha", JobKind.RECONCILE)
    lease = services.leases.acquire(project.id, "a worker")
    assert isinstance(lease, Lease)
    assert services.queue.claim_next(lease) is not None
    return lease


async def test_both_ways_and_protocols_offer_the_same_tools(gateway: Gateway, way: str, mode: str) -> None:
    async with connected(gateway.url, way, mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "muniment"
        assert client.instructions is not None
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"search_code", "wait_for_index", "store_memory"} <= tools
        result = await client.call_tool("index_status", {"project": "nowhere"})
        assert result.is_error
        assert (result.meta or {})["muniment/error"]["code"] == "unknown_project"


async def test_progress_comes_while_a_tool_waits(gateway: Gateway, way: str, mode: str, tmp_path: Path) -> None:
    services = gateway.services
    lease = project_with_a_running_job(services, tmp_path)
    job = services.queue.active(lease.project_id)
    assert job is not None
    heard = asyncio.Event()
    reports: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))
        heard.set()

    async with connected(gateway.url, way, mode) as client:
        waiting = asyncio.create_task(
            client.call_tool("wait_for_index", {"project": "alpha"}, progress_callback=on_progress)
        )
        half = Progress(phase=Phase.VECTORS, files=FileCounts(total=2, done=1), percent=50.0)
        while not heard.is_set():
            services.queue.progress(job, half)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), 0.1)
        assert not waiting.done(), "the progress came before the answer"
        assert services.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
        result = await waiting
    assert result.structured_content["ready"] is True
    assert reports[0] == (50.0, 100.0, "vectors: 1 of 2 files")


async def test_a_job_that_begins_anew_goes_on_telling_its_progress(
    gateway: Gateway, way: str, mode: str, tmp_path: Path
) -> None:
    queue = gateway.services.queue
    lease = project_with_a_running_job(gateway.services, tmp_path)
    reports: asyncio.Queue[tuple[float, float | None]] = asyncio.Queue()

    async def on_progress(progress: float, total: float | None, _: str | None) -> None:
        reports.put_nowait((progress, total))

    async def reported(percent: float) -> list[tuple[float, float | None]]:
        """What is told until the job's own progress is; its beginning is told too."""
        told: list[tuple[float, float | None]] = []
        async with asyncio.timeout(20):
            while not told or told[-1][0] % 100 != percent:
                job = queue.active(lease.project_id)
                assert job is not None
                queue.progress(job, Progress(percent=percent))
                with contextlib.suppress(TimeoutError):
                    told.append(await asyncio.wait_for(reports.get(), 0.1))
        return told

    async with connected(gateway.url, way, mode) as client:
        waiting = asyncio.create_task(
            client.call_tool("wait_for_index", {"project": "alpha"}, progress_callback=on_progress)
        )
        assert (await reported(50.0))[-1] == (50.0, 100.0)
        job = queue.active(lease.project_id)
        assert job is not None
        assert queue.put_back(lease, job)
        again = queue.claim_next(lease)
        assert again is not None
        assert again.id == job.id
        told = await reported(10.0)
        assert told[-1] == (110.0, 200.0)
        assert told == sorted(told)
        assert not waiting.done()
        assert queue.finish(lease, again, JobStatus.COMPLETED, Progress())
        assert (await waiting).structured_content["ready"] is True


async def test_a_wait_ends_when_its_job_is_paused_and_covers_it_once_it_was_resumed(
    gateway: Gateway, way: str, mode: str, tmp_path: Path, until: Until
) -> None:
    services = gateway.services
    lease = project_with_a_running_job(services, tmp_path)
    job = services.queue.active(lease.project_id)
    assert job is not None
    readers = services.feed._readers
    always = set(readers)

    async with connected(gateway.url, way, mode) as client:
        waiting = asyncio.create_task(client.call_tool("wait_for_index", {"project": "alpha"}))
        await asyncio.to_thread(until, lambda: readers - always)
        services.queue.pause(job.id)
        async with asyncio.timeout(10):  # not the 25 s that it may wait
            result = await waiting
        assert result.structured_content["ready"] is False
        assert result.structured_content["status"]["state"] == "paused"
        assert result.content[0].text.startswith(f"Not ready: job {job.id} is paused; resume_job lets it go on.")

        await client.call_tool("resume_job", {"job_id": job.id})
        waiting = asyncio.create_task(client.call_tool("wait_for_index", {"project": "alpha"}))
        await asyncio.to_thread(until, lambda: readers - always)
        again = services.queue.claim_next(lease)
        assert again is not None
        assert services.queue.finish(lease, again, JobStatus.COMPLETED, Progress())
        assert (await waiting).structured_content["ready"] is True


# Not the handshake protocol over HTTP: there a client cancels by another message, which finds no session to act on.
@pytest.mark.parametrize(("way", "mode"), [("stdio", "legacy"), ("stdio", "auto"), ("http", "auto")])
async def test_a_tool_ends_when_its_caller_gives_up(
    gateway: Gateway, way: str, mode: str, tmp_path: Path, until: Until
) -> None:
    project_with_a_running_job(gateway.services, tmp_path)
    readers = gateway.services.feed._readers
    always = set(readers)  # the gateway's own
    async with connected(gateway.url, way, mode) as client:
        waiting = asyncio.create_task(client.call_tool("wait_for_index", {"project": "alpha"}))
        await asyncio.to_thread(until, lambda: readers - always)
        waiting.cancel()
        await asyncio.to_thread(until, lambda: not readers - always)
        await client.list_tools()


async def test_without_the_token_nothing_answers(make_gateway: Callable[..., Gateway], way: str, mode: str) -> None:
    gateway = make_gateway(token=TOKEN)
    async with connected(gateway.url, way, mode, TOKEN) as client:
        assert (await client.list_tools()).tools
    with pytest.raises(ExceptionGroup) as refused:
        async with connected(gateway.url, way, mode):
            pass
    assert refused.group_contains(MCPError, match="asks for a token" if way == "stdio" else "error response")


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:1", 200), ("127.0.0.2", 200), ("INDEX.example:9", 200), ("index.example", 200), ("evil.example", 403)],
)
def test_a_host_that_is_allowed_is_allowed_for_mcp_too(
    make_gateway: Callable[..., Gateway], host: str, status: int
) -> None:
    gateway = make_gateway(allowed_hosts=["index.example"])
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"Host": host, "Origin": f"http://{host}", "Accept": "application/json, text/event-stream"}
    answer = httpx.post(f"{gateway.url}/mcp", json=message, headers=headers, trust_env=False)
    assert answer.status_code == status


async def test_the_bridge_outlives_the_gateway(gateway: Gateway, mode: str) -> None:
    async with connected(gateway.url, "stdio", mode) as client:
        await client.call_tool("list_projects", {})
        gateway.stop()
        with pytest.raises(MCPError, match=r"No Muniment server answers.*muniment up"):
            await client.call_tool("list_projects", {})
        gateway.start()
        assert not (await client.call_tool("list_projects", {})).is_error


def test_the_bridge_answers_what_it_was_asked_before_its_input_ended(gateway: Gateway) -> None:
    initialize = {
        "jsonrpc": "2.0",
        "id": "one",
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }
    parameters = bridge(gateway.url)
    done = subprocess.run(
        [parameters.command, *parameters.args],
        input=json.dumps(initialize).encode() + b"\n",
        capture_output=True,
        timeout=30,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert answer["id"] == "one"
    assert answer["result"]["serverInfo"]["name"] == "muniment"
