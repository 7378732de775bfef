"""The memory tools as the official client sees them, over both generations of the protocol."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeServer
from mcp import Client
from mcp_results import data, error, text
from mcp_types import CallToolResult

from muniment.errors import LexicalIndexDamaged
from muniment.queue import utc_now
from muniment.search import SearchHit, SearchOutcome
from muniment.settings import Settings
from muniment_api.deps import Services

Connect = Callable[[], AbstractAsyncContextManager[Client]]
FACT = "The ledger is append only because auditors ask for it"


@pytest.fixture
def folder(services: Services, gateway_settings: Settings) -> Path:
    """Of project alpha, which was never scanned; beta has the same one."""
    folder = gateway_settings.roots[0] / "alpha"
    folder.mkdir()
    for name in ("alpha", "beta"):
        services.projects.add_or_update(
            name, watch_paths=[str(folder)], watch_patterns=None, watch_exclude=None, watch=None, now=utc_now()
        )
    return folder


@pytest.fixture
def call(connect: Connect, folder: Path) -> Callable[..., Any]:  # noqa: ARG001
    """Calls the tools one after the other, for alpha unless another project is named."""

    async def called(*calls: tuple[str, dict[str, Any]]) -> list[CallToolResult]:
        async with connect() as client:
            return [await client.call_tool(tool, {"project": "alpha", **arguments}) for tool, arguments in calls]

    return called


async def test_memories_are_stored_found_and_deleted(connect: Connect, folder: Path) -> None:  # noqa: ARG001
    async with connect() as client:

        async def call(tool: str, **arguments: Any) -> CallToolResult:
            return await client.call_tool(tool, {"project": "alpha", **arguments})

        one = {"content": FACT, "tags": "Ledger, audit", "source": "docs/adr/7"}
        stored = await call("store_memory", **one)
        memory_id = data(stored)["id"]
        assert text(stored) == f"[alpha] Stored as {memory_id}."
        again = await call("store_memory", **{**one, "tags": ["other"]})
        assert data(again)["duplicate_of"] == memory_id
        assert text(again).startswith(f"[alpha] Not stored: memory {memory_id}")
        assert text(again).endswith(f"\n  {memory_id} {FACT}")
        asked = {"query": "why is the ledger append only", "tags": ["audit"]}
        found = await call("search_memories", **asked)
        (hit,) = data(found)["results"]
        assert (hit["id"], hit["project"], hit["truncated"]) == (memory_id, "alpha", False)
        heading = f"- {memory_id} {hit['score']:.2f}, {hit['created_at'][:10]}, tags audit, ledger, source docs/adr/7"
        assert text(found) == f"[alpha]\nMemories:\n{heading}\n  {FACT}"
        assert data(await call("delete_memory", memory_id=memory_id)) == {"deleted": 1}
        assert error(await call("delete_memory", memory_id=memory_id))["code"] == "unknown_memory"
        assert text(await call("search_memories", **asked)) == "[alpha]\nNo memories found."


async def test_a_memory_is_kept_though_nobody_can_be_told(call: Any, redis_server: FakeServer) -> None:
    redis_server.connected = False
    (stored,) = await call(("store_memory", {"content": "Redis may be away"}))
    assert data(stored)["created"]


async def test_a_batch_answers_for_each_item_or_names_the_bad_one(call: Any) -> None:
    batch = [{"content": FACT, "tags": ["a"]}, {"content": FACT}, {"content": "tea is at four"}]
    bad = [{"content": "coffee is at ten"}, {"content": " "}]
    stored, refused, unknown, missing, listed = await call(
        ("store_batch", {"memories": batch}),
        ("store_batch", {"memories": bad}),
        ("store_batch", {"memories": [{"content": "x", "tag": "y"}]}),
        ("store_batch", {"memories": [{"tags": "y"}]}),
        ("search_memories", {"query": "coffee at ten", "min_score": 0.9}),
    )
    assert [item["created"] for item in data(stored)["items"]] == [True, False, True]
    assert text(stored).splitlines()[0] == "[alpha] Stored 2 of 3."
    for result, says in (
        (refused, "memories[1].content"),
        (unknown, "memories.0.tag"),
        (missing, "memories.0.content"),
    ):
        assert error(result)["code"] == "invalid_value"
        assert says in text(result)
    assert data(listed)["results"] == []


async def test_a_probe_is_cheap_and_expanding_shows_the_whole(call: Any, services: Services) -> None:
    long = "The ledger " + "is append only because auditors ask for it " * 30
    memory_id = services.memory.store(services.projects.get("alpha"), long).id
    probe, summary, full, expanded = await call(
        ("search_memories", {"query": "ledger", "mode": "probe"}),
        ("search_memories", {"query": "ledger"}),
        ("search_memories", {"query": "ledger", "mode": "full"}),
        ("expand_memories", {"memory_ids": [memory_id, "nobody"]}),
    )
    assert len(text(probe).splitlines()[2]) < 130
    assert f"- {memory_id} " in text(probe)
    assert 200 < len(text(summary)) < 450
    for cut in (probe, summary):
        assert data(cut)["results"][0]["truncated"]
        assert "truncated" in text(cut)
        assert text(cut).endswith("expand_memories shows them whole.")
    assert data(full)["results"][0]["content"] == long.strip()
    assert long.strip() in text(full)
    assert data(expanded)["memories"][0]["content"] == long.strip()
    assert (data(expanded)["missing"], text(expanded).splitlines()[-1]) == (["nobody"], "Not in this project: nobody")


async def test_json_is_the_answer_itself(call: Any) -> None:
    _, found = await call(
        ("store_memory", {"content": FACT, "tags": "b,a"}),
        ("search_memories", {"query": "ledger", "output": "json", "mode": "probe"}),
    )
    assert json.loads(text(found)) == data(found)
    (hit,) = data(found)["results"]
    assert set(hit) == {
        "id", "project", "project_id", "content", "tags", "source", "created_at", "updated_at", "superseded_by",
        "anchor", "code", "score", "truncated",
    }  # fmt: skip
    assert hit["created_at"] == hit["updated_at"] is not None


async def test_indexed_files_are_named_beside_the_memories_but_for_a_probe(
    call: Any, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = SearchHit(
        project="alpha", path="src/ledger.py", start_line=3, end_line=5, symbol="Ledger", language="python",
        kind="code", score=0.91, text="class Ledger: ...", stale=False,
    )  # fmt: skip
    asked: list[Any] = []

    def search(*arguments: Any) -> SearchOutcome:
        asked.append((arguments[0].name, *arguments[1:]))
        return SearchOutcome(results=[hit])

    monkeypatch.setattr(services.search, "search", search)
    summary, probe = await call(
        ("search_memories", {"query": "ledger"}), ("search_memories", {"query": "ledger", "mode": "probe"})
    )
    assert asked == [("alpha", "ledger", 3)]
    assert text(summary) == "[alpha]\nNo memories found.\nIndexed files:\n- src/ledger.py:3-5 Ledger 0.91"
    assert data(summary)["files"] == [
        {"path": "src/ledger.py", "start_line": 3, "end_line": 5, "symbol": "Ledger", "score": 0.91}
    ]
    assert text(probe) == "[alpha]\nNo memories found."


async def test_an_index_that_cannot_answer_takes_no_memory_away(
    call: Any, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: Any) -> SearchOutcome:
        raise LexicalIndexDamaged("/data", "torn")

    monkeypatch.setattr(services.search, "search", damaged)
    _, found, long = await call(
        ("store_memory", {"content": FACT}),
        ("search_memories", {"query": "ledger"}),
        ("search_memories", {"query": "ledger " * 2_000}),
    )
    assert FACT in text(found)
    assert not long.is_error


async def test_other_projects_answer_in_groups_of_their_own(call: Any) -> None:
    here, there, found, everywhere, topics, unknown = await call(
        ("store_memory", {"content": FACT, "tags": "a"}),
        ("store_memory", {"content": "append only ledger", "project": "beta", "tags": "a,b"}),
        ("search_memories", {"query": "append only ledger", "projects": ["beta"]}),
        ("search_memories", {"query": "append only ledger", "projects": "*", "limit": 1}),
        ("list_topics", {"projects": "beta, alpha"}),
        ("search_memories", {"query": "x", "projects": "gamma"}),
    )
    assert [hit["id"] for hit in data(found)["results"]] == [data(there)["id"], data(here)["id"]]
    assert text(found).index("[alpha]") < text(found).index(FACT) < text(found).index("[beta]")
    assert [hit["project"] for hit in data(everywhere)["results"]] == ["beta"]
    assert text(everywhere).startswith("[alpha]\nNo memories found.\n\n[beta]\nMemories:\n")
    assert text(topics) == "[alpha] a 2, b 1"
    assert error(unknown)["code"] == "unknown_project"


async def test_what_was_replaced_is_hidden_unless_asked_for(call: Any, services: Services) -> None:
    old = services.memory.store(services.projects.get("alpha"), FACT).id
    stored, found, both, again = await call(
        ("store_memory", {"content": "The ledger is append only by law", "supersedes": old}),
        ("search_memories", {"query": "ledger append only"}),
        ("search_memories", {"query": "ledger append only", "include_superseded": True}),
        ("store_memory", {"content": "The ledger is gone", "supersedes": old}),
    )
    new = data(stored)["id"]
    assert text(stored).startswith(f"[alpha] Stored as {new}, in place of {old}.")
    assert [hit["id"] for hit in data(found)["results"]] == [new]
    assert f"superseded by {new}" in text(both)
    assert error(again)["code"] == "memory_superseded"


async def test_a_memory_is_corrected_and_tagged(call: Any, services: Services) -> None:
    memory_id = services.memory.store(services.projects.get("alpha"), FACT, "a", "adr/7").id
    updated, tagged, only, nothing, unknown = await call(
        ("update_memory", {"memory_id": memory_id, "content": "The ledger is gone", "source": ""}),
        ("retag_memory", {"memory_id": memory_id, "add_tags": "B, c", "remove_tags": ["a"]}),
        ("retag_memory", {"memory_id": memory_id, "set_tags": "d"}),
        ("update_memory", {"memory_id": memory_id}),
        ("update_memory", {"memory_id": "nobody", "content": "x"}),
    )
    assert (data(updated)["content"], data(updated)["source"], data(updated)["tags"]) == (
        "The ledger is gone", None, ["a"],
    )  # fmt: skip
    assert text(updated).startswith(f"[alpha] Updated.\n- {memory_id} ")
    assert (data(tagged)["tags"], data(only)["tags"]) == (["b", "c"], ["d"])
    assert error(nothing)["code"] == "invalid_value"
    assert error(unknown)["code"] == "unknown_memory"


async def test_a_memory_is_superseded_by_one_that_was_stored_before(call: Any, services: Services) -> None:
    alpha = services.projects.get("alpha")
    old, new = services.memory.store(alpha, FACT).id, services.memory.store(alpha, "Tea is at four").id
    replaced, found, circle, back = await call(
        ("update_memory", {"memory_id": old, "superseded_by": new}),
        ("search_memories", {"query": "ledger"}),
        ("update_memory", {"memory_id": new, "superseded_by": old}),
        ("update_memory", {"memory_id": old, "superseded_by": ""}),
    )
    assert data(replaced)["superseded_by"] == new
    assert f"\n  superseded by {new}\n" in text(replaced)
    assert [hit["id"] for hit in data(found)["results"]] == [new]
    assert error(circle)["message"] == f"superseded_by is '{old}': it was itself replaced by this one."
    assert data(back)["superseded_by"] is None


@pytest.mark.parametrize("given", ['{"retries": 3}', "[1]", "null", "true"])
async def test_a_text_that_is_json_as_well_stays_a_text(call: Any, services: Services, given: str) -> None:
    stored = services.memory.store(services.projects.get("alpha"), FACT)
    changes = {"project": "alpha", "memory_id": stored.id, "content": given, "source": given, "tags": '["a", "b"]'}
    (changed,) = await call(("update_memory", changes))
    assert (data(changed)["content"], data(changed)["source"], data(changed)["tags"]) == (given, given, ["a", "b"])


async def test_several_memories_are_deleted_or_none(call: Any, services: Services) -> None:
    alpha = services.projects.get("alpha")
    ids = [services.memory.store(alpha, FACT).id, services.memory.store(alpha, "Tea is at four").id]
    refused, none, blank, deleted = await call(
        ("delete_memory", {"memory_id": [*ids, "nobody"]}),
        ("delete_memory", {"memory_id": []}),
        ("delete_memory", {"memory_id": " "}),
        ("delete_memory", {"memory_id": [f" {ids[0]}", *ids]}),
    )
    assert error(refused)["message"] == "No memory with id 'nobody' in project 'alpha'."
    assert error(none)["message"] == "memory ids is []: name at least one memory."
    assert error(blank)["message"] == "memory ids is '': it is empty."
    assert (data(deleted), text(deleted)) == ({"deleted": 2}, f"[alpha] Deleted {ids[0]}, {ids[1]}.")


async def test_changed_code_is_told_until_it_is_confirmed(connect: Connect, folder: Path) -> None:
    (folder / "pay.py").write_text("def retry():\n    return 3\n")
    (folder / "other.py").write_text("other = 1\n")
    about = {"project": "alpha", "content": "Retries stop after 3", "path": "pay.py", "symbol": "retry"}
    asked = {"project": "alpha", "query": "retries"}
    async with connect() as client:
        memory_id = data(await client.call_tool("store_memory", about))["id"]
        assert "  about pay.py:1-2 (retry)\n" in text(await client.call_tool("search_memories", asked))
        (folder / "pay.py").write_text("\n\ndef retry():\n    return 4\n")
        assert "  code changed: pay.py:1-2 (retry) — " in text(await client.call_tool("search_memories", asked))
        probed = await client.call_tool("search_memories", {**asked, "mode": "probe"})
        assert text(probed).endswith("Retries stop after 3 (code changed)")
        confirmed = {"project": "alpha", "memory_id": memory_id, "confirm_code": True}
        assert "  about pay.py:3-4 (retry)\n" in text(await client.call_tool("update_memory", confirmed))
        assert data(await client.call_tool("search_memories", asked))["results"][0]["code"] == "same"
        (folder / "pay.py").unlink()
        assert "  code gone: pay.py:3-4 (retry) — " in text(await client.call_tool("search_memories", asked))
        wrong = {**about, "path": "no.py"}
        assert "path is 'no.py'" in text(await client.call_tool("store_memory", wrong))


async def test_an_unused_memory_is_named_before_it_is_deleted(call: Any, services: Services) -> None:
    memory_id = services.memory.store(services.projects.get("alpha"), FACT).id
    fresh, dry, gone, none = await call(
        ("prune_stale", {}),
        ("prune_stale", {"max_age_days": 0}),
        ("prune_stale", {"max_age_days": 0, "dry_run": False}),
        ("prune_stale", {"max_age_days": 0}),
    )
    assert text(fresh) == "[alpha] Every memory was read or changed within 60 days."
    assert f"- {memory_id} " in text(dry)
    assert (data(dry)["count"], data(gone)["count"], data(none)["count"]) == (1, 1, 0)
    assert text(gone).startswith("[alpha] Deleted 1 memory that nobody read or changed for 0 days:")


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("store_memory", {"content": "x", "tags": 3}, "tags is 3"),
        ("store_memory", {"content": "x", "lines": "1-2"}, "path is None"),
        ("search_memories", {"query": "x", "mode": "all"}, "mode is 'all'"),
        ("search_memories", {"query": "x", "after": "soon"}, "after is 'soon'"),
        ("search_memories", {"query": "x", "min_score": 2}, "min_score is 2"),
        ("search_memories", {"query": " "}, "query is ''"),
        ("expand_memories", {"memory_ids": []}, "memory ids is []"),
        ("retag_memory", {"memory_id": "x"}, "tags is 'nothing'"),
        ("retag_memory", {"memory_id": "x", "set_tags": "a", "add_tags": "b"}, "set_tags is "),
        ("prune_stale", {"max_age_days": -1}, "max_age_days is -1"),
    ],
)
async def test_wrong_requests_name_what_was_wrong(call: Any, tool: str, arguments: dict[str, Any], says: str) -> None:
    (refused,) = await call((tool, arguments))
    assert error(refused)["code"] == "invalid_value"
    assert says in text(refused)
