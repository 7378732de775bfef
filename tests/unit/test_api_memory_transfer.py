"""Export and import of memories over REST."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from muniment.errors import InvalidValue
from muniment.events import Event
from muniment.memory import MemoryStore
from muniment.redis_client import EVENT_STREAM
from muniment.settings import Settings
from muniment_api import memory_transfer
from muniment_api.deps import Services

ALPHA, BETA = "/api/v1/projects/alpha/memories", "/api/v1/projects/beta/memories"
WORDS = ["apple", "berry", "cherry", "damson", "elder", "fig", "grape", "hazel", "iris", "juniper", "kiwi", "lemon"]


@pytest.fixture(autouse=True)
def _projects(api: TestClient, gateway_settings: Settings) -> None:
    for name in ("alpha", "beta"):
        paths = [str(gateway_settings.roots[0])]
        assert api.post("/api/v1/projects", json={"name": name, "watch_paths": paths}).status_code == 202


def record(memory_id: str, content: str, **more: Any) -> dict[str, Any]:
    at = datetime(2025, 1, 1, tzinfo=UTC).isoformat()
    return {"id": memory_id, "content": content, "created_at": at, "updated_at": at, **more}


def lines(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in records).encode()


def export(api: TestClient, route: str = ALPHA) -> list[dict[str, Any]]:
    answer = api.get(f"{route}/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_what_is_exported_is_taken_in_with_ids_dates_and_all(api: TestClient) -> None:
    old = api.post(ALPHA, json={"content": "the timeout is five seconds", "tags": "limits"}).json()["id"]
    new = api.post(ALPHA, json={"content": "the timeout is nine", "source": "adr/9", "supersedes": old}).json()["id"]
    first, second = export(api)
    assert [first["id"], first["superseded_by"], second["id"]] == [old, new, new]
    for one in (old, new):
        assert api.delete(f"{ALPHA}/{one}").status_code == 200
    assert export(api) == []
    assert api.post(f"{ALPHA}/import", content=lines(first, second)).json() == {
        "added": 2, "updated": 0, "unchanged": 0, "dry_run": False,
    }  # fmt: skip
    assert export(api) == [first, second]
    assert api.post(f"{ALPHA}/import", content=lines(first, second)).json()["unchanged"] == 2


def test_an_export_of_many_is_whole_and_in_order(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_transfer, "MAX_BATCH", 5)
    given = [record(f"m{place}", f"about {word}") for place, word in enumerate(WORDS)]
    assert api.post(f"{ALPHA}/import", content=lines(*given)).json()["added"] == len(WORDS)
    assert [one["id"] for one in export(api)] == [one["id"] for one in given]


def test_an_import_is_told_of_once(api: TestClient, services: Services) -> None:
    records = [record("m1", "one"), record("m2", "two")]
    api.post(f"{ALPHA}/import", params={"dry_run": True}, content=lines(*records))
    api.post(f"{ALPHA}/import", content=lines(*records))
    api.post(f"{ALPHA}/import", content=lines(*records))
    kept = services.connections.records.xrange(EVENT_STREAM)
    events = [Event.model_validate_json(fields["event"]) for _, fields in kept]
    assert [event.data for event in events if event.type == "memories_imported"] == [{"added": 2, "updated": 0}]


def test_a_dry_run_counts_and_stores_nothing(api: TestClient) -> None:
    counted = api.post(f"{ALPHA}/import", params={"dry_run": True}, content=lines(record("m1", "one"))).json()
    assert counted == {"added": 1, "updated": 0, "unchanged": 0, "dry_run": True}
    assert export(api) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"nonsense\n", "line 13 is"),
        (b'{"id": "x"}\n', "content: Field required"),
        (json.dumps(record("x", " ")).encode(), "line 13: content is ''"),
        (b"[1]\n", "line 13 is"),
        (b"\xff\xfe\n", "line 13 is"),
    ],
)
def test_a_bad_line_is_named_and_nothing_before_it_is_stored(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, line: bytes, says: str
) -> None:
    monkeypatch.setattr(memory_transfer, "MAX_BATCH", 5)
    good = lines(*(record(f"m{place}", f"about {word}") for place, word in enumerate(WORDS)))
    refused = api.post(f"{ALPHA}/import", content=good + line)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_value")
    assert says in refused.json()["message"]
    assert export(api) == []


def test_an_import_may_be_larger_than_other_bodies_up_to_its_own_bound(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    padding = (b" " * 1_023 + b"\n") * (5 * 1024)
    assert api.post(f"{ALPHA}/import", content=padding + lines(record("m1", "one"))).json()["added"] == 1
    monkeypatch.setattr(memory_transfer, "MAX_IMPORT", 1_000)
    refused = api.post(f"{ALPHA}/import", content=padding)
    assert (refused.status_code, refused.json()["code"]) == (413, "request_too_large")
    assert "1,000 bytes" in refused.json()["message"]


def test_a_body_that_says_it_is_too_large_is_not_read(api: TestClient) -> None:
    length = {"Content-Length": str(memory_transfer.MAX_IMPORT + 1)}
    refused = api.post(f"{ALPHA}/import", content=b"", headers=length)
    assert (refused.status_code, refused.json()["code"]) == (413, "request_too_large")
    assert f"{memory_transfer.MAX_IMPORT:,} bytes" in refused.json()["message"]


def test_a_line_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_transfer, "MAX_LINE", 10)
    read = memory_transfer.lines_of(io.BytesIO(b"short\n" + b"x" * 1_000_000))
    assert next(read) == b"short\n"
    with pytest.raises(InvalidValue, match=r"line 2 is .*xxxxxxxxxxx.*: it has more than 10 bytes"):
        next(read)


def test_an_import_that_breaks_off_is_completed_by_the_next(
    api: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_transfer, "MAX_BATCH", 5)
    whole = MemoryStore.take_in
    calls: list[int] = []

    def second_fails(store: MemoryStore, *arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return whole(store, *arguments, **options)

    monkeypatch.setattr(MemoryStore, "take_in", second_fails)
    body = lines(*(record(f"m{place}", f"about {word}") for place, word in enumerate(WORDS)))
    assert api.post(f"{ALPHA}/import", content=body).status_code == 500
    assert services.memory.count(services.projects.get("alpha").id) == 5
    assert api.post(f"{ALPHA}/import", content=body).json() == {
        "added": 7, "updated": 0, "unchanged": 5, "dry_run": False,
    }  # fmt: skip


def test_memories_copied_to_another_project_are_its_own(api: TestClient) -> None:
    api.post(ALPHA, json={"content": "shared by copy"})
    body = api.get(f"{ALPHA}/export").content
    for added, unchanged in ((1, 0), (0, 1)):
        counts = api.post(f"{BETA}/import", content=body).json()
        assert (counts["added"], counts["unchanged"]) == (added, unchanged)
    (here,), (there,) = export(api), export(api, BETA)
    assert (there["project"], there["content"]) == ("beta", here["content"])
    assert there["id"] != here["id"]
