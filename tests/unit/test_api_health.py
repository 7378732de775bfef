"""Whether the gateway lives and is ready."""

import pytest
from fakeredis import FakeServer
from fastapi.testclient import TestClient

from muniment.vectors import VectorStore
from muniment_api.deps import Services


@pytest.fixture
def _chroma(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VectorStore, "heartbeat", lambda _: None)


@pytest.mark.usefixtures("_chroma")
def test_ready_when_every_part_answers(api: TestClient) -> None:
    answer = api.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert list(answer.json()["parts"]) == ["redis", "chroma", "data", "events"]


def test_a_vector_store_that_is_away_is_named(api: TestClient) -> None:
    answer = api.get("/readyz")
    parts = answer.json()["parts"]
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert [name for name, part in parts.items() if not part["ok"]] == ["chroma"]
    assert "http://127.0.0.1:9" in parts["chroma"]["detail"]


@pytest.mark.usefixtures("_chroma")
def test_a_redis_that_is_away_is_named_while_the_process_lives(api: TestClient, redis_server: FakeServer) -> None:
    redis_server.connected = False
    parts = api.get("/readyz").json()["parts"]
    away = [name for name, part in parts.items() if not part["ok"]]
    assert away in (["redis"], ["redis", "events"]), "whether the subscription has noticed yet"
    assert api.get("/healthz").json()["status"] == "ok"


@pytest.mark.usefixtures("_chroma")
def test_a_gateway_that_hears_no_events_is_not_ready(api: TestClient, services: Services) -> None:
    services.feed.standing.clear()
    answer = api.get("/readyz")
    parts = answer.json()["parts"]
    assert answer.status_code == 503
    assert [name for name, part in parts.items() if not part["ok"]] == ["events"]
    assert "subscription" in parts["events"]["detail"]
    services.feed.standing.set()
    assert api.get("/readyz").json()["ready"] is True
