"""Every failure leaves REST in one shape."""

from typing import Any

import pytest
from fakeredis import FakeServer
from fastapi.testclient import TestClient

from muniment_api.deps import Services


def test_an_unknown_route_says_where_the_routes_are_listed(api: TestClient) -> None:
    answer = api.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.json() == {
        "code": "unknown_route",
        "message": "Nothing answers at '/api/v1/nothing'.",
        "remedy": "The routes are listed in /openapi.json; MCP clients use /mcp.",
        "retryable": False,
    }


def test_a_wrong_method_says_which_ones_are_right(api: TestClient) -> None:
    answer = api.put("/api/v1/projects")
    assert (answer.status_code, answer.json()["code"]) == (405, "wrong_method")
    assert answer.headers["Allow"] == "GET, POST"
    assert answer.json()["remedy"] == "Use GET, POST."


def test_a_redis_that_is_away_is_503_and_worth_another_try(api: TestClient, redis_server: FakeServer) -> None:
    redis_server.connected = False
    answer = api.get("/api/v1/jobs")
    assert answer.status_code == 503
    assert answer.json()["code"] == "redis_unavailable"
    assert answer.json()["retryable"] is True


def test_an_unexpected_error_tells_nothing_of_the_inside(
    api: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(services.queue, "list", fails)
    answer = api.get("/api/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_not_read(api: TestClient, chunked: bool) -> None:
    megabyte = b" " * 1_000_000
    body = (megabyte for _ in range(5)) if chunked else megabyte * 5
    answer = api.post("/api/v1/projects", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


def test_a_long_wrong_value_is_shortened(api: TestClient) -> None:
    answer = api.get("/api/v1/jobs", params={"status": "x" * 5000})
    assert answer.status_code == 422
    assert len(answer.text) < 500


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
def test_a_body_that_does_not_say_that_it_is_json_is_refused(api: TestClient, headers: dict[str, str]) -> None:
    answer = api.post("/api/v1/projects", content=b'{"name": "alpha"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")


@pytest.mark.parametrize(
    ("method", "route"), [("PUT", "files/a.md"), ("POST", "memories/import"), ("POST", "memories")]
)
def test_a_request_that_breaks_off_is_no_fault_of_ours(
    api: TestClient, method: str, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    api.post("/api/v1/projects", json={"name": "alpha", "watch_paths": []})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    path = f"/api/v1/projects/alpha/{route}"
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"9")]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    assert api.portal is not None
    api.portal.call(api.app, scope, receive, send)  # it would raise what it holds for a fault
    assert sent[0]["status"] == 400
    assert "Traceback" not in caplog.text
