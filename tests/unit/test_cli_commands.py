"""The client commands as typed, against a real gateway in memory."""

import io
import json
from functools import partial
from pathlib import Path

import httpx
import pytest
from command_line import Muniment, Ran
from fastapi.testclient import TestClient
from pydantic import BaseModel

from muniment.backlog import QueueStatus
from muniment.cli import answers, following
from muniment.cli.client import Gateway
from muniment.errors import DiskFull
from muniment.jobs import Job, JobStatus
from muniment.leases import Lease
from muniment.pushed import PushedFiles
from muniment.search import FilePlace, SearchHit
from muniment.settings import Settings
from muniment_api import answers as sent
from muniment_api.deps import Services
from muniment_api.search_answers import RelatedAnswer, SearchAnswer


@pytest.fixture
def alpha(muniment: Muniment, gateway_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Project alpha, made by ``init`` from within the sources."""
    folder = gateway_settings.roots[0] / "alpha"
    folder.mkdir()
    monkeypatch.chdir(folder.parent)
    ran = muniment("init", "alpha", "alpha", "--pattern", "*.py", "--exclude", "gen/", "--no-watch")
    assert (ran.code, ran.err) == (0, "")
    return ran


def ending(monkeypatch: pytest.MonkeyPatch, services: Services, **changes: object) -> list[str]:
    """Makes ``index`` see its job end like this; returns the list of the jobs that it followed."""
    followed: list[str] = []

    def follow(_gateway: Gateway, job_id: str, _project: str, _out: object) -> Job:
        followed.append(job_id)
        return services.queue.get(job_id).model_copy(update=changes)

    monkeypatch.setattr(following, "follow", follow)
    return followed


def test_init_makes_the_paths_absolute_and_hands_on_every_option(alpha: Ran, services: Services):
    project = services.projects.get("alpha")
    [job] = services.queue.waiting(project.id)

    assert project.watch_paths == [str(Path.cwd() / "alpha")]
    assert (project.watch_patterns, project.watch_exclude, project.watch) == (["*.py"], ["gen/"], False)
    assert job is not None
    assert alpha.out.startswith("Project 'alpha' initialized.")
    assert job.id in alpha.out


@pytest.mark.usefixtures("alpha")
def test_a_second_init_changes_only_what_it_names(muniment: Muniment, services: Services):
    muniment("init", "alpha", "--pattern", "")
    project = services.projects.get("alpha")

    assert project.watch_paths == [str(Path.cwd() / "alpha")]
    assert (project.watch_patterns, project.watch_exclude, project.watch) == ([], ["gen/"], False)


@pytest.mark.usefixtures("alpha")
def test_a_second_project_on_the_same_folder_is_warned_of(muniment: Muniment):
    ran = muniment("init", "beta", "alpha")
    assert (ran.code, ran.err) == (0, "warning: Project 'alpha' covers the same folder: both index it.\n")


@pytest.mark.usefixtures("alpha")
def test_json_is_the_gateway_s_answer_byte_by_byte(muniment: Muniment, api: TestClient):
    job_id = api.get("/api/v1/jobs").json()["items"][0]["id"]
    routes = {
        ("status",): "/projects",
        ("status", "alpha"): "/projects/alpha/status",
        ("jobs",): "/jobs?limit=20",
        ("jobs", "list", "--status", "queued"): "/jobs?status=queued&limit=20",
        ("jobs", "status", job_id): f"/jobs/{job_id}",
    }
    for command, route in routes.items():
        assert muniment(*command, "--json") == (0, api.get(f"/api/v1{route}").text + "\n", "")
    search = json.loads(muniment("search", "alpha", "x", "--json").out)
    assert search.keys() == api.get("/api/v1/projects/alpha/search?q=x").json().keys()
    assert json.loads(muniment("init", "alpha", "--json").out)["job_id"] == job_id


def test_status_without_projects_says_how_to_make_one(muniment: Muniment):
    assert muniment("status") == (0, "No projects yet: `muniment init NAME PATH` makes one.\n", "")


@pytest.mark.usefixtures("alpha")
def test_status_shows_each_project_with_its_job(muniment: Muniment):
    heading, row = muniment("status").out.splitlines()

    assert heading.split() == ["PROJECT", "STATE", "LEXICAL", "VECTORS", "PENDING", "AS", "OF", "JOB"]
    assert row.split() == ["alpha", "indexing", "0.0%", "0.0%", "0", "-", "queued"]


@pytest.mark.usefixtures("alpha")
def test_status_shows_the_job_that_runs_rather_than_an_older_one_that_is_paused(
    muniment: Muniment, api: TestClient, monkeypatch: pytest.MonkeyPatch
):
    projects, (paused,) = api.get("/api/v1/projects").json(), api.get("/api/v1/jobs").json()["items"]
    running = {**paused, "id": "j2", "status": "running", "phase": "vectors", "percent": 61.0}
    running["created_at"] = "2100-01-01T00:00:00Z"
    jobs = {"items": [running, {**paused, "status": "paused"}], "next": None}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/projects"):
            return httpx.Response(200, json=projects)
        assert request.url.params.get_list("status") == ["queued", "blocked", "running", "paused"]
        return httpx.Response(200, json=jobs)

    monkeypatch.setattr("muniment.cli.client.Gateway", partial(Gateway, transport=httpx.MockTransport(answer)))
    assert muniment("status").out.splitlines()[1].split()[-2:] == ["vectors", "61%"]


@pytest.mark.usefixtures("alpha")
def test_status_of_one_project_shows_its_details(muniment: Muniment):
    out = muniment("status", "ALPHA").out

    assert "Watched     no; `muniment index alpha` takes changes in" in out
    assert "Status  queued, waits for a worker" in out


@pytest.mark.usefixtures("alpha")
def test_jobs_are_listed_by_default_and_shown_one_by_one(muniment: Muniment, api: TestClient):
    job_id = api.get("/api/v1/jobs").json()["items"][0]["id"]

    listed = muniment("jobs").out
    assert job_id in listed
    assert muniment("jobs", "list").out.splitlines()[1].split()[:4] == [job_id, "alpha", "reconcile", "queued"]
    assert "Kind    reconcile of alpha" in muniment("jobs", "status", job_id).out
    assert muniment("jobs", "--status", "failed") == (0, "No jobs.\n", "")


@pytest.mark.usefixtures("alpha")
def test_more_jobs_than_asked_for_are_pointed_to(muniment: Muniment):
    muniment("init", "beta", "alpha")
    first = muniment("jobs", "--limit", "1")
    cursor = first.err.split()[-1]

    assert first.err.startswith("There are more: --cursor ")
    assert "beta" in first.out
    assert "alpha" in muniment("jobs", "--limit", "1", "--cursor", cursor).out


@pytest.mark.usefixtures("alpha")
def test_what_a_search_is_narrowed_by_reaches_the_gateway(muniment: Muniment):
    muniment("init", "beta", "--no-folder")
    options = ("--path", "src/**", "--path", "!*.md", "-C", "3", "--project", "*")
    ran = muniment("search", "alpha", "x", *options, "--json")
    assert ran.code == 0, ran.err
    assert [other["project"] for other in json.loads(ran.out)["others"]] == ["beta"]
    assert "Index of beta: 0.0% lexical" in muniment("search", "alpha", "x", "--project", "beta").out
    assert "path_glob is '[z-a]'" in muniment("search", "alpha", "x", "--path", "[z-a]").err


@pytest.mark.usefixtures("alpha")
def test_what_is_like_a_place_is_asked_by_path_and_line(muniment: Muniment):
    ran = muniment("related", "alpha", "src/a b.py:42")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: The index of project 'alpha' has no file 'src/a b.py'.")
    assert "no file 'src/a.py'" in muniment("related", "alpha", "src/a.py", "--symbol", "f", "--limit", "3").err


@pytest.mark.usefixtures("alpha")
def test_search_says_how_complete_the_index_is(muniment: Muniment):
    ran = muniment("search", "alpha", "anything", "--limit", "3", "--path", "src/*", "--language", "python")
    assert ran.code == 0
    assert ran.out.splitlines()[0].startswith("Index: 0.0% lexical, 0.0% vectors, first scan under way")


@pytest.mark.usefixtures("alpha")
def test_index_in_the_background_prints_the_job_alone(muniment: Muniment, services: Services):
    ran = muniment("index", "alpha", "--force", "--path", "src", "--path", "docs/a.md", "--background")
    job = services.queue.get(ran.out.strip())

    assert (ran.code, ran.err) == (0, "")
    assert job.kind == "reindex"


@pytest.mark.usefixtures("alpha")
def test_paths_reach_the_job(muniment: Muniment, monkeypatch: pytest.MonkeyPatch):
    bodies: list[object] = []

    def note(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(202, json={"job_id": "j1", "project": "alpha", "message": ""})

    monkeypatch.setattr("muniment.cli.client.Gateway", partial(Gateway, transport=httpx.MockTransport(note)))
    muniment("index", "alpha", "--path", "src", "--path", "docs/a.md", "--background")

    assert bodies == [{"kind": "reconcile", "paths": ["src", "docs/a.md"]}]


@pytest.mark.usefixtures("alpha")
def test_index_follows_its_job_and_sums_it_up(muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch):
    followed = ending(monkeypatch, services, status=JobStatus.COMPLETED)
    ran = muniment("index", "alpha")

    assert (ran.code, ran.out, ran.err) == (0, "Completed: no files; skipped: none\n", "")
    assert [services.queue.get(job_id).project for job_id in followed] == ["alpha"]


@pytest.mark.usefixtures("alpha")
def test_a_failed_job_is_an_error_with_its_remedy(
    muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch
):
    error = DiskFull("/data")
    ending(monkeypatch, services, status=JobStatus.FAILED, error=error.body())

    assert muniment("index", "alpha") == (1, "", f"error: {error}\n")


@pytest.mark.usefixtures("alpha")
@pytest.mark.parametrize("status", [JobStatus.CANCELLED, JobStatus.PAUSED])
def test_a_job_that_someone_stopped_is_no_success(
    muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch, status: JobStatus
):
    ending(monkeypatch, services, status=status)
    ran = muniment("index", "alpha")

    assert (ran.code, ran.out) == (1, "")
    assert f"is {status}" in ran.err


@pytest.mark.usefixtures("alpha")
def test_an_interrupted_index_leaves_the_job_and_says_so(
    muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: object) -> Job:
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "follow", interrupted)
    monkeypatch.setattr("muniment.cli.hints._program", lambda: ["muniment"])
    (job,) = services.queue.list().items
    told = f"Job {job.id} goes on in the background; `muniment jobs watch {job.id}%s` follows it.\n"

    assert muniment("index", "alpha") == (130, "", told % "")
    assert muniment("index", "alpha", "-d", "my data") == (130, "", told % " -d 'my data'")
    assert muniment("jobs", "watch", job.id, "--url", "http://team") == (130, "", told % " --url http://team")
    assert services.queue.get(job.id).status is JobStatus.QUEUED


@pytest.mark.usefixtures("alpha")
def test_an_index_in_json_ends_with_the_job_and_in_the_background_begins_with_its_id(
    muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch
):
    background = json.loads(muniment("index", "alpha", "--background", "--json").out)
    ending(monkeypatch, services, status=JobStatus.COMPLETED)
    ended = Job.model_validate_json(muniment("index", "alpha", "--json").out)

    assert (ended.id, ended.status) == (background["job_id"], JobStatus.COMPLETED)


@pytest.mark.usefixtures("alpha")
def test_a_failed_job_in_json_is_printed_and_is_an_error_still(
    muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch
):
    error = DiskFull("/data")
    ending(monkeypatch, services, status=JobStatus.FAILED, error=error.body())
    ran = muniment("index", "alpha", "--json")

    assert (ran.code, ran.err) == (1, f"error: {error}\n")
    assert Job.model_validate_json(ran.out).error == error.body()


@pytest.mark.usefixtures("alpha")
def test_a_job_is_paused_and_resumed(muniment: Muniment, services: Services):
    (job,) = services.queue.list().items

    paused = muniment("jobs", "pause", job.id)
    assert paused == (0, f"Job {job.id} is paused. `muniment jobs resume {job.id}` lets it go on.\n", "")
    assert services.queue.get(job.id).status is JobStatus.PAUSED
    again = muniment("jobs", "pause", job.id)
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith(f"error: Job {job.id} is paused and cannot be")
    resumed = muniment("jobs", "resume", job.id, "--json")
    assert (resumed.code, Job.model_validate_json(resumed.out)) == (0, services.queue.get(job.id))
    assert services.queue.get(job.id).status is JobStatus.QUEUED


class Answering(io.StringIO):
    """A terminal at which somebody answers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("alpha")
def test_a_job_is_cancelled_after_a_question_on_a_terminal(
    muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch
):
    (job,) = services.queue.list().items
    monkeypatch.setattr("sys.stdin", Answering("n\n"))
    kept = muniment("jobs", "cancel", job.id)
    assert kept.code == 1
    assert f"Cancelling job {job.id} ends the reconcile of 'alpha' for good, at 0%. Go on? [y/N]:" in kept.err
    assert services.queue.get(job.id).status is JobStatus.QUEUED

    monkeypatch.setattr("sys.stdin", Answering("y\n"))
    gone = muniment("jobs", "cancel", job.id)
    assert (gone.code, gone.out.strip()) == (0, f"Job {job.id} is cancelled. What it had indexed stays.")
    assert services.queue.get(job.id).status is JobStatus.CANCELLED


@pytest.mark.usefixtures("alpha")
def test_a_script_cancels_a_job_only_with_yes(muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch):
    (job,) = services.queue.list().items
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    refused = muniment("jobs", "cancel", job.id)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"error: Cancelling job {job.id} ends the reconcile of 'alpha' for good")
    assert services.queue.get(job.id).status is JobStatus.QUEUED

    cancelled = muniment("jobs", "cancel", job.id, "--yes", "--json")
    assert (cancelled.code, json.loads(cancelled.out)["status"]) == (0, "cancelled")


@pytest.mark.usefixtures("alpha")
def test_a_cancelled_job_is_done_anew_by_another(muniment: Muniment, services: Services):
    (job,) = services.queue.list().items
    refused = muniment("jobs", "retry", job.id)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"error: Job {job.id} is queued and cannot be")
    services.queue.cancel(job.id)
    ran = muniment("jobs", "retry", job.id)
    (new,) = services.queue.waiting(job.project_id)

    assert ran == (0, f"Job {new.id} does it anew; `muniment jobs watch {new.id}` follows it.\n", "")
    joined = json.loads(muniment("jobs", "retry", job.id, "--json").out)
    assert joined["job_id"] == new.id != job.id


@pytest.mark.usefixtures("alpha")
def test_blocked_jobs_are_listed_with_what_they_wait_for(muniment: Muniment, services: Services):
    muniment("init", "beta", "alpha")
    project = services.projects.get("alpha")
    lease = services.leases.acquire(project.id, "worker:1")
    assert isinstance(lease, Lease)
    running = services.queue.claim_next(lease)
    assert running is not None
    muniment("index", "alpha", "--background")
    rows = [line.split() for line in muniment("jobs", "list", "--status", "blocked").out.splitlines()[1:]]

    assert [(row[1], row[3:6]) for row in rows] == [("alpha", ["blocked", "after", running.id])]


@pytest.mark.usefixtures("alpha")
@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.PAUSED, JobStatus.CANCELLED])
def test_a_watched_job_ends_the_command_with_its_own_end(
    muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch, status: JobStatus
):
    followed = ending(monkeypatch, services, status=status)
    (job,) = services.queue.list().items
    ran = muniment("jobs", "watch", job.id)

    assert followed == [job.id]
    if status is JobStatus.COMPLETED:
        assert ran == (0, "Completed: no files; skipped: none\n", "")
    else:
        assert (ran.code, ran.out) == (1, "")
        assert f"Job {job.id} is {status}; `muniment jobs " in ran.err


@pytest.mark.usefixtures("alpha")
def test_a_job_at_rest_is_not_followed(muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch):
    followed = ending(monkeypatch, services)
    (job,) = services.queue.list().items
    services.queue.pause(job.id)
    ran = muniment("jobs", "watch", job.id)

    assert ran == (1, "", f"error: Job {job.id} is paused; `muniment jobs resume {job.id}` lets it go on.\n")
    assert followed == []


@pytest.mark.usefixtures("alpha")
def test_queues_show_what_waits_and_who_works(muniment: Muniment, services: Services):
    muniment("init", "beta", "alpha", "--no-watch")
    muniment("init", "idle", "alpha", "--no-watch")
    alpha, beta, idle = map(services.projects.get, ("alpha", "beta", "idle"))
    services.queue.cancel_all(idle.id)
    lease = services.leases.acquire(alpha.id, "worker:17")
    assert isinstance(lease, Lease)
    running = services.queue.claim_next(lease)
    assert running is not None
    services.queue.pause(services.queue.waiting(beta.id)[0].id)
    services.dirty.add(beta.id, ["a.py", "b.py"])
    lines = muniment("queues").out.splitlines()

    assert lines[:2] == ["1 of 3 slots in use.", "Nothing waits or runs for 1 project."]
    assert lines[2].split() == ["PROJECT", "JOBS", "PATHS", "OLDEST", "RUNNING", "PAUSED", "WORKER", "FOR"]
    rows = sorted(line.split() for line in lines[3:])
    assert rows[0][:7] == ["alpha", "0", "0", "-", running.id, "0", "worker:17"]
    assert (rows[1][:3], rows[1][-4:]) == (["beta", "0", "2"], ["-", "1", "-", "-"])
    assert muniment("queues", "--project", "idle").out.splitlines() == lines[:2]
    assert QueueStatus.model_validate_json(muniment("queues", "--json").out).slots_used == 1


@pytest.mark.usefixtures("alpha")
@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("status", "alpa"), "error: No project named 'alpa'. Known: alpha. "),
        (("search", "alpa", "x"), "error: No project named 'alpa'. Known: alpha. "),
        (("index", "a/b"), "error: 'a/b' is not a project name. "),
        (("index", "alpha", "--path", "../x"), "error: The path '../x' is not inside project 'alpha'. "),
        (("init", "beta", "nowhere"), "/nowhere' does not exist on the server. "),
        (("init", "beta"), "watch_paths"),
        (("search", "alpha", "x", "--kind", "poem"), "kind is 'poem'"),
        (("jobs", "status", "nope"), "error: No job with id 'nope'. "),
        (("jobs", "status", "a/b"), "error: "),
        (("jobs", "--project", "alpa"), "error: No project named 'alpa'. "),
        (("jobs", "watch", "nope"), "error: No job with id 'nope'. "),
        (("jobs", "watch", "--project", "alpa"), "error: No project named 'alpa'. "),
        (("jobs", "pause", "nope"), "error: No job with id 'nope'. "),
        (("jobs", "resume", "nope"), "error: No job with id 'nope'. "),
        (("jobs", "cancel", "nope"), "error: No job with id 'nope'. "),
        (("jobs", "retry", "nope"), "error: No job with id 'nope'. "),
        (("queues", "--project", "alpa"), "error: No project named 'alpa'. "),
    ],
)
def test_an_error_of_the_gateway_is_one_line_on_stderr(muniment: Muniment, command: tuple[str, ...], told: str):
    ran = muniment(*command)

    assert (ran.code, ran.out) == (1, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ("init",),
        ("index",),
        ("search", "alpha"),
        ("search", "alpha", "two", "words"),
        ("search", "alpha", "x", "--limit", "0"),
        ("jobs", "status"),
        ("jobs", "--status", "asleep"),
        ("jobs", "dance"),
        ("jobs", "pause"),
        ("jobs", "cancel", "one", "two"),
        ("jobs", "watch", "j1", "--project", "alpha"),
        ("queues", "alpha"),
        ("status", "--nope"),
    ],
)
def test_wrong_usage_ends_with_2_and_asks_nobody(muniment: Muniment, command: tuple[str, ...]):
    ran = muniment(*command)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage" in ran.err


def test_the_group_s_help_is_its_own(muniment: Muniment):
    ran = muniment("jobs", "--help")
    assert ran.code == 0
    assert "without a command, list them" in ran.out


def test_an_away_gateway_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch, muniment: Muniment):
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr("muniment.cli.client.Gateway", partial(Gateway, transport=httpx.MockTransport(refuse)))
    ran = muniment("status", "--url", "http://127.0.0.1:9")

    assert (ran.code, ran.out) == (1, "")
    assert "http://127.0.0.1:9" in ran.err
    assert "muniment up" in ran.err


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (answers.Hit, SearchHit),
        (answers.Found, SearchAnswer),
        (answers.FoundRelated, RelatedAnswer),
        (answers.FilePlace, FilePlace),
        (answers.ListedProject, sent.ProjectItem),
        (answers.ProjectPage, sent.Projects),
    ],
)
def test_what_the_command_line_reads_is_what_the_gateway_writes(read: type[BaseModel], written: type[BaseModel]):
    nested = {answers.Hit, answers.ListedProject, answers.Place, answers.ProjectIndex}
    for name, field in read.model_fields.items():
        assert name in written.model_fields
        inner = str(field.annotation)
        if not any(model.__name__ in inner for model in nested):
            assert field.annotation == written.model_fields[name].annotation


@pytest.mark.usefixtures("alpha")
def test_a_file_is_put_from_a_path_or_from_standard_input_and_withdrawn(
    muniment: Muniment, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = PushedFiles(services.settings.folder.project(services.projects.get("alpha").id).pushed)
    (tmp_path / "note.md").write_text("from a file\n")
    ran = muniment("put", "alpha", "notes/ä b.md", str(tmp_path / "note.md"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Stored: 'notes/ä b.md' of project 'alpha'.")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"from stdin\n")))
    assert json.loads(muniment("put", "alpha", "piped.md", "--json").out)["path"] == "piped.md"
    stored = {one.path: Path(one.absolute).read_text().partition("\n")[2] for one in files.walk()}  # type: ignore[union-attr]
    assert stored == {"notes/ä b.md": "from a file\n", "piped.md": "from stdin\n"}
    assert muniment("withdraw", "alpha", "piped.md").code == 0
    assert [one.path for one in files.walk()] == ["notes/ä b.md"]
    refused = muniment("withdraw", "alpha", "piped.md")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("error: No file 'piped.md' was put into project 'alpha'.")


@pytest.mark.usefixtures("alpha")
def test_what_cannot_be_put_is_refused_before_it_is_sent(muniment: Muniment, tmp_path: Path):
    missing = muniment("put", "alpha", "a.md", str(tmp_path / "missing.md"))
    assert "cannot be read: No such file" in missing.err
    outside = muniment("withdraw", "alpha", "../../x")
    assert "a segment of it is empty, '.' or '..'" in outside.err


def test_a_project_without_folders_is_made_on_purpose_only(muniment: Muniment, services: Services):
    assert "explicit empty list" in muniment("init", "notes").err
    assert muniment("init", "notes", "--no-folder").code == 0
    assert services.projects.get("notes").watch_paths == []


@pytest.mark.usefixtures("alpha")
def test_a_project_is_removed_after_a_question(muniment: Muniment, services: Services, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"n\n")))
    kept = muniment("remove", "alpha")
    assert kept.code == 1
    assert "Removing project 'alpha' deletes its index (files: 0, chunks: 0)" in kept.err
    assert services.projects.find("alpha") is not None
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"y\n")))
    gone = muniment("remove", "alpha")
    assert (gone.code, gone.out.strip()) == (0, "Project 'alpha' is removed; its name is free.")
    assert services.projects.find("alpha") is None
    assert "No project named 'alpha'" in muniment("remove", "alpha").err


@pytest.mark.usefixtures("alpha")
def test_a_script_removes_a_project_without_a_question(muniment: Muniment, services: Services):
    answer = json.loads(muniment("remove", "alpha", "--yes", "--json").out)
    assert (answer["project"], answer["swept"]) == ("alpha", True)
    assert services.projects.find("alpha") is None
