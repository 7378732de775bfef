"""Whom a project notifies: kept with the project, set by REST and the command line, never shown whole."""

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from fastapi.testclient import TestClient

from muniment import cli
from muniment.cli.client import Gateway
from muniment.errors import InvalidValue, ReceiverRefused, UnknownReceiver
from muniment.notices import NoticeKind
from muniment.notifying.store import MOST_RECEIVERS, NotificationStore
from muniment.projects import ProjectStore
from muniment.settings import Settings
from muniment.testing import HashedWordsEmbedder, ManualClock
from muniment_api.deps import Services, build_services

HOOK = "https://hooks.example.org/topsecret"
NTFY = "ntfy://topsecret-topic"
ROUTE = "/api/v1/projects/alpha/notifications"


# --- the store --------------------------------------------------------------------------------------------------


@pytest.fixture
def projects(tmp_path: Path) -> ProjectStore:
    return ProjectStore(tmp_path / "server.sqlite")


@pytest.fixture
def store(tmp_path: Path, projects: ProjectStore) -> NotificationStore:  # noqa: ARG001
    return NotificationStore(tmp_path / "server.sqlite")


@pytest.fixture
def project_id(projects: ProjectStore) -> str:
    fields = {"watch_patterns": None, "watch_exclude": None, "watch": None}
    return projects.add_or_update("alpha", watch_paths=[], now=ManualClock()(), **fields)[0].id


def test_a_project_notifies_nobody_until_it_is_told_to(store: NotificationStore, project_id: str) -> None:
    assert (store.get(project_id).urls, store.get(project_id).on) == ([], None)


def test_urls_that_stay_keep_their_id(store: NotificationStore, project_id: str) -> None:
    first = store.put(project_id, [HOOK, NTFY, HOOK], None)
    second = store.put(project_id, [NTFY, "json://host"], [NoticeKind.FAILED])
    assert first is not None
    assert second is not None
    assert first.urls == [HOOK, NTFY]
    assert second.receivers[0] == first.receivers[1]
    assert second == store.get(project_id)


def test_a_receiver_is_removed_by_its_id_or_its_url(store: NotificationStore, project_id: str) -> None:
    chosen = store.put(project_id, [HOOK, NTFY, "json://host"], [NoticeKind.FAILED])
    assert chosen is not None
    names = [chosen.receivers[0].id, NTFY]
    left = store.change(project_id, add=["xml://host"], remove=names, on=None, sets_on=False)
    assert left is not None
    assert (left.urls, left.on) == (["json://host", "xml://host"], [NoticeKind.FAILED])
    assert store.change(project_id, on=None, sets_on=True) == left.model_copy(update={"on": None})


def test_an_unknown_receiver_is_named_masked_and_nothing_changes(store: NotificationStore, project_id: str) -> None:
    before = store.put(project_id, [HOOK], None)
    with pytest.raises(UnknownReceiver) as refused:
        store.change(project_id, add=[NTFY], remove=["https://other.example/topsecret"], on=None, sets_on=False)
    assert "topsecret" not in str(refused.value)
    assert store.get(project_id) == before


def test_a_project_has_a_bounded_number_of_receivers(store: NotificationStore, project_id: str) -> None:
    urls = [f"json://host/{number}" for number in range(MOST_RECEIVERS + 1)]
    with pytest.raises(InvalidValue, match="at most"):
        store.put(project_id, urls, None)
    assert store.put(project_id, urls[1:], None) is not None


def test_what_a_project_chose_goes_with_it(store: NotificationStore, projects: ProjectStore, project_id: str) -> None:
    store.put(project_id, [HOOK], None)
    projects.remove(project_id, ManualClock()())
    assert store.get(project_id).urls == []
    assert store.put(project_id, [HOOK], None) is None


# --- REST -------------------------------------------------------------------------------------------------------


@pytest.fixture
def alpha(api: TestClient) -> TestClient:
    assert api.post("/api/v1/projects", json={"name": "alpha", "watch_paths": []}).status_code == 202
    return api


def test_urls_are_set_and_answered_masked(alpha: TestClient) -> None:
    answer = alpha.put(ROUTE, json={"urls": [HOOK, NTFY], "on": ["failed", "started"]})
    assert answer.status_code == 200
    assert "topsecret" not in answer.text
    shown = answer.json()
    assert [(one["url"], one["kind"]) for one in shown["receivers"]] == [
        ("https://hooks.example.org/***", "webhook"),
        ("ntfy://***", "ntfy"),
    ]
    assert (shown["on"], shown["on_is_default"]) == (["started", "failed"], False)
    assert alpha.get(ROUTE).json() == shown


def test_a_put_without_kinds_goes_back_to_the_servers(alpha: TestClient) -> None:
    alpha.put(ROUTE, json={"urls": [HOOK], "on": ["started"]})
    shown = alpha.put(ROUTE, json={"urls": []}).json()
    assert (shown["receivers"], shown["on_is_default"]) == ([], True)
    assert shown["on"] == ["milestone", "complete", "failed", "cancelled"]


def test_a_patch_leaves_what_it_does_not_name(alpha: TestClient) -> None:
    alpha.put(ROUTE, json={"urls": [HOOK], "on": ["started"]})
    (known,) = alpha.get(ROUTE).json()["receivers"]
    assert alpha.patch(ROUTE, json={"add": [NTFY]}).json()["on"] == ["started"]
    left = alpha.patch(ROUTE, json={"remove": [known["id"]], "on": None}).json()
    assert [one["url"] for one in left["receivers"]] == ["ntfy://***"]
    assert left["on_is_default"]


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("PUT", {"urls": ["nope://topsecret"]}, 422, "receiver_refused"),
        ("PUT", {"urls": ["workflows://h/a/b?template=/etc/topsecret"]}, 422, "receiver_refused"),
        ("PUT", {"urls": [HOOK], "on": ["sometimes"]}, 422, "invalid_value"),
        ("PATCH", {"add": ["topsecret"]}, 422, "receiver_refused"),
        ("PATCH", {"remove": ["https://x.example/topsecret"]}, 404, "unknown_receiver"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    alpha: TestClient, method: str, body: dict[str, object], status: int, code: str
) -> None:
    alpha.put(ROUTE, json={"urls": [HOOK]})
    before = alpha.get(ROUTE).json()
    answer = alpha.request(method, ROUTE, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "topsecret" not in answer.text
    assert alpha.get(ROUTE).json() == before


def test_a_project_that_does_not_exist_notifies_nobody(api: TestClient) -> None:
    for method in ("GET", "PUT", "PATCH"):
        assert api.request(method, ROUTE, json={"urls": []}).json()["code"] == "unknown_project"


def test_a_test_tells_what_became_of_it(alpha: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    alpha.put(ROUTE, json={"urls": ["http://127.0.0.1:9/topsecret"]})
    answer = alpha.post(f"{ROUTE}/test")
    console, webhook = answer.json()["items"]
    assert (console["kind"], console["ok"], console["detail"]) == ("console", True, None)
    assert (webhook["url"], webhook["ok"]) == ("http://127.0.0.1:9/***", False)
    assert webhook["detail"].startswith("no connection")
    assert "Muniment: a test for alpha" in caplog.text
    assert "topsecret" not in answer.text + caplog.text


def test_the_operator_sees_the_servers_receivers_masked(services: Services, api: TestClient) -> None:
    shown = api.get("/api/v1/notifications").json()
    assert shown["receivers"] == [{"id": None, "url": "console://", "kind": "console"}]
    assert (shown["signed"], shown["counts"]) == (False, [])
    assert shown["since"].startswith(str(services.notifier.since.year))


def test_a_server_whose_receiver_is_unknown_does_not_start(
    redis_server: object,  # noqa: ARG001
    gateway_settings: Settings,
) -> None:
    wrong = gateway_settings.model_copy(update={"notify": "https://fine.example/x nope://topsecret"})
    with pytest.raises(ReceiverRefused, match="MUNIMENT_NOTIFY") as refused:
        build_services(wrong, file_embedder=HashedWordsEmbedder(), memory_embedder=HashedWordsEmbedder())
    assert "topsecret" not in str(refused.value)


# --- the command line -------------------------------------------------------------------------------------------


class Ran(NamedTuple):
    code: int | str | None
    out: str
    err: str


@pytest.fixture
def muniment(
    alpha: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    def forward(request: httpx.Request) -> httpx.Response:
        target, headers = request.url.raw_path.decode(), {"content-type": "application/json"}
        answer = alpha.request(request.method, target, content=request.content, headers=headers)
        return httpx.Response(answer.status_code, content=answer.content)

    monkeypatch.setattr("muniment.cli.client.Gateway", partial(Gateway, transport=httpx.MockTransport(forward)))
    monkeypatch.setenv("MUNIMENT_DATA_DIR", str(tmp_path / "client"))

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["muniment", "notify", "alpha", *arguments])
        code: int | str | None = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return Ran(code, *capsys.readouterr())

    return run


Muniment = Callable[..., Ran]


def test_receivers_are_added_shown_and_removed_by_number(muniment: Muniment) -> None:
    muniment("--add", HOOK, "--add", NTFY, "--on", "failed,started")
    shown = muniment()
    assert "Told: started, failed\n" in shown.out
    assert "  1  " in shown.out
    assert "https://hooks.example.org/***" in shown.out
    assert "  -  server  console://" in shown.out
    assert "topsecret" not in shown.out
    left = muniment("--remove", "1")
    assert "hooks.example.org" not in left.out
    assert "ntfy://***" in left.out


def test_a_receiver_is_removed_by_its_url_and_all_are_cleared(muniment: Muniment) -> None:
    muniment("--add", HOOK, "--add", NTFY)
    assert "ntfy" not in muniment("--remove", NTFY).out
    assert "The project itself notifies nobody" in muniment("--clear").out


def test_the_kinds_go_back_to_the_servers(muniment: Muniment) -> None:
    assert "(as the server)" not in muniment("--on", "failed").out
    assert "Told: milestone, complete, failed, cancelled (as the server)" in muniment("--on", "default").out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--on", "sometimes"], 2, "none of started"),
        (["--remove", "3"], 1, "notifies no '3'"),
        (["--add", "nope://topsecret"], 1, "nope://***"),
    ],
)
def test_what_cannot_be_ends_with_a_message(muniment: Muniment, arguments: list[str], code: int, says: str) -> None:
    ran = muniment(*arguments)
    assert ran.code == code
    assert says in ran.err
    assert "topsecret" not in ran.err


def test_a_test_that_reaches_not_everybody_ends_with_status_1(muniment: Muniment) -> None:
    assert muniment("--test").code == 0
    ran = muniment("--add", "http://127.0.0.1:9/topsecret", "--test")
    assert ran.code == 1
    assert "console://  sent in" in ran.out
    assert "http://127.0.0.1:9/***  failed: no connection" in ran.out


def test_the_gateways_answer_is_printed_as_it_is(muniment: Muniment) -> None:
    assert muniment("--json").out.startswith('{"project":"alpha","receivers":[]')
