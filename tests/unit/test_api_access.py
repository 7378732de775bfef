"""Who may call the gateway."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from fakeredis import FakeServer
from fastapi.testclient import TestClient

from muniment.settings import Settings
from muniment.testing import HashedWordsEmbedder
from muniment_api.access_control import host_name, known_names
from muniment_api.deps import Services, build_services

TOKEN = "a-token-for-these-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ROUTES = ["/api/v1/projects", "/healthz", "/readyz", "/openapi.json", "/mcp", "/", "/nowhere"]


@pytest.fixture
def guarded(
    redis_server: FakeServer,  # noqa: ARG001  the services find it by themselves
    gateway_settings: Settings,
    serve: Callable[[Services], AbstractContextManager[TestClient]],
) -> Iterator[TestClient]:
    """A client of a gateway that has a token and an allowed name."""
    settings = gateway_settings.model_copy(update={"token": TOKEN, "allowed_hosts": ["Muniment.example"]})
    embedder = HashedWordsEmbedder()
    services = build_services(settings, file_embedder=embedder, memory_embedder=embedder)
    with serve(services) as client:
        client.follow_redirects = False
        yield client


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "localhost@evil.example", "10.0.0.7"])
def test_a_foreign_host_is_refused_on_every_route(guarded: TestClient, host: str) -> None:
    for route in ROUTES:
        answer = guarded.get(route, headers=BEARER | {"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_origin"), route


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "file://", "https://localhost.evil.example"])
def test_a_foreign_origin_is_refused_on_every_route(guarded: TestClient, origin: str) -> None:
    for route in ROUTES:
        answer = guarded.post(route, headers=BEARER | {"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_origin"), route


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:7420", "[::1]:7420", "muniment.example", "MUNIMENT.example:443"]
)
def test_known_names_pass_with_any_port(guarded: TestClient, host: str) -> None:
    headers = BEARER | {"Host": host, "Origin": f"http://{host}"}
    assert guarded.get("/api/v1/projects", headers=headers).status_code == 200


@pytest.mark.parametrize("given", [None, "Bearer wrong-wrong-wrong-wrong", "Bearer ", "Bearer é", f"Basic {TOKEN}"])
def test_without_the_token_nothing_but_health_answers(guarded: TestClient, given: str | None) -> None:
    headers = {"Authorization": given.encode()} if given is not None else {}
    for route in set(ROUTES) - {"/healthz", "/readyz"}:
        answer = guarded.get(route, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), route
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_health_needs_no_token(guarded: TestClient) -> None:
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/readyz").json()["parts"]["redis"]["ok"]


def test_the_token_opens_rest(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/projects", headers=BEARER).json() == {"items": [], "next": None}


def test_a_browser_signs_in_once_and_its_address_forgets_the_token(guarded: TestClient) -> None:
    answer = guarded.get("/", params={"token": TOKEN, "view": "jobs"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?view=jobs")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert guarded.get("/api/v1/projects").status_code == 200, "the cookie is enough to read"


def test_a_wrong_token_in_the_address_sets_no_cookie(guarded: TestClient) -> None:
    answer = guarded.get("/", params={"token": "wrong-wrong-wrong-wrong"})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_a_token_in_the_address_opens_nothing_but_the_dashboard(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/projects", params={"token": TOKEN}).status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"), [("http://localhost:7420", 422), ("http://localhost:3000", 401), (None, 401)]
)
def test_with_the_cookie_only_pages_of_this_very_origin_change_something(
    guarded: TestClient, origin: str | None, status: int
) -> None:
    guarded.get("/", params={"token": TOKEN})
    headers = {"Origin": origin} if origin else {}
    assert guarded.post("/api/v1/projects", json={}, headers=headers).status_code == status


def test_a_forged_cookie_opens_nothing(guarded: TestClient) -> None:
    guarded.cookies.set("muniment_session", "0" * 64)
    assert guarded.get("/api/v1/projects").status_code == 401


@pytest.mark.parametrize(
    ("netloc", "name"),
    [
        ("localhost:7420", "localhost"),
        ("[::1]:80", "::1"),
        ("A.example", "a.example"),
        ("a:b:c", None),
        ("a b", None),
        ("user@localhost", None),
        ("localhost:port", None),
        ("[::1", None),
    ],
)
def test_names_are_read_from_hosts(netloc: str, name: str | None) -> None:
    assert host_name(netloc) == name


def test_the_address_that_is_listened_on_is_a_known_name_unless_it_means_any(gateway_settings: Settings) -> None:
    def names(host: str) -> frozenset[str]:
        return known_names(gateway_settings.model_copy(update={"host": host, "allowed_hosts": ["::2", "b.example:1"]}))

    assert names("192.168.1.5") == {"192.168.1.5", "::2", "b.example"}
    assert names("0.0.0.0") == {"::2", "b.example"}
