"""What of a project is indexed and what is not, and why: over REST, on the command line, in texts and on the page."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient

from muniment import cli
from muniment.cli.client import Gateway
from muniment.manifest import FileUpdate, LeftOut, ManifestWriter, NewChunk
from muniment.planning import FileStamp
from muniment.settings import Settings
from muniment_api.dashboard.views import Tone, project_view
from muniment_api.deps import Services
from muniment_api.gateway import search_text, text
from muniment_api.search_answers import SearchAnswer

PROJECTS = "/api/v1/projects"
WARNING = "Nothing is indexed: .gitignore line 1 ('*') hides all 312 entries. Remedy: change that rule."


@pytest.fixture
def project_id(api: TestClient, gateway_settings: Settings) -> str:
    folder = gateway_settings.roots[0] / "alpha"
    folder.mkdir()
    made = api.post(PROJECTS, json={"name": "alpha", "watch_paths": [str(folder)]}).json()
    return str(made["project"]["id"])


@pytest.fixture
def manifest(project_id: str, gateway_settings: Settings) -> Iterator[ManifestWriter]:
    path = gateway_settings.folder.project(project_id).manifest
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = ManifestWriter(path, project_id)
    yield writer
    writer.close(clean=True)


def put(manifest: ManifestWriter, path: str, *, skipped: str | None = None, masked: int = 0) -> None:
    first = manifest.begin_batch([path], 1)
    chunks = [] if skipped else [NewChunk(first, 1, 1, None, path.encode().ljust(16))]
    stamp = FileStamp(5, 10**18, None if skipped else b"h", skipped=skipped, masked=masked)
    manifest.commit_batch([FileUpdate(path, stamp, chunks)])


@pytest.fixture
def filled(manifest: ManifestWriter) -> None:
    put(manifest, "src/a b.py", masked=2)
    put(manifest, "src/z.pb", skipped="binary")
    manifest.vectors.mark_embedded(manifest.vectors.pending(10))
    manifest.note_left_out([LeftOut("go.sum", "lockfile", False), LeftOut("lib", "unreadable", True)])


@pytest.mark.usefixtures("filled")
def test_files_are_listed_by_path_with_state_and_reason(api: TestClient) -> None:
    page = api.get(f"{PROJECTS}/alpha/files").json()
    assert [(item["path"], item["state"], item["reason"]) for item in page["items"]] == [
        ("go.sum", "skipped", "lockfile"),
        ("lib", "failed", "unreadable"),
        ("src/a b.py", "indexed", None),
        ("src/z.pb", "skipped", "binary"),
    ]
    assert page["items"][2] == {
        "path": "src/a b.py", "state": "indexed", "reason": None, "size": 5, "modified": "2001-09-09T01:46:40Z",
        "chunks": 1, "masked": 2, "by_lines": None, "pushed": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("state=skipped", ["go.sum", "src/z.pb"]),
        ("reason=lockfile", ["go.sum"]),
        ("path=src/&state=skipped", ["src/z.pb"]),
        ("path=/src/a%20b.py", ["src/a b.py"]),
        ("path=nowhere", []),
    ],
)
@pytest.mark.usefixtures("filled")
def test_files_are_found_by_state_reason_and_path(api: TestClient, query: str, paths: list[str]) -> None:
    page = api.get(f"{PROJECTS}/alpha/files?{query}").json()
    assert [item["path"] for item in page["items"]] == paths
    assert page["next"] is None


@pytest.mark.usefixtures("filled")
def test_a_page_names_where_the_next_begins(api: TestClient) -> None:
    first = api.get(f"{PROJECTS}/alpha/files?limit=3").json()
    assert first["next"] == "src/a b.py"
    rest = api.get(f"{PROJECTS}/alpha/files?limit=3&cursor={quote(first['next'])}").json()
    assert ([item["path"] for item in rest["items"]], rest["next"]) == (["src/z.pb"], None)


@pytest.mark.usefixtures("project_id")
def test_a_project_that_was_never_indexed_has_no_files(api: TestClient) -> None:
    assert api.get(f"{PROJECTS}/alpha/files").json() == {"items": [], "next": None}


@pytest.mark.usefixtures("project_id")
@pytest.mark.parametrize("query", ["state=lost", "reason=mood", "limit=0", "limit=1001", f"path={'x' * 5000}"])
def test_a_filter_that_is_none_is_refused(api: TestClient, query: str) -> None:
    assert api.get(f"{PROJECTS}/alpha/files?{query}").status_code == 422


def test_the_files_of_an_unknown_project_are_refused(api: TestClient) -> None:
    assert api.get(f"{PROJECTS}/beta/files").json()["code"] == "unknown_project"


@pytest.fixture
def muniment(api: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    def forward(request: httpx.Request) -> httpx.Response:
        answer = api.request(request.method, request.url.raw_path.decode())
        return httpx.Response(answer.status_code, content=answer.content)

    monkeypatch.setattr("muniment.cli.client.Gateway", partial(Gateway, transport=httpx.MockTransport(forward)))
    monkeypatch.setenv("MUNIMENT_DATA_DIR", str(tmp_path_factory.mktemp("client")))


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["muniment", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code in (0, None)


@pytest.mark.usefixtures("filled", "muniment")
def test_the_command_lists_files_one_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "files", "alpha", "--limit", "3")
    shown, told = capsys.readouterr()
    assert shown.splitlines() == [
        "skipped  lockfile          0  go.sum",
        "failed   unreadable        0  lib",
        "indexed  -                 1  src/a b.py  (2 masked)",
    ]
    assert told == "There are more: --cursor 'src/a b.py'\n"


@pytest.mark.usefixtures("filled", "muniment")
def test_the_command_passes_on_its_filters_and_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "files", "alpha", "--state", "skipped", "--reason", "binary", "--path", "src", "--json")
    assert [item["path"] for item in json.loads(capsys.readouterr().out)["items"]] == ["src/z.pb"]
    typed(monkeypatch, "files", "alpha", "--state", "pending")
    assert capsys.readouterr().out == "No files.\n"


# --- warnings -----------------------------------------------------------------------------------------------------


@pytest.fixture
def warned(manifest: ManifestWriter, services: Services, project_id: str) -> ManifestWriter:
    """A scan that found nothing; its job is over."""
    project = services.projects.get(project_id)
    manifest.set_meta(
        warnings=json.dumps([WARNING]),
        scanned_at=datetime(2025, 6, 1, tzinfo=UTC).isoformat(),
        settings_of=project.updated_at.isoformat(),
    )
    return manifest


@pytest.mark.usefixtures("warned")
def test_a_scan_that_found_nothing_is_never_complete(api: TestClient) -> None:
    status = api.get(f"{PROJECTS}/alpha/status").json()
    assert status["warnings"] == [WARNING]
    assert (status["coverage"]["lexical_percent"], status["coverage"]["vector_percent"]) == (0.0, 0.0)
    [listed] = api.get(PROJECTS).json()["items"]
    assert (listed["index"]["warnings"], listed["index"]["lexical_percent"]) == ([WARNING], 0.0)


def test_a_project_that_is_rightly_empty_is_complete(warned: ManifestWriter, api: TestClient) -> None:
    warned.set_meta(warnings="[]")
    status = api.get(f"{PROJECTS}/alpha/status").json()
    assert (status["warnings"], status["coverage"]["lexical_percent"]) == ([], 100.0)


def test_a_warning_goes_when_files_have_come_since(warned: ManifestWriter, api: TestClient) -> None:
    warned.expect(1, 0)
    put(warned, "a.py")
    assert api.get(f"{PROJECTS}/alpha/status").json()["warnings"] == []


@pytest.mark.usefixtures("warned")
def test_the_warning_is_in_every_text(services: Services, project_id: str) -> None:
    project = services.projects.get(project_id)
    header, status = services.status.header(project), services.status.project_status(project)
    searched = search_text.search_text("alpha", SearchAnswer(results=[], index=header, took_ms=1.0))
    assert f"Warning: {WARNING}" in searched
    assert f"Warning: {WARNING}" in text.status_text(status)


@pytest.mark.usefixtures("warned", "muniment")
def test_the_warning_is_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "status", "alpha")
    assert "hides all 312 entries" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("warned")
def test_the_warning_is_on_the_page(services: Services, project_id: str) -> None:
    project = services.projects.get(project_id)
    status = services.status.project_status(project).model_copy(update={"job": None})
    view = project_view(project, status.model_copy(update={"state": "idle"}), project.updated_at)
    assert (view.tone, view.badge) == (Tone.WARN, "Nothing indexed")
    assert view.problem == WARNING.partition(" Remedy: ")[0]
    assert view.remedy == "change that rule."
