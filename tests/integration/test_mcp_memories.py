"""Agents and their memory over the wire: real gateways, the real model, the official client."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_process import GatewayProcess, connected, running
from mcp_results import data, text
from mcp_types import CallToolResult

from muniment.instructions import INSTRUCTIONS

WAYS = [("http", "legacy"), ("http", "auto"), ("stdio", "legacy"), ("stdio", "auto")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agents")


@pytest.fixture(scope="module")
def gateway(folder: Path, valkey_server: str) -> Iterator[GatewayProcess]:
    """Shared by these tests, without a Chroma: each makes projects of its own."""
    env = {"MUNIMENT_REDIS_URL": valkey_server, "MUNIMENT_CHROMA_URL": "http://127.0.0.1:9"}
    with running(folder, env) as gateway:
        yield gateway


def make(gateway: GatewayProcess, name: str) -> Path:
    """A project; returns its folder."""
    folder = gateway.source / name
    folder.mkdir()
    body = {"name": name, "watch_paths": [str(folder)]}
    answer = httpx.post(f"{gateway.url}/api/v1/projects", json=body, timeout=30, trust_env=False)
    assert answer.status_code == 202, answer.text
    return folder


@pytest.mark.parametrize(("way", "mode"), WAYS)
async def test_a_decision_is_found_verified_and_replaced(gateway: GatewayProcess, way: str, mode: str) -> None:
    project = f"shop-{way}-{mode}"
    source = make(gateway, project)
    (source / "pay.py").write_text("LIMIT = 3\n\n\ndef retry(charge):\n    return charge.attempts < LIMIT\n")
    async with connected(gateway.url, way, mode) as client:

        async def call(tool: str, **arguments: Any) -> CallToolResult:
            return await client.call_tool(tool, {"project": project, **arguments})

        assert client.instructions == INSTRUCTIONS
        batch = [
            {"content": "Deploys happen on Tuesdays, because support is complete then.", "tags": "conventions"},
            {"content": "Checkout double charge fixed: a second press of Pay carries the same cart id and is ignored."},
        ]
        _, double = data(await call("store_batch", memories=batch))["items"]
        decided = await call(
            "store_memory",
            content="A charge is tried three times at most: the bank bans shops that try more.",
            tags=["Decision", " payments "],
            source="docs/adr/7",
            path="pay.py",
            symbol="retry",
        )
        memory_id = data(decided)["id"]

        probed = await call("search_memories", query="customers billed twice", mode="probe", limit=1)
        assert [hit["id"] for hit in data(probed)["results"]] == [double["id"]]
        assert "(truncated)" in text(probed)
        (source / "pay.py").write_text("LIMIT = 5\n\n\ndef retry(charge):\n    return charge.attempts <= LIMIT\n")
        found = await call("search_memories", query="how often do we ask the bank again", tags="decision")
        (hit,) = data(found)["results"]
        assert (hit["id"], hit["code"], hit["tags"]) == (memory_id, "code changed", ["decision", "payments"])
        assert text(found).startswith(f"[{project}]\nMemories:\n- {memory_id} ")
        assert "code changed: pay.py:4-5 (retry)" in text(found)

        replaced = await call(
            "store_memory",
            content="A charge is tried five times at most: the bank raised its limit.",
            supersedes=memory_id,
            path="pay.py",
            symbol="retry",
        )
        again = await call("search_memories", query="how often do we ask the bank again", limit=1)
        assert [(one["id"], one["code"]) for one in data(again)["results"]] == [(data(replaced)["id"], "same")]
        both = await call("expand_memories", memory_ids=[memory_id, data(replaced)["id"]])
        assert [one["superseded_by"] for one in data(both)["memories"]] == [data(replaced)["id"], None]
        refused = await call("store_memory", content="ten times", supersedes=memory_id)
        assert (refused.meta or {})["muniment/error"]["code"] == "memory_superseded"


async def test_of_two_gateways_that_are_told_the_same_at_once_one_stores_it(
    folder: Path, gateway: GatewayProcess, valkey_server: str
) -> None:
    make(gateway, "once")
    env = {"MUNIMENT_REDIS_URL": valkey_server, "MUNIMENT_CHROMA_URL": "http://127.0.0.1:9"}
    with running(folder, env) as other:
        async with connected(gateway.url, "http", "auto") as here, connected(other.url, "http", "auto") as there:
            said = {"project": "once", "content": "The ledger is append only because auditors ask for it."}
            calls = [client.call_tool("store_memory", said) for client in (here, there) * 6]
            stored = [data(result) for result in await asyncio.gather(*calls)]
            assert sum(one["created"] for one in stored) == 1
            assert len({one["id"] for one in stored}) == 1
            for client in (here, there):
                found = data(await client.call_tool("search_memories", {"project": "once", "query": "auditors"}))
                assert [hit["id"] for hit in found["results"]] == [stored[0]["id"]]
