"""The quickstart's story, told against a gateway that answers from a script."""

import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from muniment.cli import quickstart as quickstart_module
from muniment.cli.answers import Found, Hit, ProjectPage
from muniment.cli.client import Gateway, Refused
from muniment.cli.hints import command
from muniment.cli.quickstart import Quickstart, checked, free_name, quickstart
from muniment.cli.render import console
from muniment.errors import DiskFull, PathNotAFolder, PathNotFound, PathOutsideRoots, UnexpectedAnswer
from muniment.intake import ProjectAnswer
from muniment.jobs import FileCounts, FileFailure, Job, JobStatus
from muniment.project import Project
from muniment.settings import Settings
from muniment.stack import embedded
from muniment.stack.state import StackState
from muniment.status import Coverage, IndexHeader, IndexState, ProjectStatus

AT = datetime(2026, 1, 1, tzinfo=UTC)


def project(name: str, *paths: str) -> Project:
    return Project(id=f"{name}-abc123", name=name, watch_paths=list(paths), created_at=AT, updated_at=AT)


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
        self.failed = 0
        self.planned_from = 0  # files: with fewer the tree was not walked to its end yet

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.created = json.loads(request.content)
        return httpx.Response(200, text=self.answer(request).model_dump_json())

    def answer(self, request: httpx.Request) -> BaseModel:
        match request.method, request.url.path.removeprefix("/api/v1"):
            case "GET", "/projects":
                other = {**project("other", "/srv/other").model_dump(), "index": self.header()}
                return ProjectPage.model_validate({"items": [other]})
            case "POST", "/projects":
                made, message = project("tree", "/sources/tree"), "Project 'tree' initialized."
                return ProjectAnswer(project=made, job_id="j1", message=message, warnings=["two"])
            case "GET", "/jobs/j1":
                self.now = next(self.steps)
                return self.job()
            case "GET", "/projects/tree/status":
                return self.status()
            case "GET", "/projects/tree/search":
                self.searches.append(request.url.params["q"])
                hit = Hit(
                    project="tree",
                    path="src/app.py",
                    start_line=3,
                    end_line=9,
                    symbol="main",
                    score=1,
                    text="",
                    stale=False,
                )
                return Found(results=[hit], index=self.header(), took_ms=4.2)
            case other:
                raise AssertionError(other)

    def header(self) -> IndexHeader:
        coverage = self.coverage()
        return IndexHeader(
            state=IndexState.INDEXING,
            lexical_percent=coverage.lexical_percent,
            vector_percent=coverage.vector_percent,
            as_of=None,
            commit=None,
            pending_changes=0,
        )

    def coverage(self) -> Coverage:
        _, total, lexical, vectors = self.now
        return Coverage(
            files_total=total,
            files_lexical=lexical,
            files_vector=vectors,
            lexical_percent=100 * lexical / (total or 1) if total >= self.planned_from else 0.0,
            vector_percent=100 * vectors / (total or 1),
            chunks=30,
        )

    def status(self) -> ProjectStatus:
        return ProjectStatus(
            project="tree",
            project_id="tree-abc123",
            state=IndexState.INDEXING,
            up_to_date=False,
            coverage=self.coverage(),
            missing=0,
            extra=0,
            last_reconcile=None,
            commit=None,
            pending_changes=0,
            watch=True,
            memories=0,
            job=self.job(),
        )

    def job(self) -> Job:
        status, total, _, vectors = self.now
        return Job.model_validate(
            {
                "id": "j1",
                "project": "tree",
                "project_id": "tree-abc123",
                "kind": "reconcile",
                "status": status,
                "created_at": AT,
                "files": FileCounts(total=total, done=vectors, failed=self.failed, skipped={"binary": 2}),
                "failures": [FileFailure(path="a.txt", reason="undecodable")] * self.failed,
                "with_errors": bool(self.failed),
                "chunks": 0,  # of this pass; the index has more
                "error": DiskFull("/data").body() if status == "failed" else None,
            }
        )


def play(gateway: ScriptedGateway, stop: threading.Event | None = None) -> tuple[JobStatus, str]:
    """Runs a quickstart at one second a look; its last status and all that it printed."""
    seconds = iter(range(1000))
    out = console()
    out.file, out.width = io.StringIO(), 200
    client = Gateway("http://gateway", None, httpx.MockTransport(gateway))
    job = Quickstart(client, out, stop or Hurried(), lambda: float(next(seconds))).run(Path("/sources/tree"))
    assert isinstance(out.file, io.StringIO)
    return job.status, out.file.getvalue()


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
    assert "Project 'tree' is indexed in the background" in told
    assert "warning: two" in told
    assert "First hit after" in told
    assert "index: 40% by words, 0% by meaning" in told
    assert "src/app.py:3-9  main" in told
    assert "; its meaning follows." in told
    assert "10 files, 30 chunks; skipped: 2 binary." in told
    assert told.index("First hit") < told.index("Every file") < told.index("Complete after")


def test_an_index_that_was_complete_before_is_said_to_be():
    _, told = play(ScriptedGateway([("queued", 10, 10, 10), ("queued", 10, 10, 10), ("completed", 10, 10, 10)]))

    assert "meaning follows" not in told
    assert "10 files, 30 chunks" in told


def test_nothing_is_asked_before_anything_is_indexed():
    gateway = ScriptedGateway([("running", 0, 0, 0), ("running", 0, 0, 0), ("running", 10, 0, 0), ("failed", 10, 0, 0)])
    status, told = play(gateway)

    assert status is JobStatus.FAILED
    assert gateway.searches == []
    assert str(DiskFull("/data")) in told


def test_a_job_that_no_worker_takes_is_remarked_once():
    _, told = play(ScriptedGateway([("queued", 0, 0, 0)] * 20 + [("cancelled", 0, 0, 0)]))

    assert told.count("No worker took the job for 16 s") == 1
    assert "The job is cancelled" in told


def test_an_interrupted_run_ends_at_the_next_look():
    stop = Hurried()
    stop.set()
    status, told = play(ScriptedGateway([("running", 10, 0, 0)] * 3), stop)

    assert status is JobStatus.RUNNING
    assert told.endswith("The index is not complete yet; the next start goes on where it is.\n")


def test_a_file_that_failed_is_named():
    gateway = ScriptedGateway([("running", 10, 0, 0), ("running", 10, 0, 0), ("completed", 10, 9, 9)])
    gateway.failed = 1
    _, told = play(gateway)

    assert "failed: a.txt: undecodable" in told
    assert "with 1 failed file: 9 files, 30 chunks" in told


def test_an_index_that_lacks_one_file_of_thousands_is_never_called_complete():
    gateway = ScriptedGateway([("running", 1000, 0, 0), ("running", 1000, 999, 0), ("failed", 1000, 999, 0)])

    assert "index: 99.9% by words" in play(gateway)[1]


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
    assert free_name(Path(folder), [project(known, *paths) for known, paths in taken.items()]) == name


def test_a_refusal_of_the_gateway_is_passed_on_in_its_own_words():
    error = PathOutsideRoots("/sources/tree", ["/home"])

    class Refusing(ScriptedGateway):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                return httpx.Response(403, text=error.body().model_dump_json())
            return super().__call__(request)

    with pytest.raises(Refused) as caught:
        play(Refusing([("queued", 0, 0, 0)]))
    assert caught.value.body() == error.body()


def test_a_server_that_is_no_muniment_is_named():
    class Foreign(ScriptedGateway):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"items": [{"name": "a shop"}], "path": request.url.path})

    with pytest.raises(UnexpectedAnswer, match="its answer is no ProjectPage"):
        play(Foreign([("queued", 0, 0, 0)]))


def test_a_tree_must_be_a_folder_that_exists(tmp_path):
    (tmp_path / "file").touch()
    assert checked(tmp_path / "x" / "..") == tmp_path.resolve()
    with pytest.raises(PathNotFound):
        checked(tmp_path / "none")
    with pytest.raises(PathNotAFolder):
        checked(tmp_path / "file")


class Child:
    """Stands for the stack that was started: once its user was told how to end it, it ends."""

    def __init__(self) -> None:
        self.polls = iter([None, 0])
        self.stopped = False

    def poll(self) -> int | None:
        return next(self.polls)

    def stop(self, *_: object) -> None:
        self.stopped = True


@pytest.mark.parametrize(
    ("ran_already", "leave", "ends"),
    [
        (False, True, ["Stopping ...", "Stopped. The index is kept: `{program} up -d data` serves it again."]),
        (
            False,
            False,
            [
                "Ask it yourself, from another terminal: {program} search -d data tree 'your question'",
                "Ctrl-C stops it.",
                "Stopping ...",
                "Stopped. The index is kept: `{program} up -d data` serves it again.",
            ],
        ),
        (True, True, ["Ask it yourself: {program} search -d data tree 'your question'"]),
    ],
)
def test_at_its_end_it_says_what_can_be_done_then(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ran_already: bool,
    leave: bool,
    ends: list[str],
):
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path)
    state = StackState(
        pid=1, data_dir="data", url="http://gateway", ops_url="", redis_url="", chroma_url="", started_at=AT
    )
    child = None if ran_already else Child()
    gateway = ScriptedGateway([("running", 10, 10, 5), ("running", 10, 10, 5), ("completed", 10, 10, 10)])
    transport = httpx.MockTransport(gateway)
    monkeypatch.setattr(embedded, "launch", lambda *_, **__: (state, child))
    monkeypatch.setattr(quickstart_module, "Gateway", partial(Gateway, transport=transport))
    monkeypatch.setattr(quickstart_module, "POLL_SECONDS", 0)
    monkeypatch.setattr(quickstart_module, "stop_child", lambda process, _: process.stop())

    quickstart(tree=Path("tree"), leave=leave, data_dir=Path("data"))

    program = command(Settings(data_dir=tmp_path / "data"), "up").removesuffix(" up -d data")
    told = capsys.readouterr().out.splitlines()
    assert told[-len(ends) :] == [line.format(program=program) for line in ends]
    assert told[-len(ends) - 1].startswith("     src/app.py")
    assert child is None or child.stopped


def test_the_first_files_of_a_tree_that_is_still_walked_are_not_all_files() -> None:
    steps = [("running", 100, 100, 0), ("running", 9000, 100, 0), ("running", 9000, 9000, 0)]
    gateway = ScriptedGateway([("queued", 0, 0, 0), *steps, ("completed", 9000, 9000, 9000)])
    gateway.planned_from = 9000
    _, printed = play(gateway)
    told = [line for line in printed.splitlines() if line.startswith("Every file is found by its words after")]
    assert len(told) == 1
    first_hit = float(printed.split("First hit after ")[1].split(" s")[0])
    assert float(told[0].split("after ")[1].split(" s")[0]) > first_hit
