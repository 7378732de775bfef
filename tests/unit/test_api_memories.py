"""Memories and search over REST."""

import pytest
from fakeredis import FakeServer
from fastapi.testclient import TestClient

from muniment.settings import Settings

ALPHA = "/api/v1/projects/alpha"


@pytest.fixture(autouse=True)
def _alpha(api: TestClient, gateway_settings: Settings) -> None:
    paths = [str(gateway_settings.roots[0])]
    assert api.post("/api/v1/projects", json={"name": "alpha", "watch_paths": paths}).status_code == 202


def store(api: TestClient, content: str, **more: object) -> dict[str, object]:
    answer = api.post(f"{ALPHA}/memories", json={"content": content, **more})
    assert answer.status_code == 201, answer.text
    stored: dict[str, object] = answer.json()
    return stored


def test_a_stored_memory_is_found_and_told_of(api: TestClient) -> None:
    memory_id = store(api, "we chose postgres for billing", tags="DB, billing", source="adr/7")["id"]
    found = api.get(f"{ALPHA}/memories", params={"q": "postgres billing"}).json()
    assert [(item["id"], item["tags"], item["source"]) for item in found["items"]] == [
        (memory_id, ["billing", "db"], "adr/7")
    ]
    assert found["next"] is None


def test_the_same_memory_again_is_no_new_one(api: TestClient) -> None:
    memory_id = store(api, "we chose postgres for billing")["id"]
    again = api.post(f"{ALPHA}/memories", json={"content": "we chose postgres for billing"})
    assert (again.status_code, again.json()["duplicate_of"]) == (200, memory_id)


def test_tags_may_be_a_list_and_narrow_the_search(api: TestClient) -> None:
    wanted = store(api, "queues are per project", tags=["queue"])["id"]
    store(api, "queues are long today", tags=["smalltalk"])
    params = {"q": "queues", "tags": ["queue", "other"]}
    assert [item["id"] for item in api.get(f"{ALPHA}/memories", params=params).json()["items"]] == [wanted]


def test_a_deleted_memory_is_gone_and_cannot_be_deleted_again(api: TestClient) -> None:
    memory_id = store(api, "we chose postgres")["id"]
    assert api.delete(f"{ALPHA}/memories/{memory_id}").json() == {"deleted": 1}
    assert api.get(f"{ALPHA}/memories", params={"q": "postgres"}).json()["items"] == []
    again = api.delete(f"{ALPHA}/memories/{memory_id}")
    assert (again.status_code, again.json()["code"]) == (404, "unknown_memory")


def test_a_memory_is_stored_while_redis_is_away(api: TestClient, redis_server: FakeServer) -> None:
    redis_server.connected = False
    store(api, "redis was away on monday")
    assert api.get(f"{ALPHA}/memories", params={"q": "monday"}).json()["items"]


def test_an_empty_memory_and_an_empty_question_are_refused(api: TestClient) -> None:
    assert api.post(f"{ALPHA}/memories", json={"content": "  "}).json()["code"] == "invalid_value"
    assert api.get(f"{ALPHA}/memories", params={"q": " "}).json()["message"] == "query is '': it is empty."


def test_a_search_before_the_first_pass_finds_nothing_and_says_why(api: TestClient) -> None:
    answer = api.get(f"{ALPHA}/search", params={"q": "eviction"}).json()
    assert answer["results"] == []
    assert (answer["index"]["state"], answer["index"]["lexical_percent"]) == ("indexing", 0.0)
    assert answer["took_ms"] >= 0
    assert answer["memories"] == []


@pytest.mark.parametrize(("scope", "count"), [("code", 0), ("memory", 1), ("all", 1)])
def test_the_scope_decides_whether_memories_answer_too(api: TestClient, scope: str, count: int) -> None:
    store(api, "eviction follows memory pressure")
    answer = api.get(f"{ALPHA}/search", params={"q": "eviction", "scope": scope}).json()
    assert len(answer["memories"]) == count


@pytest.mark.parametrize("params", [{}, {"q": ""}, {"q": " "}, {"q": "x", "limit": 101}, {"q": "x", "scope": "web"}])
def test_a_search_that_cannot_be_is_refused(api: TestClient, params: dict[str, str]) -> None:
    answer = api.get(f"{ALPHA}/search", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
