"""The MCP tools as the official client sees them, over both generations of the protocol."""

import asyncio
import json
import os
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeServer
from mcp import Client
from mcp_results import data, error, text

from muniment.instructions import INSTRUCTIONS
from muniment.jobs import FileCounts, JobKind, JobStatus, Phase, Progress
from muniment.leases import Lease
from muniment.queue import utc_now
from muniment.search import Place, SearchHit, SearchOutcome
from muniment.settings import Settings
from muniment_api.deps import Services

SNAPSHOT = Path(__file__).parent / "snapshots" / "mcp_tools.json"
RENEW = "MUNIMENT_RENEW_SNAPSHOTS" in os.environ  # read before the fixture that hides MUNIMENT_* from tests
Connect = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture
def alpha(services: Services, gateway_settings: Settings) -> str:
    """The name of a project that was made and waits for its first pass."""
    folder = gateway_settings.roots[0] / "alpha"
    folder.mkdir()
    services.projects.add_or_update(
        "alpha", watch_paths=[str(folder)], watch_patterns=None, watch_exclude=None, watch=None, now=utc_now()
    )
    return "alpha"


async def test_the_tools_are_those_of_the_snapshot(connect: Connect) -> None:
    async with connect() as client:
        tools = (await client.list_tools()).tools
    shown = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    if RENEW:
        SNAPSHOT.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert shown == json.loads(SNAPSHOT.read_text(encoding="utf-8")), "renew it with MUNIMENT_RENEW_SNAPSHOTS=1"


async def test_the_whole_list_of_tools_costs_an_agent_less_than_6000_tokens(connect: Connect) -> None:
    async with connect() as client:
        tools = (await client.list_tools()).tools
    listed = json.dumps([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools])
    assert len(listed) / 3.5 < 6_000  # characters a token: JSON of English words has four or more


async def test_every_tool_describes_itself_and_its_parameters(connect: Connect) -> None:
    async with connect() as client:
        tools = (await client.list_tools()).tools
    for tool in tools:
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is not None
        assert tool.output_schema is None, "it would cost every agent's context"
        for name, schema in tool.input_schema["properties"].items():
            assert schema.get("description"), f"{tool.name}.{name}"


async def test_the_server_names_itself_and_teaches_its_use(connect: Connect) -> None:
    async with connect() as client:
        assert client.server_info is not None
        assert client.server_info.name == "muniment"
        assert client.server_info.version
        assert client.instructions == INSTRUCTIONS
        tools = {tool.name for tool in (await client.list_tools()).tools}
    assert len(INSTRUCTIONS) < 1800
    named = set(re.findall(r"\b[a-z]+_[a-z_]+\b(?!=)", INSTRUCTIONS))  # but for arguments of theirs
    assert named <= tools


async def test_making_a_project_answers_with_its_job_and_how_to_follow_it(
    connect: Connect, gateway_settings: Settings
) -> None:
    folder = gateway_settings.roots[0] / "beta"
    folder.mkdir()
    async with connect() as client:
        result = await client.call_tool("init_project", {"project": "beta", "watch_paths": [str(folder)]})
        made = data(result)
        assert text(result).startswith(
            "Project 'beta' initialized. Indexing in progress — use index_status to check progress.\n"
        )
        assert made["job_id"] in text(result)
        job = await client.call_tool("get_job_status", {"job_id": made["job_id"]})
        assert data(job)["kind"] == "reconcile"
        assert text(job).startswith(f"Job {made['job_id']} (reconcile of 'beta'): queued")
        listed = await client.call_tool("list_projects", {})
        assert data(listed)["items"][0]["index"]["state"] == "indexing"
        assert str(folder) in text(listed)


async def test_without_projects_the_list_says_how_to_make_one(connect: Connect) -> None:
    async with connect() as client:
        assert "init_project" in text(await client.call_tool("list_projects", {}))


@pytest.mark.parametrize(
    ("tool", "arguments", "kind", "paths"),
    [
        ("index_files", {}, "reindex", []),
        ("start_indexing", {}, "reconcile", []),
        ("start_indexing", {"path": "src"}, "update", ["src"]),
        ("start_indexing", {"path": "src", "force": True}, "reindex", ["src"]),
        ("start_indexing", {"force": True}, "reindex", []),
    ],
)
async def test_each_way_to_start_indexing_queues_its_kind_of_job(
    connect: Connect, alpha: str, tool: str, arguments: dict[str, Any], kind: str, paths: list[str]
) -> None:
    async with connect() as client:
        queued = data(await client.call_tool(tool, {"project": alpha, **arguments}))
        job = data(await client.call_tool("get_job_status", {"job_id": queued["job_id"]}))
        assert (job["kind"], job["paths"], job["status"]) == (kind, paths, "queued")


async def test_jobs_are_listed_by_page(connect: Connect, alpha: str, services: Services) -> None:
    ended = run_to_the_end(services, alpha)
    async with connect() as client:
        waiting = data(await client.call_tool("start_indexing", {"project": alpha}))["job_id"]
        first = await client.call_tool("list_jobs", {"project": alpha, "limit": 1})
        assert [job["id"] for job in data(first)["items"]] == [waiting]
        assert f"cursor '{data(first)['next']}'" in text(first)
        second = await client.call_tool("list_jobs", {"limit": 1, "cursor": data(first)["next"]})
        assert [job["id"] for job in data(second)["items"]] == [ended]
        completed = await client.call_tool("list_jobs", {"status": "completed"})
        assert [job["id"] for job in data(completed)["items"]] == [ended]
        assert text(await client.call_tool("list_jobs", {"status": "failed"})) == "No jobs."


async def test_a_search_shows_coverage_first_and_then_the_hits(
    connect: Connect, alpha: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = SearchHit(
        project="alpha", path="src/store.py", start_line=3, end_line=5, symbol="Store.put", language="python",
        kind="code", score=0.91, text="def put(self): ...\n", stale=True,
        also=[Place(start_line=9, end_line=12, symbol="Store.get")],
    )  # fmt: skip
    asked: list[Any] = []

    def search(*arguments: Any, **filters: Any) -> SearchOutcome:
        asked.append((arguments[1:], filters))
        return SearchOutcome(results=[hit], degraded=["no vectors"])

    monkeypatch.setattr(services.search, "search", search)
    run_to_the_end(services, alpha)
    filters = {"path": "src/**", "language": "python", "kind": "code", "limit": 7}
    async with connect() as client:
        result = await client.call_tool("search_code", {"project": "ALPHA", "query": "put", **filters})
    assert asked == [(("put", 7), {"path_glob": "src/**", "language": "python", "kind": "code", "context": 0})]
    assert data(result)["results"] == [hit.model_dump(mode="json")]
    header, degraded, rest = text(result).split("\n", 2)
    assert header.startswith("Index of 'alpha': ")
    assert degraded == "Degraded: no vectors"
    assert rest == (
        "\nsrc/store.py:3-5 (Store.put) 0.91 — stale: the file has changed since\n```python\ndef put(self): ...\n```"
        "\nAlso in this file: 9-12 (Store.get)"
    )


async def test_the_status_tells_coverage_and_the_job(connect: Connect, alpha: str) -> None:
    async with connect() as client:
        await client.call_tool("start_indexing", {"project": alpha})
        result = await client.call_tool("index_status", {"project": alpha})
    assert data(result)["state"] == "indexing"
    assert text(result).startswith("Project 'alpha': indexing.\nCoverage: 0.0% lexical")


async def test_redis_away_is_an_error_that_can_be_retried(
    connect: Connect, alpha: str, redis_server: FakeServer
) -> None:
    async with connect() as client:
        redis_server.connected = False
        failed = error(await client.call_tool("start_indexing", {"project": alpha}))
    assert failed["code"] == "redis_unavailable"
    assert failed["retryable"]


@pytest.mark.usefixtures("alpha")
@pytest.mark.parametrize(
    ("tool", "arguments", "code", "says"),
    [
        ("index_status", {"project": "alpa"}, "unknown_project", "No project named 'alpa'. Known: alpha."),
        ("get_job_status", {"job_id": "0"}, "unknown_job", "No job with id '0'."),
        ("start_indexing", {"project": "alpha", "path": "../x"}, "path_outside_project", "'../x'"),
        ("init_project", {"project": "b", "watch_paths": ["x"]}, "path_not_absolute", "'x'"),
        ("search_code", {"project": "alpha"}, "invalid_value", "query is None: it is required"),
        ("search_code", {"project": "alpha", "query": "x", "limit": "many"}, "invalid_value", "limit is 'many'"),
        ("search_code", {"project": "alpha", "query": "x", "kind": "docs"}, "invalid_value", "kind is 'docs'"),
        ("search_code", {"project": "alpha", "query": "x", "top": 3}, "invalid_value", "argument is 'top'"),
        ("search_code", {"project": "alpha", "query": " "}, "invalid_value", "query is ' '"),
        ("list_jobs", {"status": "done"}, "invalid_value", "status is 'done'"),
        ("list_jobs", {"cursor": "next"}, "invalid_value", "cursor is 'next'"),
        ("store_memory", {"project": "alpha", "content": "x", "tags": 3}, "invalid_value", "tags is 3"),
        ("grep", {}, "invalid_value", "tool is 'grep'"),
    ],
)
async def test_wrong_requests_name_what_was_wrong(
    connect: Connect, tool: str, arguments: dict[str, Any], code: str, says: str
) -> None:
    async with connect() as client:
        failed = error(await client.call_tool(tool, arguments))
    assert failed["code"] == code
    assert says in failed["message"]
    assert failed["remedy"]


async def test_a_fault_of_ours_tells_the_log_and_not_the_caller(
    connect: Connect, alpha: str, services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def search(*_: object, **__: object) -> SearchOutcome:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(services.search, "search", search)
    async with connect() as client:
        failed = error(await client.call_tool("search_code", {"project": alpha, "query": "x"}))
    assert failed["code"] == "internal"
    assert "secret" not in failed["message"]
    assert "secret detail" in caplog.text


async def test_waiting_ends_at_once_when_nothing_is_queued(connect: Connect, alpha: str, services: Services) -> None:
    run_to_the_end(services, alpha)
    async with connect() as client:
        result = await client.call_tool("wait_for_index", {"project": alpha})
    assert data(result)["ready"] is True
    assert text(result).startswith("Ready: everything queued")


async def test_waiting_answers_with_the_progress_at_its_timeout(connect: Connect, alpha: str) -> None:
    async with connect() as client:
        await client.call_tool("start_indexing", {"project": alpha})
        result = await client.call_tool("wait_for_index", {"project": alpha, "timeout": 0})
    assert data(result)["ready"] is False
    assert data(result)["status"]["job"]["status"] == "queued"
    assert text(result).startswith("Not ready yet")


async def test_waiting_tells_progress_until_the_job_ends(connect: Connect, alpha: str, services: Services) -> None:
    reports: list[tuple[float, float | None, str | None]] = []
    reported = asyncio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))
        reported.set()

    feed = asyncio.create_task(services.feed.run())
    try:
        await asyncio.wait_for(services.feed.standing.wait(), 10)
        async with connect() as client:
            await client.call_tool("start_indexing", {"project": alpha})
            lease = leased(services, alpha)
            job = services.queue.claim_next(lease)
            assert job is not None
            waiting = asyncio.create_task(
                client.call_tool("wait_for_index", {"project": alpha}, progress_callback=on_progress)
            )
            half = Progress(phase=Phase.LEXICAL, files=FileCounts(total=8, done=4), percent=50.0)
            while not reported.is_set():
                services.queue.progress(job, half)
                with suppress(TimeoutError):
                    await asyncio.wait_for(reported.wait(), 0.05)
            assert services.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
            result = await asyncio.wait_for(waiting, 10)
    finally:
        feed.cancel()
        await asyncio.wait({feed})
    assert data(result)["ready"] is True
    assert reports[0] == (50.0, 100.0, "lexical: 4 of 8 files")
    risen = [progress for progress, _, _ in reports]
    assert risen == sorted(set(risen)), "the protocol wants progress to rise"


async def test_waiting_for_a_job_that_fails_is_not_ready(connect: Connect, alpha: str, services: Services) -> None:
    services.intake.start(alpha, JobKind.RECONCILE)
    lease = leased(services, alpha)
    job = services.queue.claim_next(lease)
    assert job is not None
    async with connect() as client:
        waiting = asyncio.create_task(client.call_tool("wait_for_index", {"project": alpha}))
        await asyncio.sleep(0)
        services.queue.finish(lease, job, JobStatus.FAILED, Progress())
        result = await asyncio.wait_for(waiting, 10)
    assert data(result)["ready"] is False
    assert text(result).startswith("Not ready: the job failed.")


def leased(services: Services, name: str) -> Lease:
    lease = services.leases.acquire(services.projects.get(name).id, "a worker")
    assert isinstance(lease, Lease)
    return lease


def run_to_the_end(services: Services, name: str) -> str:
    """Queues a reconcile and completes it, as a worker would; returns its id."""
    queued = services.intake.start(name, JobKind.RECONCILE)
    lease = leased(services, name)
    job = services.queue.claim_next(lease)
    assert job is not None
    assert services.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    assert services.leases.release(lease)
    return queued.job_id


async def test_a_file_is_put_and_taken_back(connect: Connect, services: Services, alpha: str) -> None:
    async with connect() as client:
        put = await client.call_tool("put_file", {"project": alpha, "path": "notes/a.md", "content": "# Notes\n"})
        assert data(put)["path"] == "notes/a.md"
        assert text(put).endswith(f"Job: {data(put)['job_id']}")
        assert services.dirty.peek(services.projects.get(alpha).id, 5).keys() == {"notes/a.md"}
        removed = await client.call_tool("remove_file", {"project": alpha, "path": "notes/a.md"})
        assert text(removed).startswith("Removed: 'notes/a.md' of project 'alpha'.")
        again = await client.call_tool("remove_file", {"project": alpha, "path": "notes/a.md"})
        assert error(again)["code"] == "not_pushed"
        wrong = await client.call_tool("put_file", {"project": alpha, "path": "../a.md", "content": "text"})
        assert error(wrong)["code"] == "invalid_value"


async def test_a_project_of_pushed_files_alone_is_listed_as_such(connect: Connect) -> None:
    async with connect() as client:
        data(await client.call_tool("init_project", {"project": "notes", "watch_paths": []}))
        listed = text(await client.call_tool("list_projects", {}))
        assert listed.endswith("\n  files of put_file alone")
        left_out = await client.call_tool("init_project", {"project": "other"})
        assert "explicit empty list" in error(left_out)["message"]


async def test_a_project_is_removed_once_that_is_confirmed(connect: Connect, services: Services, alpha: str) -> None:
    services.memory.store(services.projects.get(alpha), "deploys happen on Tuesdays")
    async with connect() as client:
        asked = error(await client.call_tool("remove_project", {"project": alpha}))
        assert asked["code"] == "confirmation_required"
        assert "its memories (1)" in asked["message"]
        assert services.projects.find(alpha) is not None
        removed = await client.call_tool("remove_project", {"project": alpha, "confirm": True})
        assert text(removed).startswith("Project 'alpha' is removed; its name is free. Its 1 memories are in ")
        assert data(removed)["swept"]
        gone = await client.call_tool("search_code", {"project": alpha, "query": "anything"})
        assert error(gone)["code"] == "unknown_project"
