"""Files that are put by API: stored before the answer, indexed by a job, refused with a reason."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from fakeredis import FakeServer
from fastapi.testclient import TestClient

from muniment.events import Event, EventType
from muniment.jobs import JobKind
from muniment.pushed import PushedFiles
from muniment.queue import utc_now
from muniment.scanning import FileText, FoundFile
from muniment.settings import Settings
from muniment_api import deps
from muniment_api.deps import Services

PROJECTS = "/api/v1/projects"


@pytest.fixture
def project_id(api: TestClient) -> str:
    """Of project alpha, which has no folders."""
    made = api.post(PROJECTS, json={"name": "alpha", "watch_paths": []})
    assert made.status_code == 202, made.text
    return str(made.json()["project"]["id"])


@pytest.fixture
def files(services: Services, project_id: str) -> PushedFiles:
    return PushedFiles(services.settings.folder.project(project_id).pushed)


def text(files: PushedFiles, path: str) -> str | None:
    for found in files.look(path):
        if isinstance(found, FoundFile) and found.path == path:
            read = files.read(found)
            assert isinstance(read, FileText)
            return read.text
    return None


def put(api: TestClient, path: str, content: bytes, project: str = "alpha") -> tuple[int, dict[str, str]]:
    answer = api.put(f"{PROJECTS}/{project}/files/{quote(path)}", content=content)
    return answer.status_code, answer.json()


def test_a_file_that_is_put_is_on_the_disk_and_its_indexing_is_queued(
    api: TestClient, services: Services, files: PushedFiles, project_id: str
) -> None:
    status, answer = put(api, "docs/grüße a.md", "# Grüße\n".encode())
    assert status == 202
    assert (answer["project"], answer["path"]) == ("alpha", "docs/grüße a.md")
    assert text(files, "docs/grüße a.md") == "# Grüße\n"
    assert services.dirty.peek(project_id, 10).keys() == {"docs/grüße a.md"}
    assert api.get(f"/api/v1/jobs/{answer['job_id']}").json()["project_id"] == project_id


def test_the_job_of_a_put_is_a_small_update(
    api: TestClient, services: Services, files: PushedFiles, project_id: str
) -> None:
    [waiting] = services.queue.waiting(project_id)
    services.queue.cancel(waiting.id)
    _, answer = put(api, "a.md", b"text")
    assert services.queue.get(answer["job_id"]).kind == JobKind.UPDATE
    assert files.count() == 1


def test_the_body_is_the_text_whatever_its_type(api: TestClient, files: PushedFiles) -> None:
    body, headers = b'\xef\xbb\xbf{"content": 1}', {"Content-Type": "application/json"}
    answer = api.put(f"{PROJECTS}/alpha/files/a.json", content=body, headers=headers)
    assert answer.status_code == 202
    assert text(files, "a.json") == '{"content": 1}', "the byte order mark is no part of the text"


def test_secrets_are_masked_before_they_are_stored(
    api: TestClient, services: Services, files: PushedFiles, project_id: str
) -> None:
    token = "ghp_" + "a1B2c3D4e5F6" * 3
    _, answer = put(api, "deploy.sh", f"export TOKEN={token}\n".encode())
    assert "1 secret in it masked" in answer["message"]
    assert token not in (text(files, "deploy.sh") or token)
    folder = services.settings.folder.project(project_id).path
    assert [found for found in folder.rglob("*") if found.is_file() and token.encode() in found.read_bytes()] == []


def test_put_put_remove_ends_as_the_last_call_said(api: TestClient, files: PushedFiles) -> None:
    put(api, "a.md", b"one")
    put(api, "a.md", b"two")
    assert text(files, "a.md") == "two"
    removed = api.delete(f"{PROJECTS}/alpha/files/a.md")
    assert removed.status_code == 202
    assert removed.json()["message"].startswith("Removed: 'a.md' of project 'alpha'.")
    assert text(files, "a.md") is None
    put(api, "a.md", b"")
    assert text(files, "a.md") == ""


def test_removing_what_was_never_put_says_what_is_there(
    api: TestClient, gateway_settings: Settings, files: PushedFiles
) -> None:
    answer = api.delete(f"{PROJECTS}/alpha/files/a.md")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_pushed")
    folder = gateway_settings.roots[0] / "beta"
    folder.mkdir()
    (folder / "a.md").write_text("text")
    api.post(PROJECTS, json={"name": "beta", "watch_paths": [str(folder)]})
    answer = api.delete(f"{PROJECTS}/beta/files/a.md")
    assert (answer.status_code, answer.json()["code"]) == (404, "file_on_disk")
    assert "deleted there" in answer.json()["remedy"]
    assert files.count() == 0


def test_removing_what_no_file_of_the_project_can_be_tells_nothing(
    api: TestClient, gateway_settings: Settings, tmp_path: Path
) -> None:
    folder = gateway_settings.roots[0] / "beta"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("text")
    (folder / "link").symlink_to(tmp_path)
    api.post(PROJECTS, json={"name": "beta", "watch_paths": [str(folder)]})
    for path in ("n" * 300, "link/outside.txt"):
        answer = api.delete(f"{PROJECTS}/beta/files/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_pushed")


@pytest.mark.parametrize("path", ["/etc/passwd", "a/%2e%2e/b", "x/.git/config", "a//b", ""])
def test_a_path_that_leaves_the_project_is_refused(api: TestClient, files: PushedFiles, path: str) -> None:
    for answer in (
        api.put(f"{PROJECTS}/alpha/files/{path}", content=b"text"),
        api.delete(f"{PROJECTS}/alpha/files/{path}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
        assert answer.json()["message"].startswith("path is ")
    assert files.count() == 0


def test_what_is_no_text_is_refused(api: TestClient, files: PushedFiles) -> None:
    for content, reason in ((b"\xff\xfe", "it is not UTF-8"), (b"a\0b", "NUL")):
        status, answer = put(api, "a.bin", content)
        assert (status, answer["code"]) == (422, "invalid_value")
        assert reason in answer["message"]
    assert files.count() == 0


def test_a_text_that_is_too_large_is_refused_with_size_and_limit(
    api: TestClient, files: PushedFiles, gateway_settings: Settings
) -> None:
    limit = gateway_settings.max_file_bytes
    assert put(api, "a.txt", b"x" * limit)[0] == 202
    status, answer = put(api, "b.txt", b"x" * (limit + 1))
    assert (status, answer["code"]) == (413, "file_too_large")
    assert f"{limit + 1:,}" in answer["message"]
    assert f"{limit:,}" in answer["message"]
    assert files.count() == 1


@pytest.mark.usefixtures("project_id")
def test_an_unknown_project_takes_no_file(api: TestClient, gateway_settings: Settings) -> None:
    before = set(gateway_settings.data_dir.rglob("*"))
    assert put(api, "a.md", b"text", project="alpa")[1]["code"] == "unknown_project"
    assert set(gateway_settings.data_dir.rglob("*")) == before


def test_a_text_is_stored_while_redis_is_away_and_calling_again_queues_it(
    api: TestClient, redis_server: FakeServer, files: PushedFiles, services: Services, project_id: str
) -> None:
    redis_server.connected = False
    status, answer = put(api, "a.md", b"text")
    assert (status, answer["code"], answer["retryable"]) == (503, "push_not_queued", True)
    assert "'a.md' is stored" in answer["message"]
    assert "next reconcile" in answer["remedy"]
    assert text(files, "a.md") == "text"
    redis_server.connected = True
    assert put(api, "a.md", b"text")[0] == 202
    assert services.dirty.count(project_id) == 1


def test_a_project_that_is_removed_while_a_file_is_put_does_not_come_back(
    api: TestClient, services: Services, project_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = services.settings.folder.project(project_id).path
    known = services.projects.get

    def removed_just_after(name: str) -> object:
        found = known(name)
        monkeypatch.undo()
        services.projects.remove(found.id, found.created_at)
        return found

    monkeypatch.setattr(services.projects, "get", removed_just_after)
    with pytest.raises(Exception, match="No project named"):
        services.pushes.put(project_id, "a.md", "text")
    assert not folder.exists()
    assert api.get(f"{PROJECTS}/alpha").status_code == 404


def test_a_project_whose_folder_is_swept_while_a_file_is_put_is_unknown(
    services: Services, files: PushedFiles, project_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.pushes.put(project_id, "a.md", "text")
    folder = services.settings.folder.project(project_id).path
    taken = PushedFiles.put

    def swept_before(self: PushedFiles, path: str, content: str, now_ns: int, masked: int = 0) -> int:
        services.projects.remove(project_id, services.projects.get(project_id).created_at)
        folder.rename(folder.with_name(".removed"))
        return taken(self, path, content, now_ns, masked)

    monkeypatch.setattr(PushedFiles, "put", swept_before)
    with pytest.raises(Exception, match="No project named"):
        services.pushes.put(project_id, "b.md", "text")
    assert not folder.exists()
    assert files.count() == 0


def test_a_project_without_folders_is_like_any_other(api: TestClient, project_id: str) -> None:
    for route in ("", "/status", "/search?q=anything"):
        assert api.get(f"{PROJECTS}/{project_id}{route}").status_code == 200, route
    assert api.post(f"{PROJECTS}/{project_id}/jobs", json={"paths": ["docs"]}).status_code == 202
    outside = api.post(f"{PROJECTS}/{project_id}/jobs", json={"paths": ["/etc"]})
    assert outside.json()["code"] == "path_outside_project"
    assert api.get("/").status_code == 200


def test_a_project_with_folders_cannot_lose_them_by_an_empty_list(api: TestClient, gateway_settings: Settings) -> None:
    folder = gateway_settings.roots[0] / "beta"
    folder.mkdir()
    api.post(PROJECTS, json={"name": "beta", "watch_paths": [str(folder)]})
    answer = api.post(PROJECTS, json={"name": "beta", "watch_paths": []})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
    assert Path(api.get(f"{PROJECTS}/beta").json()["watch_paths"][0]) == folder


def test_a_project_is_removed_when_that_is_confirmed(api: TestClient, project_id: str, services: Services) -> None:
    put(api, "a.md", b"text")
    asked = api.delete(f"{PROJECTS}/alpha")
    assert (asked.status_code, asked.json()["code"]) == (409, "confirmation_required")
    removed = api.delete(f"{PROJECTS}/alpha?confirm=true")
    assert removed.status_code == 200
    assert (removed.json()["project_id"], removed.json()["swept"]) == (project_id, True)
    for route in ("", "/status", "/search?q=anything"):
        assert api.get(f"{PROJECTS}/alpha{route}").json()["code"] == "unknown_project"
    assert api.post(f"{PROJECTS}/alpha/wait").json()["code"] == "unknown_project"
    assert not services.settings.folder.project(project_id).path.exists()


@pytest.mark.usefixtures("project_id")
def test_who_waits_for_a_project_that_is_removed_meanwhile_is_told(
    api: TestClient, services: Services, until: Callable[..., object]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.post, f"{PROJECTS}/alpha/wait", json={"timeout": 20})
        until(lambda: services.feed._readers and len(services.feed._readers) > 1)  # besides the one for removals
        api.delete(f"{PROJECTS}/alpha?confirm=true")
        answer = waiting.result(10)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_project")


def test_a_removal_through_another_gateway_lets_go_of_what_is_open(
    api: TestClient, project_id: str, services: Services, until: Callable[..., object]
) -> None:
    services.memory.store(services.projects.get(project_id), "deploys happen on Tuesdays")
    assert api.get(f"{PROJECTS}/alpha/search?q=anything").status_code == 200
    assert project_id in services.search._indexes._open
    assert project_id in services.memory._database._matrices
    services.projects.remove(project_id, utc_now())
    services.bus.publish(Event(type=EventType.PROJECT_REMOVED, at=utc_now(), project="alpha", project_id=project_id))
    until(lambda: project_id not in services.search._indexes._open)
    until(lambda: project_id not in services.memory._database._matrices)


def test_the_rules_for_secrets_are_loaded_ahead_only_where_files_were_put(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []
    monkeypatch.setattr(deps, "load_rules", loaded.append)
    monkeypatch.setattr(services.vectors, "heartbeat", lambda: None)
    project, _ = services.projects.add_or_update(
        "alpha", watch_paths=[], watch_patterns=None, watch_exclude=None, watch=None, now=utc_now()
    )
    services._load_models(masks=services._has_pushed())
    assert not loaded
    PushedFiles(services.settings.folder.project(project.id).pushed).make()
    services._load_models(masks=services._has_pushed())
    assert loaded == [services.settings.folder.rule_cache]
