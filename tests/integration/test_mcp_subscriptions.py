"""Clients that listen to projects and jobs, at gateways that are processes of their own."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_process import GatewayProcess, connected, running
from mcp import Client
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated, Subscription
from redis import Redis

from muniment.bus import Bus
from muniment.jobs import FileCounts, Job, JobStatus, Phase, Progress
from muniment.leases import Lease, Leases
from muniment.queue import JobQueue
from muniment.redis_client import connect

Until = Callable[..., object]
NO_CHROMA = "http://127.0.0.1:9"
SECONDS = 20.0  # within which something must be heard; on a busy machine


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory, valkey_server: str) -> Iterator[list[GatewayProcess]]:
    """Two of them over the same data and the same Valkey. Each test makes projects of its own."""
    env = {"MUNIMENT_REDIS_URL": valkey_server, "MUNIMENT_CHROMA_URL": NO_CHROMA}
    folder = tmp_path_factory.mktemp("gateways")
    with running(folder, env) as one, running(folder, env) as other:
        yield [one, other]


def hears(gateway: GatewayProcess) -> bool:
    """The gateway's subscription stands."""
    answer = httpx.get(f"{gateway.url}/readyz", timeout=30, trust_env=False)
    return bool(answer.json()["parts"]["events"]["ok"])


@pytest.fixture
def hearing(gateways: list[GatewayProcess], until: Until) -> list[GatewayProcess]:
    for gateway in gateways:
        until(lambda gateway=gateway: hears(gateway), 30)
    return gateways


class Worker:
    """Does with jobs what a worker does, without any indexing."""

    def __init__(self, redis_url: str) -> None:
        self._connections = connect(redis_url)
        records = self._connections.records
        self._leases = Leases(records, seconds=60, max_running=10)
        self.queue = JobQueue(self._connections, Bus(records), self._leases)

    def claim(self, project_id: str) -> tuple[Lease, Job]:
        lease = self._leases.acquire(project_id, "a worker")
        assert isinstance(lease, Lease)
        job = self.queue.claim_next(lease)
        assert job is not None
        return lease, job

    def close(self) -> None:
        self._connections.close()


@pytest.fixture
def worker(valkey_server: str) -> Iterator[Worker]:
    made = Worker(valkey_server)
    yield made
    made.close()


@asynccontextmanager
async def listening(url: str, way: str, *uris: str) -> AsyncIterator[tuple[Client, Subscription]]:
    async with (
        connected(url, way, "auto") as client,
        client.listen(resources_list_changed=True, resource_subscriptions=uris) as told,
    ):
        yield client, told


async def heard(told: Subscription) -> object:
    return await asyncio.wait_for(anext(told), SECONDS)


async def heard_of_progress(told: Subscription, report: Callable[[], None]) -> object:
    """Reports until it is told: not before a second after the announcement before."""
    async with asyncio.timeout(SECONDS):
        while True:
            report()
            with suppress(TimeoutError):
                return await asyncio.wait_for(anext(told), 0.1)


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert content.mime_type == "application/json"
    return dict(json.loads(content.text))


async def made(client: Client, gateway: GatewayProcess, name: str) -> dict[str, Any]:
    folder = gateway.source / name
    folder.mkdir()
    answer = await client.call_tool("init_project", {"project": name, "watch_paths": [str(folder)]})
    return dict(answer.structured_content)


@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_every_step_of_a_job_is_told_to_who_listens_wherever_it_was_asked_for(
    hearing: list[GatewayProcess], worker: Worker, way: str
) -> None:
    one, other = hearing
    async with connected(other.url, "http", "auto") as elsewhere:
        project = await made(elsewhere, other, f"steps-{way}")
        job_id, project_id = project["job_id"], project["project"]["id"]
        uri = f"muniment://jobs/{job_id}"
        changed = ResourceUpdated(uri)
        async with listening(one.url, way, uri) as (client, told):
            lease, job = worker.claim(project_id)
            assert await heard(told) == changed
            assert (await read(client, uri))["status"] == "running"

            half = Progress(phase=Phase.LEXICAL, files=FileCounts(total=8, done=4), percent=50.0)
            assert await heard_of_progress(told, lambda: worker.queue.progress(job, half)) == changed
            assert (await read(client, uri))["files"]["done"] == 4

            await elsewhere.call_tool("pause_job", {"job_id": job_id})
            assert await heard(told) == changed
            assert (await read(client, uri))["status"] == "paused"

            await elsewhere.call_tool("resume_job", {"job_id": job_id})
            assert await heard(told) == changed
            again = worker.queue.claim_next(lease)
            assert again is not None
            assert await heard(told) == changed
            assert worker.queue.finish(lease, again, JobStatus.COMPLETED, Progress())
            assert await heard(told) == changed
            assert (await read(client, uri))["status"] == "completed"


async def test_projects_are_told_of_by_id_and_name_and_their_list_changes(
    hearing: list[GatewayProcess], worker: Worker
) -> None:
    one, other = hearing
    async with (
        listening(one.url, "http", "muniment://projects/listed") as (client, told),
        connected(other.url, "http", "auto") as elsewhere,
    ):
        project = await made(elsewhere, other, "listed")
        project_id = project["project"]["id"]
        by_name, by_id = (
            ResourceUpdated("muniment://projects/listed"),
            ResourceUpdated(f"muniment://projects/{project_id}"),
        )
        assert {await heard(told), await heard(told)} == {by_name, ResourcesListChanged()}
        assert by_id.uri in {one.uri for one in (await client.list_resources()).resources}
        async with listening(one.url, "http", by_id.uri) as (_, also):
            worker.claim(project_id)
            assert await heard(told) == by_name
            assert await heard(also) == by_id
            assert (await read(client, by_id.uri))["state"] == "indexing"
            await elsewhere.call_tool("remove_project", {"project": "listed", "confirm": True})
            while await heard(told) != ResourcesListChanged():
                pass
        assert by_id.uri not in {one.uri for one in (await client.list_resources()).resources}


async def test_who_listened_while_events_were_missed_is_let_go_and_listens_again(
    hearing: list[GatewayProcess], worker: Worker, valkey_server: str, until: Until
) -> None:
    one = hearing[0]
    async with connected(one.url, "http", "auto") as client:
        project = await made(client, one, "missed")
        uri = f"muniment://jobs/{project['job_id']}"
        async with client.listen(resource_subscriptions=[uri]) as told:
            with Redis.from_url(valkey_server) as connection:
                connection.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            with pytest.raises(StopAsyncIteration):
                await heard(told)
        await asyncio.to_thread(until, lambda: hears(one), 30)
        async with client.listen(resource_subscriptions=[uri]) as told:
            worker.queue.pause(project["job_id"])
            assert await heard(told) == ResourceUpdated(uri)


async def test_bytes_that_are_no_text_cost_one_subscription_and_not_the_feed(
    hearing: list[GatewayProcess], worker: Worker, valkey_server: str, until: Until
) -> None:
    one = hearing[0]
    async with connected(one.url, "http", "auto") as client:
        project = await made(client, one, "bytes")
        with Redis.from_url(valkey_server) as connection:
            connection.publish("muniment:events", b"\xff\xfe is no text")
        await asyncio.to_thread(until, lambda: "events: the subscription broke" in one.log.read_text(), 30)
        await asyncio.to_thread(until, lambda: hears(one), 30)
        uri = f"muniment://jobs/{project['job_id']}"
        async with client.listen(resource_subscriptions=[uri]) as told:
            worker.queue.pause(project["job_id"])
            assert await heard(told) == ResourceUpdated(uri)


async def test_a_gateway_ends_although_clients_listen(tmp_path: Path, valkey_server: str, until: Until) -> None:
    env = {"MUNIMENT_REDIS_URL": valkey_server, "MUNIMENT_CHROMA_URL": NO_CHROMA}
    async with AsyncExitStack() as clients:
        with running(tmp_path, env) as gateway:
            await asyncio.to_thread(until, lambda: hears(gateway), 30)
            streams = [
                (await clients.enter_async_context(listening(gateway.url, "http", "muniment://jobs/1")))[1]
                for _ in range(3)
            ]
            gateway.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: gateway.process.poll() is not None, 5)
            for told in streams:
                with pytest.raises(StopAsyncIteration):  # the last word came, it is not lost
                    await heard(told)
            assert "Traceback" not in gateway.log.read_text()
