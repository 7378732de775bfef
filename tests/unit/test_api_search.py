"""Search over REST and MCP: what a question may ask for, and what an answer tells besides its hits."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from mcp import Client
from mcp_types import TextContent
from search_tree import ExactVectors, Tree

from muniment.manifest import ManifestReader
from muniment.queue import utc_now
from muniment.settings import Settings
from muniment_api.deps import Services
from muniment_api.gateway.search_tools import DEFAULT_TOKENS

PROJECTS = "/api/v1/projects"
LONG = "".join(f"line {number} of the lease\n" for number in range(400))


@pytest.fixture
def tree(services: Services, gateway_settings: Settings, tmp_path: Path) -> Callable[[str], Tree]:
    """``tree(name)`` makes a project, whose files are indexed with ``index``."""
    vectors = ExactVectors()
    services.search._meaning._vectors = vectors  # type: ignore[assignment]
    services.search._meaning._patience = 10.0

    def made(name: str) -> Tree:
        folder = gateway_settings.roots[0] / name
        folder.mkdir()
        project, _ = services.projects.add_or_update(
            name, watch_paths=[str(folder)], watch_patterns=None, watch_exclude=None, watch=None, now=utc_now()
        )
        return Tree(tmp_path, vectors=vectors, project=project)

    return made


@pytest.fixture
def alpha(tree: Callable[[str], Tree]) -> Tree:
    alpha = tree("alpha")
    alpha.index(
        {
            "src/pay.py": ["import money\n", "def charge(card):\n    gateway retry card\n"],
            "src/refund.py": "gateway retry card refund\n",
            "docs/lease.md": [LONG, "the end\n"],
        }
    )
    return alpha


def get(api: TestClient, route: str, **params: Any) -> dict[str, Any]:
    answer = api.get(f"{PROJECTS}/alpha/{route}", params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_BUSY, "has been locked"),
        (sqlite3.SQLITE_CORRUPT, "is rebuilt from the sources"),
    ],
)
@pytest.mark.parametrize("opened_before", [False, True])
@pytest.mark.usefixtures("alpha")
def test_a_manifest_that_cannot_be_read_leaves_the_words_and_every_answer_says_why(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, code: int, says: str, *, opened_before: bool
) -> None:
    if opened_before:
        get(api, "search", q="gateway")

    def fails(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr("muniment.manifest.reader.connect", fails)
    monkeypatch.setattr(ManifestReader, "state", fails)
    answer = get(api, "search", q="gateway retry")
    assert {hit["path"] for hit in answer["results"]} == {"src/pay.py", "src/refund.py"}
    assert says in answer["degraded"][0]
    assert says in answer["index"]["warnings"][0]
    listed = api.get(PROJECTS)
    assert listed.status_code == 200
    assert says in listed.json()["items"][0]["index"]["warnings"][0]


@pytest.mark.usefixtures("alpha")
def test_globs_may_be_repeated_and_lines_asked_for_around_a_hit(api: TestClient) -> None:
    found = get(api, "search", q="gateway retry", path=["src/**", "!refund.py"], context=3)
    (hit,) = found["results"]
    assert (hit["project"], hit["path"], hit["start_line"], hit["end_line"]) == ("alpha", "src/pay.py", 1, 3)


@pytest.mark.usefixtures("alpha")
def test_an_answer_is_made_to_fit_and_says_what_it_left_out(api: TestClient) -> None:
    whole = get(api, "search", q="lease gateway")
    assert [hit["cut_lines"] for hit in whole["results"]] == [0, 0, 0]
    fitted = get(api, "search", q="lease gateway", max_tokens=300)
    assert len(fitted["results"]) + len(fitted["left_out"]) == 3
    cut = get(api, "search", q="lease 250", path="docs/**", max_tokens=300)["results"][0]
    assert len(cut["text"]) < 1_200
    assert "line 250 " in cut["text"]
    assert cut["cut_lines"] == 400 - cut["text"].count("\n") - 1
    assert api.get(f"{PROJECTS}/alpha/search", params={"q": "x", "max_tokens": 1}).status_code == 422


def test_other_projects_are_asked_too_and_tell_their_state(
    api: TestClient, alpha: Tree, tree: Callable[[str], Tree]
) -> None:
    beta = tree("beta")
    tree("gamma")
    beta.index({"src/lease.py": "renew the lease\n"})
    found = get(api, "search", q="renew lease", projects="beta")
    assert (found["results"][0]["project"], found["results"][0]["path"]) == ("beta", "src/lease.py")
    assert [other["project"] for other in found["others"]] == ["beta"]
    everywhere = get(api, "search", q="renew lease", projects="*", limit=1)
    assert len(everywhere["results"]) == 1
    assert {other["project"]: other["index"]["state"] for other in everywhere["others"]}.keys() == {"beta", "gamma"}
    assert everywhere["others"][1]["index"]["state"] == "empty"
    assert alpha.project.name not in {other["project"] for other in everywhere["others"]}


@pytest.mark.usefixtures("alpha")
def test_an_unknown_project_among_others_is_refused(api: TestClient) -> None:
    answer = api.get(f"{PROJECTS}/alpha/search", params={"q": "x", "projects": "beta"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_project")


def test_files_that_are_gone_and_questions_taken_otherwise_are_told(api: TestClient, alpha: Tree) -> None:
    (alpha.sources / "src/refund.py").unlink()
    found = get(api, "search", q='gateway "never written"')
    assert "src/refund.py" not in {hit["path"] for hit in found["results"]}
    assert found["gone"] == 1
    assert "never written" in found["notes"][0]


@pytest.mark.usefixtures("alpha")
def test_what_is_like_a_place_is_found(api: TestClient) -> None:
    found = get(api, "related", path="src/pay.py", line=2, limit=1)
    assert found["of"] == {"project": "alpha", "path": "src/pay.py", "start_line": 2, "end_line": 3, "symbol": "charge"}
    assert [hit["path"] for hit in found["results"]] == ["src/refund.py"]
    assert found["index"]["vector_percent"] >= 0
    by_symbol = get(api, "related", path="src/pay.py", symbol="charge", limit=1)
    assert by_symbol["results"] == found["results"]


@pytest.mark.usefixtures("alpha")
@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"path": "nowhere.py"}, 404, "file_not_indexed"),
        ({"path": "src/pay.py", "line": 99}, 422, "invalid_value"),
        ({"path": "src/pay.py", "line": 0}, 422, "invalid_value"),
        ({"path": "src/pay.py", "symbol": "refund"}, 422, "invalid_value"),
        ({"path": ""}, 422, "invalid_value"),
        ({}, 422, "invalid_value"),
    ],
)
def test_a_place_that_is_not_there_is_an_error(api: TestClient, params: dict[str, Any], status: int, code: str) -> None:
    answer = api.get(f"{PROJECTS}/alpha/related", params=params)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_place_without_its_vector_can_be_asked_for_again_later(api: TestClient, tree: Callable[[str], Tree]) -> None:
    tree("alpha").index({"a.py": "lease\n"}, vectors=False)
    answer = api.get(f"{PROJECTS}/alpha/related", params={"path": "a.py"})
    assert (answer.status_code, answer.json()["code"]) == (409, "vectors_pending")
    assert answer.json()["retryable"]


async def told(client: Client, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    result = await client.call_tool(tool, {"project": "alpha", **arguments})
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert not result.is_error, block.text
    return block.text, dict(result.structured_content or {})


@pytest.mark.usefixtures("alpha")
async def test_an_agent_gets_an_answer_that_fits_unless_it_asks_for_more(
    connect: Callable[[], AbstractAsyncContextManager[Client]], tree: Callable[[str], Tree]
) -> None:
    tree("beta").index({f"f{number}.md": LONG for number in range(10)})
    async with connect() as client:
        shown, answer = await told(client, "search_code", query="lease 250", projects=["beta"])
        assert len(shown) < 4 * DEFAULT_TOKENS
        assert "lines of it left out" in shown
        assert len(answer["results"]) == 10
        less, answer = await told(client, "search_code", query="lease 250", projects="beta", max_tokens=500)
        assert len(less) < 4 * 500
        assert len(answer["results"]) + len(answer["left_out"]) == 10
        assert "A larger max_tokens shows them." in less
        assert "[beta] f" in less


@pytest.mark.usefixtures("alpha")
async def test_an_agent_asks_what_is_like_a_place(
    connect: Callable[[], AbstractAsyncContextManager[Client]],
) -> None:
    async with connect() as client:
        shown, _ = await told(client, "find_related", path="src/pay.py", line=2)
        assert "\nLike src/pay.py:2-3 (charge):\n\nsrc/refund.py:1-1 " in shown
