"""Several agents at one server while a pass runs: nobody waits for it, and each is told the same."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fleet import PATIENT, Fleet, ended
from gateway_process import GatewayProcess, connected, running
from mcp import Client

from muniment.jobs import JobStatus
from muniment.project import Project

Until = Callable[..., Any]
pytestmark = pytest.mark.endurance
AGENTS = ("claude", "gemini", "codex")
FILES = 400
ANSWERED_SECONDS = 40.0  # every tool once, by three agents at a time, on a busy machine
STATUS_SECONDS = 0.5  # 0.02 by promise, on a machine that does nothing else
WAIT_SECONDS = 25.0


@pytest.fixture
def fleet(tmp_path: Path, valkey_url: str, chroma_url: str) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, valkey_url, chroma_url)
    fleet.environment["MUNIMENT_LEASE_SECONDS"] = "120"  # a process that the test stops keeps its project
    yield fleet
    fleet.stop()


@pytest.fixture
def gateway(tmp_path: Path, valkey_url: str, chroma_url: str) -> Iterator[GatewayProcess]:
    env = {"MUNIMENT_REDIS_URL": valkey_url, "MUNIMENT_CHROMA_URL": chroma_url, "MUNIMENT_ROOTS": str(tmp_path)}
    with running(tmp_path, env) as gateway:
        yield gateway


@asynccontextmanager
async def agents(gateway: GatewayProcess) -> AsyncIterator[dict[str, Client]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(connected(gateway.url, "http", "auto")) for name in AGENTS}


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


@contextlib.contextmanager
def pass_standing_still(fleet: Fleet, project: Project, job_id: str, until: Until) -> Iterator[None]:
    """Some of all the files are indexed, the others wait; it goes on at the end."""

    def planned() -> bool:
        return fleet.in_the_middle(project) and fleet.counters(project).files_total == FILES

    until(planned, PATIENT)
    horse = fleet.horse(project)
    horse.suspend()
    try:
        assert fleet.queue.get(job_id).status == JobStatus.RUNNING
        assert planned()
        yield
    finally:
        horse.resume()


async def at_work(name: str, client: Client, tree: str, job_id: str) -> list[float]:
    """Uses everything that an agent uses while the pass of alpha stands still; returns how long each status took."""
    status = await call(client, "index_status", project="alpha")
    assert (status["state"], status["up_to_date"], status["job"]["id"]) == ("indexing", False, job_id)
    coverage = status["coverage"]
    assert 0 < coverage["files_lexical"] < coverage["files_total"] == FILES
    assert status["missing"] == FILES - coverage["files_lexical"]

    found = await call(client, "search_code", project="alpha", query="alpha_0")
    assert found["results"][0]["path"] == "file0.py", "what is indexed is found while the rest waits"
    assert 0 < found["index"]["lexical_percent"] < 100
    fact = f"Agent {name} decided that {name} reviews the release notes"
    assert (await call(client, "store_memory", project="alpha", content=fact))["created"]
    memories = await call(client, "search_memories", project="alpha", query=fact)
    assert fact in [hit["content"] for hit in memories["results"]]

    again = await call(client, "init_project", project="alpha", watch_paths=[tree], watch=False)
    assert again["job_id"] != job_id, "the one that runs has begun already"
    waiting = await call(client, "get_job_status", job_id=again["job_id"])
    assert (waiting["status"], waiting["blocked_by"]) == ("blocked", job_id)
    queue = await call(client, "queue_status", project="alpha")
    assert (queue["items"][0]["running_job"], queue["items"][0]["jobs_waiting"]) == (job_id, 1)
    waited = await call(client, "wait_for_index", project="alpha", timeout=0.2)
    assert (waited["ready"], waited["status"]["job"]["id"]) == (False, job_id)

    took = []
    for _ in range(10):
        began = time.monotonic()
        seen = await call(client, "get_job_status", job_id=job_id)
        took.append(time.monotonic() - began)
        assert (seen["status"], seen["files"]["failed"]) == ("running", 0)
        listed = await call(client, "list_jobs", project="alpha", status="running")
        assert [job["id"] for job in listed["items"]] == [job_id]
    return took


async def test_three_agents_use_every_kind_of_tool_while_a_pass_is_under_way(
    fleet: Fleet, gateway: GatewayProcess, until: Until
) -> None:
    project = fleet.project("alpha", FILES)
    job_id = fleet.request(project)
    fleet.start()
    (tree,) = project.watch_paths
    with pass_standing_still(fleet, project, job_id, until):
        async with agents(gateway) as clients, asyncio.timeout(ANSWERED_SECONDS):
            took = await asyncio.gather(*(at_work(name, client, tree, job_id) for name, client in clients.items()))
    median = statistics.median(seconds for of_one in took for seconds in of_one)
    print(f"status of a job: median {median:.3f} s")
    assert median < STATUS_SECONDS
    assert len(fleet.queue.waiting(project.id)) == 1, "three asked for the same: one job"
    until(ended(fleet, job_id), PATIENT)
    async with agents(gateway) as clients:
        answers = [await waits(client) for client in clients.values()]
    assert [answer["ready"] for answer in answers] == [True] * 3
    status = answers[0]["status"]
    assert (status["state"], status["up_to_date"], status["missing"], status["extra"]) == ("idle", True, 0, 0)
    assert (status["memories"], status["last_reconcile"]["files"]) == (3, FILES)
    assert status["coverage"]["chunks"] == FILES
    assert [status["coverage"][kind] for kind in ("lexical_percent", "vector_percent")] == [100.0, 100.0]


async def waits(client: Client) -> dict[str, Any]:
    """Until it is ready: an agent calls again when its time was not enough."""
    deadline = time.monotonic() + PATIENT
    while not (answer := await call(client, "wait_for_index", project="alpha", timeout=WAIT_SECONDS))["ready"]:
        assert time.monotonic() < deadline, answer
    return answer


async def test_what_several_agents_put_at_once_is_found_by_all_of_them_after_one_wait(
    fleet: Fleet, gateway: GatewayProcess
) -> None:
    fleet.start()
    async with agents(gateway) as clients:
        await call(clients["claude"], "init_project", project="alpha", watch_paths=[])

        async def puts(name: str, client: Client) -> None:
            for number in range(5):
                text = f"def made_by_{name}_{number}(): ...\n"
                await call(client, "put_file", project="alpha", path=f"{name}/{number}.py", content="draft\n")
                await call(client, "put_file", project="alpha", path=f"{name}/{number}.py", content=text)
            await call(client, "remove_file", project="alpha", path=f"{name}/4.py")

        await asyncio.gather(*(puts(name, client) for name, client in clients.items()))
    async with agents(gateway) as clients:
        answer = await waits(clients["gemini"])
        assert answer["status"]["coverage"]["files_total"] == 12
        assert answer["status"]["pending_changes"] == 0
        for name in clients:
            for number in range(4):
                query = f"made_by_{name}_{number}"
                found = await call(clients["codex"], "search_code", project="alpha", query=query, limit=1)
                assert [(hit["path"], hit["stale"]) for hit in found["results"]] == [(f"{name}/{number}.py", False)]
        queue = await call(clients["codex"], "queue_status", project="alpha")
        assert queue["items"][0]["depth"] == 0
