"""The quickstart's story, told against a gateway that answers from a script."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from muniment.cli.quickstart import Quickstart, Refused, Rest, checked, free_name
from muniment.errors import InternalError, PathNotAFolder, PathNotFound, ServerUnavailable
from muniment.jobs import JobStatus


class Hurried(threading.Event):
    """An event that is never waited for."""

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        return self.is_set()


class ScriptedGateway:
    """A job that goes through (status, files, lexical, vectors), one step at each look."""

    def __init__(self, steps: list[tuple[str, int, int, int]]) -> None:
        self.steps: Iterator[tuple[str, int, int, int]] = iter(steps)
        self.now = steps[0]
        self.searches: list[str] = []
        self.created: dict[str, object] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if request.method == "POST":
            self.created = json.loads(request.content)
            answer = {"project": "tree", "job_id": "j1", "message": "Project 'tree' initialized.", "warnings": ["two"]}
            return httpx.Response(202, json=answer)
        return httpx.Response(200, json=self.answer(path, request))

    def answer(self, path: str, request: httpx.Request) -> object:
        if path == "/projects":
            return {"items": []}
        if path == "/jobs/j1":
            self.now = next(self.steps)
            return self.job()
        _, total, lexical, vectors = self.now
        if path.endswith("/status"):
            return {"coverage": {"files_total": total, "files_lexical": lexical, "files_vector": vectors}}
        self.searches.append(request.url.params["q"])
        hit = {"path": "src/app.py", "start_line": 3, "end_line": 9, "symbol": "main"}
        index = {"lexical_percent": 100 * lexical / total, "vector_percent": 100 * vectors / total}
        return {"results": [hit], "index": index, "took_ms": 4.2}

    def job(self) -> dict[str, object]:
        status, total, _, vectors = self.now
        error = (
            {"code": "disk_full", "message": "No space left.", "remedy": "Free some."} if status == "failed" else None
        )
        return {
            "id": "j1",
            "project": "tree",
            "project_id": "tree-abc123",
            "kind": "reconcile",
            "status": status,
            "created_at": "2026-01-01T00:00:00Z",
            "files": {"total": total, "done": vectors, "skipped": {"binary": 2}},
            "chunks": 30,
            "error": error,
        }


def play(gateway: ScriptedGateway, stop: threading.Event | None = None) -> tuple[JobStatus, str]:
    """Runs a quickstart at one second a look; its last status and all that it printed."""
    seconds = iter(range(1000))
    console = Console(file=io.StringIO(), width=200)
    rest = Rest("http://gateway", None, httpx.MockTransport(gateway))
    job = Quickstart(rest, console, stop or Hurried(), lambda: float(next(seconds))).run(Path("/sources/tree"))
    assert isinstance(console.file, io.StringIO)
    return job.status, console.file.getvalue()


def test_a_run_searches_while_it_indexes_and_sums_up_at_the_end():
    gateway = ScriptedGateway(
        [
            ("queued", 0, 0, 0),
            ("queued", 0, 0, 0),
            ("running", 10, 0, 0),
            ("running", 10, 4, 0),
            ("running", 10, 10, 5),
            ("completed", 10, 10, 10),
        ]
    )
    status, told = play(gateway)

    assert status is JobStatus.COMPLETED
    assert gateway.created == {"name": "tree", "watch_paths": ["/sources/tree"]}
    assert "Project 'tree' initialized." in told
    assert "warning: two" in told
    assert "First hit after" in told
    assert "index: 40% by words, 0% by meaning" in told
    assert "src/app.py:3-9  main" in told
    assert "Every file is found by its words" in told
    assert "10 files, 30 chunks; skipped: 2 binary." in told
    assert told.index("First hit") < told.index("Every file") < told.index("Complete after")


def test_nothing_is_asked_before_anything_is_indexed():
    gateway = ScriptedGateway([("running", 0, 0, 0), ("running", 0, 0, 0), ("running", 10, 0, 0), ("failed", 10, 0, 0)])
    status, told = play(gateway)

    assert status is JobStatus.FAILED
    assert gateway.searches == []
    assert "No space left. Free some." in told


def test_a_job_that_no_worker_takes_is_remarked_once():
    _, told = play(ScriptedGateway([("queued", 0, 0, 0)] * 20 + [("cancelled", 0, 0, 0)]))

    assert told.count("No worker took the job for 16 s") == 1
    assert "The job is cancelled" in told


def test_an_interrupted_run_ends_at_the_next_look():
    stop = Hurried()
    stop.set()
    status, _ = play(ScriptedGateway([("running", 10, 0, 0)] * 3), stop)

    assert status is JobStatus.RUNNING


@pytest.mark.parametrize(
    ("folder", "taken", "name"),
    [
        ("/sources/tree", {}, "tree"),
        ("/sources/my tree (old)", {}, "my-tree-old-"),
        ("/sources/.hidden", {}, "hidden"),
        ("/", {}, "project"),
        ("/sources/tree", {"tree": ["/sources/tree"]}, "tree"),
        ("/sources/tree", {"Tree": ["/other/tree"]}, "tree-2"),
        ("/sources/tree", {"tree": ["/other/tree"], "tree-2": ["/sources/tree"]}, "tree-2"),
    ],
)
def test_a_folder_keeps_its_project_and_never_takes_another_folder_s(folder, taken, name):
    projects = {known: {"watch_paths": paths} for known, paths in taken.items()}

    assert free_name(Path(folder), projects) == name


def test_a_refusal_of_the_gateway_is_passed_on_in_its_own_words():
    body = {"code": "path_outside_roots", "message": "Outside.", "remedy": "Choose another."}
    rest = Rest("http://gateway", None, httpx.MockTransport(lambda _: httpx.Response(403, json=body)))

    with pytest.raises(Refused) as caught:
        rest.get("/projects")
    assert (caught.value.text, caught.value.remedy_text) == ("Outside.", "Choose another.")


@pytest.mark.parametrize("answer", [httpx.Response(502, text="<html>"), httpx.Response(500, json=["odd"])])
def test_an_answer_that_is_no_error_of_ours_is_an_internal_one(answer):
    with pytest.raises(InternalError, match="GET /projects"):
        Rest("http://gateway", None, httpx.MockTransport(lambda _: answer)).get("/projects")


def test_a_gateway_that_is_away_is_said_to_be():
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(ServerUnavailable, match="http://gateway"):
        Rest("http://gateway", None, httpx.MockTransport(refuse)).get("/projects")


def test_the_token_is_carried():
    def check(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"sent": request.headers["Authorization"]})

    assert Rest("http://gateway", "s3cret", httpx.MockTransport(check)).get("/projects") == {"sent": "Bearer s3cret"}


def test_a_tree_must_be_a_folder_that_exists(tmp_path):
    (tmp_path / "file").touch()
    assert checked(tmp_path / "x" / "..") == tmp_path.resolve()
    with pytest.raises(PathNotFound):
        checked(tmp_path / "none")
    with pytest.raises(PathNotAFolder):
        checked(tmp_path / "file")
