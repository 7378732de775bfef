"""Memories over REST: batches, lists, other projects, modes, changes, code, clean-up, and what events tell of it."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from fakeredis import FakeServer
from fastapi.testclient import TestClient

from muniment.bus import Bus
from muniment.events import Event
from muniment.redis_client import EVENT_STREAM
from muniment.settings import Settings
from muniment_api.deps import Services

ALPHA, BETA = "/api/v1/projects/alpha", "/api/v1/projects/beta"
LONG = "the ledger is append only because auditors ask for it " * 20


@pytest.fixture(autouse=True)
def source(api: TestClient, gateway_settings: Settings) -> Path:
    folder = gateway_settings.roots[0]
    for name in ("alpha", "beta"):
        made = api.post("/api/v1/projects", json={"name": name, "watch_paths": [str(folder)]})
        assert made.status_code == 202
    return folder


def store(api: TestClient, content: str, project: str = ALPHA, **more: object) -> str:
    answer = api.post(f"{project}/memories", json={"content": content, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def found(api: TestClient, project: str = ALPHA, **params: Any) -> list[dict[str, Any]]:
    answer = api.get(f"{project}/memories", params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def told(services: Services, prefix: str = "memor") -> list[tuple[str, dict[str, Any]]]:
    kept = services.connections.records.xrange(EVENT_STREAM)
    events = [Event.model_validate_json(fields["event"]) for _, fields in kept]
    return [(event.type.value, event.data) for event in events if event.type.startswith(prefix)]


def reads(services: Services) -> dict[str, int]:
    services.memory.write_reads()
    with closing(sqlite3.connect(services.settings.folder.memories_db)) as db:
        return dict(db.execute("SELECT id, reads FROM reads JOIN memories USING (number)").fetchall())


# --- storing ----------------------------------------------------------------------------------------------------


def test_a_batch_is_stored_as_a_whole_or_not_at_all(api: TestClient) -> None:
    known = store(api, "deploys happen on monday")
    batch = {"memories": [{"content": "tea is at four", "tags": "kitchen"}, {"content": "deploys happen on monday"}]}
    first, second = api.post(f"{ALPHA}/memories/batch", json=batch).json()["items"]
    assert first["created"]
    assert second["duplicate_of"] == known
    bad = {"memories": [{"content": "coffee is at ten"}, {"content": "x", "path": "no/such.py"}]}
    refused = api.post(f"{ALPHA}/memories/batch", json=bad)
    assert refused.status_code == 422
    assert refused.json()["message"].startswith("memories[1].path is 'no/such.py'")
    assert found(api, q="coffee at ten", min_score=0.9) == []


def test_a_successor_hides_what_it_replaces_and_both_are_told_of(api: TestClient, services: Services) -> None:
    old = store(api, "the timeout is five seconds", tags="limits")
    new = store(api, "the timeout is nine seconds", supersedes=old)
    assert [item["id"] for item in found(api, q="timeout")] == [new]
    both = {item["id"]: item["superseded_by"] for item in found(api, q="timeout", include_superseded=True)}
    assert both == {old: new, new: None}
    assert told(services)[1:] == [
        ("memory_stored", {"id": new, "tags": []}),
        ("memory_superseded", {"id": old, "superseded_by": new}),
    ]
    again = api.post(f"{ALPHA}/memories", json={"content": "ten", "supersedes": old})
    assert (again.status_code, again.json()["code"]) == (409, "memory_superseded")


# --- finding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "length", "truncated"), [("probe", 80, True), ("summary", 200, True), ("full", len(LONG.strip()), False)]
)
def test_a_mode_says_how_much_of_each_memory_is_shown(api: TestClient, mode: str, length: int, truncated: bool) -> None:
    store(api, LONG, tags="a", source="adr/7")
    (item,) = found(api, q="ledger", mode=mode)
    assert length - 10 < len(item["content"]) <= length + 1
    assert item["truncated"] is truncated
    assert item["content"].endswith("…") is truncated
    assert (item["tags"], item["source"]) == (["a"], "adr/7")
    assert item["created_at"] == item["updated_at"] is not None


def test_a_short_memory_is_not_cut_and_a_probe_is_one_line(api: TestClient) -> None:
    store(api, "two\nlines")
    (item,) = found(api, q="two lines", mode="probe")
    assert (item["content"], item["truncated"]) == ("two lines", False)


def test_what_is_shown_counts_as_read_and_a_probe_or_a_duplicate_does_not(api: TestClient, services: Services) -> None:
    memory_id = store(api, "we chose postgres")
    found(api, q="postgres", mode="probe")
    assert api.post(f"{ALPHA}/memories", json={"content": "we chose postgres"}).status_code == 200
    found(api)
    assert reads(services) == {}
    found(api, q="postgres")
    found(api, q="postgres", mode="summary")
    assert api.get(f"{ALPHA}/memories/{memory_id}").json()["content"] == "we chose postgres"
    assert reads(services) == {memory_id: 3}


def test_other_projects_answer_too_and_their_own_always_does(api: TestClient) -> None:
    here = store(api, "queues are per project")
    there = store(api, "queues are per tenant", BETA)
    assert [item["id"] for item in found(api, q="queues")] == [here]
    for projects in ("beta", "*", "beta, alpha", ["beta", "ALPHA", "beta"]):
        items = found(api, q="queues", projects=projects)
        assert {item["id"]: item["project"] for item in items} == {here: "alpha", there: "beta"}
    assert len(found(api, q="queues", projects="*", limit=1)) == 1
    wrong = api.get(f"{ALPHA}/memories", params={"q": "queues", "projects": "gamma"})
    assert (wrong.status_code, wrong.json()["code"]) == (404, "unknown_project")


def test_filters_narrow_a_search(api: TestClient) -> None:
    wanted = store(api, "retries stop after three", tags="pay", source="src/pay.py")
    store(api, "retries stop after nine", tags="mail", source="src/mail.py")
    today = found(api, q="retries")[0]["created_at"][:10]
    for params in ({"tags": "pay"}, {"source": "src/pay"}, {"q": "retries stop after three", "min_score": 0.99}):
        assert [item["id"] for item in found(api, **{"q": "retries", **params})] == [wanted]
    assert len(found(api, q="retries", after=today, before=today)) == 2
    assert found(api, q="retries", before="2001-01-01") == []
    wrong = api.get(f"{ALPHA}/memories", params={"q": "retries", "after": "yesterday"})
    assert wrong.json()["message"].startswith("after is 'yesterday'")


def test_without_a_question_the_latest_come_first_in_pages(api: TestClient) -> None:
    ids = [store(api, f"fact number {word}", tags=tag) for word, tag in (("one", "a"), ("two", "b"), ("six", "a"))]
    there = store(api, "fact of another project", BETA)
    first = api.get(f"{ALPHA}/memories", params={"limit": 2}).json()
    assert [item["id"] for item in first["items"]] == [ids[2], ids[1]]
    assert first["items"][0]["score"] is None
    second = api.get(f"{ALPHA}/memories", params={"limit": 2, "cursor": first["next"]}).json()
    assert ([item["id"] for item in second["items"]], second["next"]) == ([ids[0]], None)
    assert [item["id"] for item in found(api, tags="a", mode="probe")] == [ids[2], ids[0]]
    assert [item["id"] for item in found(api, projects="*")] == [there, *reversed(ids)]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"cursor": "x"}, "cursor"),
        ({"q": "x", "cursor": "2025-01-01/1"}, "cursor"),
        ({"min_score": 0.5}, "min_score"),
        ({"limit": 501}, "limit"),
        ({"q": "x", "limit": 101}, "limit"),
        ({"q": "x", "mode": "all"}, "mode"),
    ],
)
def test_a_list_that_cannot_be_is_refused(api: TestClient, params: dict[str, Any], field: str) -> None:
    answer = api.get(f"{ALPHA}/memories", params=params)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(f"{field} is ")


def test_topics_count_the_memories_of_each_tag(api: TestClient) -> None:
    store(api, "one thing", tags="a,b")
    store(api, "another matter", tags="a")
    store(api, "of elsewhere", BETA, tags="b,c")
    items = api.get(f"{ALPHA}/topics").json()["items"]
    assert [(item["tag"], item["memories"]) for item in items] == [("a", 2), ("b", 1)]
    items = api.get(f"{ALPHA}/topics", params={"projects": "beta"}).json()["items"]
    assert [(item["tag"], item["memories"]) for item in items] == [("a", 2), ("b", 2), ("c", 1)]


# --- changing ---------------------------------------------------------------------------------------------------


def test_a_change_keeps_the_id_and_what_it_does_not_name(api: TestClient, services: Services) -> None:
    memory_id = store(api, "we chose postgres", tags="db", source="adr/7")
    changed = api.patch(f"{ALPHA}/memories/{memory_id}", json={"content": "we chose mysql", "source": ""}).json()
    assert (changed["id"], changed["content"], changed["tags"]) == (memory_id, "we chose mysql", ["db"])
    assert changed["source"] is None
    assert changed["updated_at"] > changed["created_at"]
    assert found(api, q="mysql")[0]["id"] == memory_id
    assert told(services)[-1] == ("memory_updated", {"id": memory_id, "tags": ["db"]})
    empty = api.patch(f"{ALPHA}/memories/{memory_id}", json={})
    assert (empty.status_code, empty.json()["code"]) == (422, "invalid_value")
    nobody = api.patch(f"{ALPHA}/memories/nobody", json={"content": "x"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "unknown_memory")
    assert nobody.json()["message"] == "No memory with id 'nobody' in project 'alpha'."


def test_tags_are_added_removed_and_set(api: TestClient, services: Services) -> None:
    memory_id = store(api, "we chose postgres", tags="db,old")
    route = f"{ALPHA}/memories/{memory_id}/tags"
    assert api.post(route, json={"add": "New", "remove": ["old"]}).json()["tags"] == ["db", "new"]
    assert api.post(route, json={"set": []}).json()["tags"] == []
    assert told(services)[-1] == ("memory_updated", {"id": memory_id, "tags": []})
    assert api.post(route, json={}).status_code == 422
    assert api.post(route, json={"set": "a", "add": "b"}).status_code == 422


def test_an_unused_memory_is_named_first_and_deleted_when_that_is_said(api: TestClient, services: Services) -> None:
    memory_id = store(api, "we chose postgres")
    named = api.post(f"{ALPHA}/memories/prune", json={"max_age_days": 0}).json()
    assert (named["dry_run"], named["count"], named["memories"][0]["id"]) == (True, 1, memory_id)
    assert api.post(f"{ALPHA}/memories/prune", json={"dry_run": False}).json()["count"] == 0
    assert len(found(api)) == 1
    gone = api.post(f"{ALPHA}/memories/prune", json={"max_age_days": 0, "dry_run": False}).json()
    assert (gone["dry_run"], gone["count"]) == (False, 1)
    assert found(api) == []
    assert told(services)[-1] == ("memories_pruned", {"deleted": 1})


def test_only_what_was_there_is_told_as_deleted(api: TestClient, services: Services) -> None:
    memory_id = store(api, "we chose postgres")
    api.delete(f"{ALPHA}/memories/nobody")
    api.delete(f"{ALPHA}/memories/{memory_id}")
    assert [data for kind, data in told(services) if kind == "memory_deleted"] == [{"id": memory_id}]


def test_several_are_deleted_at_once_or_none(api: TestClient, services: Services) -> None:
    first, second = store(api, "we chose postgres"), store(api, "tea is at four")
    foreign = store(api, "coffee is at ten", BETA)
    refused = api.post(f"{ALPHA}/memories/delete", json={"memory_ids": [first, "nobody", foreign]})
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_memory")
    assert refused.json()["message"] == f"No memory with id 'nobody, {foreign}' in project 'alpha'."
    assert len(found(api)) == 2
    gone = api.post(f"{ALPHA}/memories/delete", json={"memory_ids": [first, second, first]})
    assert (gone.status_code, gone.json()) == (200, {"deleted": 2})
    assert found(api) == []
    assert [data["id"] for kind, data in told(services) if kind == "memory_deleted"] == [first, second]
    assert len(found(api, BETA)) == 1
    for ids in ([], [str(number) for number in range(201)]):
        assert api.post(f"{ALPHA}/memories/delete", json={"memory_ids": ids}).status_code == 422


def test_a_memory_is_superseded_later_and_that_is_told(api: TestClient, services: Services) -> None:
    old, new = store(api, "we chose postgres"), store(api, "tea is at four")
    replaced = api.patch(f"{ALPHA}/memories/{old}", json={"superseded_by": new})
    assert (replaced.status_code, replaced.json()["superseded_by"]) == (200, new)
    assert told(services)[-1] == ("memory_superseded", {"id": old, "superseded_by": new})
    assert [memory["id"] for memory in found(api)] == [new]
    circle = api.patch(f"{ALPHA}/memories/{new}", json={"superseded_by": old})
    assert (circle.status_code, circle.json()["code"]) == (422, "invalid_value")
    unknown = api.patch(f"{ALPHA}/memories/{new}", json={"superseded_by": store(api, "x y z", BETA)})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_memory")
    back = api.patch(f"{ALPHA}/memories/{old}", json={"superseded_by": "", "tags": "db"}).json()
    assert (back["superseded_by"], back["tags"]) == (None, ["db"])
    assert told(services)[-1] == ("memory_updated", {"id": old, "tags": ["db"]})
    api.patch(f"{ALPHA}/memories/{old}", json={"superseded_by": new, "tags": "old"})
    assert [kind for kind, _ in told(services)[-2:]] == ["memory_superseded", "memory_updated"]


def test_of_a_successor_only_what_changes_is_told(api: TestClient, services: Services) -> None:
    old, new, third = store(api, "we chose postgres"), store(api, "tea is at four"), store(api, "the bank is closed")
    before = len(told(services))
    for successor in (new, f" {new} ", third, third, "", " "):
        answer = api.patch(f"{ALPHA}/memories/{old}", json={"superseded_by": successor})
        assert answer.status_code == 200, answer.text
    assert told(services)[before:] == [
        ("memory_superseded", {"id": old, "superseded_by": new}),
        ("memory_superseded", {"id": old, "superseded_by": third}),
        ("memory_updated", {"id": old, "tags": []}),
    ]


def test_after_the_first_event_that_redis_does_not_take_the_others_are_not_tried(
    api: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def hangs(_bus: Bus, event: Event) -> str:
        tried.append(event.type.value)
        raise redis.TimeoutError

    monkeypatch.setattr(Bus, "publish", hangs)
    batch = {"memories": [{"content": "tea is at four"}, {"content": "we chose postgres"}]}
    stored = api.post(f"{ALPHA}/memories/batch", json=batch).json()["items"]
    gone = api.post(f"{ALPHA}/memories/delete", json={"memory_ids": [one["id"] for one in stored]})
    assert gone.json() == {"deleted": 2}
    assert tried == ["memory_stored", "memory_deleted"]
    assert services.memory.count(services.projects.get("alpha").id) == 0


def test_changes_are_of_record_though_nobody_can_be_told(api: TestClient, redis_server: FakeServer) -> None:
    memory_id = store(api, "redis goes away on monday")
    redis_server.connected = False
    assert api.patch(f"{ALPHA}/memories/{memory_id}", json={"content": "redis is away"}).status_code == 200
    assert api.post(f"{ALPHA}/memories/{memory_id}/tags", json={"add": "ops"}).status_code == 200
    assert api.post(f"{ALPHA}/memories/prune", json={"max_age_days": 0, "dry_run": False}).json()["count"] == 1


# --- the code that they are about -------------------------------------------------------------------------------


def about_code(api: TestClient, source: Path, text: str = "def put():\n    return 1\n") -> str:
    (source / "store.py").write_text("import os\n\n\n" + text)
    return store(api, "put returns one", path="store.py", symbol="put")


def test_a_memory_says_when_its_code_changed_until_that_is_confirmed(api: TestClient, source: Path) -> None:
    memory_id = about_code(api, source)
    route = f"{ALPHA}/memories/{memory_id}"
    assert api.get(route).json()["code"] == "same"
    (source / "store.py").write_text("import os\n\n\n\ndef put():\n    return 2\n")
    assert found(api, q="put")[0]["code"] == "code changed"
    assert found(api)[0]["code"] == "code changed"
    confirmed = api.patch(route, json={"confirm_code": True}).json()
    assert confirmed["code"] == "same"
    assert (confirmed["anchor"]["start_line"], confirmed["anchor"]["end_line"]) == (5, 6)
    assert api.get(route).json()["code"] == "same"


def test_commas_part_tags_in_each_of_several_too(api: TestClient) -> None:
    memory_id = store(api, "ops at night", tags=["Ops,ci", " b "])
    assert api.get(f"{ALPHA}/memories/{memory_id}").json()["tags"] == ["b", "ci", "ops"]
    assert [item["id"] for item in api.get(f"{ALPHA}/memories?tags=ops,x").json()["items"]] == [memory_id]


def test_what_an_answer_says_of_times_can_stand_in_an_address(api: TestClient) -> None:
    ids = [store(api, f"number {number} of its kind {number * 7}") for number in range(3)]
    seen = api.get(f"{ALPHA}/memories?limit=2").json()
    assert "+" not in seen["next"]
    rest = api.get(f"{ALPHA}/memories?limit=2&cursor={seen['next']}").json()
    assert [item["id"] for item in [*seen["items"], *rest["items"]]] == ids[::-1]
    refused = api.get(f"{ALPHA}/memories?after=2026-01-31T15:00:00+00:00").json()["message"]
    (written,) = re.findall(r"\S+Z", refused.rstrip("."))
    assert api.get(f"{ALPHA}/memories?after={written}").status_code == 200


def test_a_new_text_counts_as_written_for_the_code_as_it_is(api: TestClient, source: Path) -> None:
    route = f"{ALPHA}/memories/{about_code(api, source)}"
    (source / "store.py").write_text("def put():\n    return 2\n")
    assert api.patch(route, json={"tags": "a"}).json()["code"] == "code changed"
    assert api.patch(route, json={"content": "put returns two"}).json()["code"] == "same"


def test_a_new_text_leaves_code_that_cannot_be_told_any_more_marked(api: TestClient, source: Path) -> None:
    (source / "late.py").write_text("".join(f"line{number} = {number}\n" for number in range(20)))
    about = {"content": "lines eight to ten", "path": "late.py", "lines": "8-10"}
    route = f"{ALPHA}/memories/{api.post(f'{ALPHA}/memories', json=about).json()['id']}"
    shifted = ["above = 1", "above = 2", *(f"line{number} = {number}" for number in range(20))]
    shifted[10] = "line8 = 'eight'"
    (source / "late.py").write_text("\n".join(shifted))
    moved = api.patch(route, json={"confirm_code": True}).json()
    assert (moved["code"], moved["anchor"]["start_line"]) == ("same", 10)
    (source / "late.py").write_text("\n".join(line for line in shifted if "line7" not in line))
    assert api.get(route).json()["code"] == "code changed"
    assert api.patch(route, json={"content": "other lines"}).json()["code"] == "code changed"
    confirmed = api.patch(route, json={"confirm_code": True}).json()
    assert (confirmed["code"], confirmed["anchor"]["start_line"]) == ("same", 10)
    twice = ["line9 = 'nine'" if "line9" in line else line for line in [*shifted, *shifted]]
    (source / "late.py").write_text("\n".join(["more"] * 5 + twice))
    refused = api.patch(route, json={"confirm_code": True})
    assert (refused.status_code, "give lines" in refused.json()["message"]) == (422, True)


def test_a_file_that_cannot_be_read_now_is_not_gone(api: TestClient, source: Path) -> None:
    route = f"{ALPHA}/memories/{about_code(api, source)}"
    text = (source / "store.py").read_text()
    (source / "store.py").write_bytes(b"\0\0")
    assert api.get(route).json()["code"] == "code unreadable"
    refused = api.patch(route, json={"confirm_code": True})
    assert (refused.status_code, "cannot be read now" in refused.json()["message"]) == (422, True)
    away = source.rename(source.with_name("away"))
    assert api.get(route).json()["code"] == "code unreadable"
    source.mkdir()
    assert api.get(route).json()["code"] == "code unreadable"
    source.rmdir()
    away.rename(source)
    (source / "store.py").write_text(text)
    assert api.get(route).json()["code"] == "same"


def test_code_that_is_gone_cannot_be_confirmed_but_replaced_or_dropped(api: TestClient, source: Path) -> None:
    route = f"{ALPHA}/memories/{about_code(api, source)}"
    (source / "other.py").write_text("other = 1\n")
    (source / "store.py").unlink()
    assert api.get(route).json()["code"] == "code gone"
    refused = api.patch(route, json={"confirm_code": True})
    assert (refused.status_code, "is gone" in refused.json()["message"]) == (422, True)
    assert api.patch(route, json={"content": "put returned one"}).json()["code"] == "code gone"
    (source / "new.py").write_text("one\ntwo\nthree\n")
    moved = api.patch(route, json={"path": "new.py", "lines": "2-3"}).json()
    assert (moved["code"], moved["anchor"]["path"], moved["anchor"]["start_line"]) == ("same", "new.py", 2)
    narrowed = api.patch(route, json={"lines": "2"}).json()
    assert (narrowed["anchor"]["path"], narrowed["anchor"]["end_line"]) == ("new.py", 2)
    dropped = api.patch(route, json={"path": ""}).json()
    assert (dropped["anchor"], dropped["code"]) == (None, None)
    nothing = api.patch(route, json={"confirm_code": True})
    assert "names no code" in nothing.json()["message"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"path": "nowhere.py"}, "path is 'nowhere.py'"),
        ({"lines": "9-99"}, "lines is '9-99'"),
        ({"symbol": "get"}, "symbol is 'get'"),
        ({"symbol": "put", "confirm_code": True}, "confirm_code is True"),
        ({"path": "", "confirm_code": True}, "confirm_code is True"),
    ],
)
def test_code_that_there_is_not_is_refused(api: TestClient, source: Path, change: dict[str, object], says: str) -> None:
    route = f"{ALPHA}/memories/{about_code(api, source)}"
    refused = api.patch(route, json=change)
    assert refused.status_code == 422
    assert refused.json()["message"].startswith(says)
    assert api.get(route).json()["code"] == "same"


def test_code_without_its_definition_cannot_be_confirmed(api: TestClient, source: Path) -> None:
    route = f"{ALPHA}/memories/{about_code(api, source)}"
    (source / "store.py").write_text("def get():\n    return 2\n")
    refused = api.patch(route, json={"confirm_code": True})
    assert "cannot be told in 'store.py' any more" in refused.json()["message"]
