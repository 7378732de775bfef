"""The dashboard's page as the server renders it, and the text that its views make of records."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakeredis import FakeServer
from fastapi.testclient import TestClient

from muniment.errors import AttemptsExhausted
from muniment.job_records import NO_SLOT, RESTING
from muniment.jobs import ASKED, FileCounts, FileFailure, Job, JobKind, JobStatus, Phase
from muniment.settings import Settings
from muniment_api.dashboard import page, views
from muniment_api.dashboard.views import JOB_BADGES, JOBS_SHOWN, JobView, ProjectView, Tone, duration, shown_jobs

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = "</code><script>alert(1)</script>"


@pytest.fixture
def alpha(api: TestClient, gateway_settings: Settings) -> str:
    """The id of project alpha, whose folder has a hostile name."""
    folder = gateway_settings.roots[0] / HOSTILE.replace("/", "")
    folder.mkdir()
    made = api.post("/api/v1/projects", json={"name": "alpha", "watch_paths": [str(folder)]})
    project_id: str = made.json()["project"]["id"]
    return project_id


def a_job(**fields: object) -> Job:
    base = {"id": "j", "project": "alpha", "project_id": "alpha-x", "kind": JobKind.RECONCILE, "created_at": NOON}
    return Job.model_validate({"status": JobStatus.RUNNING, **base, **fields})


def job_view(job: Job, now: datetime = NOON) -> JobView:
    return views.job_view(job, now)


def test_the_page_has_every_project_and_job(api: TestClient, alpha: str) -> None:
    html = api.get("/").text
    assert f'<option value="{alpha}">alpha</option>' in html
    assert re.search(rf'<article class="card" data-id="{alpha}"[^>]* aria-label="alpha">', html)
    assert "Waits for a worker" in html
    assert re.search(r'<div id="empty" hidden>', html)


def test_without_projects_the_page_says_how_to_make_one(api: TestClient) -> None:
    html = api.get("/").text
    assert '<div id="empty">' in html
    assert "curl http://localhost:7420/api/v1/projects -H" in html
    assert "Authorization" not in html, "this server asks for no token"


@pytest.mark.usefixtures("alpha")
def test_what_people_named_is_escaped(api: TestClient) -> None:
    html = api.get("/").text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_views_are_escaped_wherever_they_stand() -> None:
    project = ProjectView(**dict.fromkeys(("id", "name", "folders", "badge", "counter", "problem"), HOSTILE))
    job = JobView(**dict.fromkeys(("id", "project", "kind", "badge", "last_file", "problem", "remedy"), HOSTILE))
    for partial, macro, view in (("_project.html", "project_card", project), ("_job.html", "job_row", job)):
        rendered = str(getattr(page.TEMPLATES.get_template(partial).module, macro)(view))
        assert "<script" not in rendered
        assert rendered.count("&lt;script&gt;") >= 6


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline(api: TestClient) -> None:
    answer = api.get("/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://(?!localhost)", answer.text)


def test_every_file_that_the_page_names_is_served(api: TestClient) -> None:
    named = re.findall(r'(?:href|src)="(static/[^"]+)"', api.get("/").text)
    assert len(named) == 3
    for path in named:
        answer = api.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    missing = api.get("/static/../page.py")
    assert missing.status_code == 404


def test_the_scripts_import_only_each_other() -> None:
    folder = page.FOLDER / "static"
    imported = {name for path in folder.glob("*.js") for name in re.findall(r'from "([^"]+)"', path.read_text())}
    assert imported
    assert {str(Path(name)) for name in imported} <= {path.name for path in folder.glob("*.js")}


def test_without_redis_the_page_still_shows_the_projects(api: TestClient, alpha: str, redis_server: FakeServer) -> None:
    redis_server.connected = False
    answer = api.get("/")
    assert answer.status_code == 200
    assert f'data-id="{alpha}"' in answer.text
    assert re.search(r'<p id="banner"[^>]*role="alert">[^<]*Redis', answer.text)


def test_every_state_of_a_job_has_a_badge() -> None:
    assert set(JOB_BADGES) == set(JobStatus)


def test_a_running_job_tells_its_counter_and_pace() -> None:
    files = FileCounts(total=8000, done=1199, failed=1)
    view = job_view(a_job(phase=Phase.LEXICAL, files=files, percent=4.5, rate=310.5, eta_seconds=84.9))
    assert view.counter == "1,200 of 8,000 files processed"
    assert view.pace == "4.5% · 311 files/s · about 1 min left · reading files"
    assert view.active


@pytest.mark.parametrize(
    ("fields", "counter"),
    [
        ({"status": JobStatus.QUEUED}, "Waits for a worker"),
        ({"status": JobStatus.BLOCKED, "blocked_by": NO_SLOT}, "Waits for a free slot"),
        ({"status": JobStatus.BLOCKED, "blocked_by": "abc"}, "Waits for the job before it"),
        ({"status": JobStatus.BLOCKED, "blocked_by": RESTING}, "Waits for the next attempt"),
        ({"status": JobStatus.RUNNING}, "Looking for files"),
        ({"status": JobStatus.CANCELLED, "files": FileCounts(total=9, done=1)}, "1 file processed"),
    ],
)
def test_what_a_job_is_at(fields: dict[str, object], counter: str) -> None:
    assert job_view(a_job(**fields)).counter == counter


def test_a_job_that_failed_gives_reason_and_remedy() -> None:
    error = AttemptsExhausted(5, "lexical", "a.py").body()
    view = job_view(a_job(status=JobStatus.FAILED, error=error))
    assert (view.badge, view.problem, view.remedy) == ("Failed", error.message, error.remedy)


@pytest.mark.parametrize("status", JobStatus)
def test_the_buttons_are_what_people_may_do_with_a_job(status: JobStatus) -> None:
    view = job_view(a_job(status=status))
    buttons = {"paused": view.can_pause, "resumed": view.can_resume, "cancelled": view.can_cancel}
    buttons["retried"] = view.can_retry
    assert {move for move, shown in buttons.items() if shown} == ASKED[status]


def test_a_button_that_is_not_allowed_is_hidden() -> None:
    row = str(page.TEMPLATES.get_template("_job.html").module.job_row(job_view(a_job(status=JobStatus.PAUSED))))
    buttons = dict(re.findall(r'<button[^>]*data-move="(\w+)"([^>]*)>', row))
    assert [move for move, marks in buttons.items() if not marks.endswith(" hidden")] == ["resume", "cancel"]
    assert re.search(r'<div class="controls" role="group" [^>]*data-job="j" [^>]*aria-label="reconcile of alpha">', row)


def test_a_job_that_rests_says_when_it_is_tried_again_and_why() -> None:
    error = AttemptsExhausted(5, "lexical", "a.py").body()
    again = NOON + timedelta(minutes=4)
    resting = a_job(status=JobStatus.BLOCKED, blocked_by=RESTING, error=error, retry_at=again, retries=2)
    view = job_view(resting)
    assert (view.retry_at, view.problem, view.problem_tone) == (again, error.message, Tone.WARN)
    assert view.retries == "Tried again 2 times"
    row = str(page.TEMPLATES.get_template("_job.html").module.job_row(view))
    assert re.search(r"Tries again at <time[^>]*>12:04 UTC</time>:", row)
    waits = resting.model_copy(update={"blocked_by": "another"})
    assert job_view(waits).retry_at is None, "it is not the rest that it waits for"


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"eta_seconds": 84.0, "estimate_seconds": 600.0}, "about 1 min left"),
        ({"estimate_seconds": 600.0}, "about 8 min left"),
        ({"estimate_seconds": 60.0}, None),
        ({"estimate_seconds": 600.0, "attempt": 2}, None),
        ({}, None),
    ],
)
def test_the_time_left_is_measured_or_estimated_but_never_made_up(fields: dict[str, object], left: str | None) -> None:
    job = a_job(**{"phase": Phase.LEXICAL, "started_at": NOON, "attempt": 1, **fields})
    parts = job_view(job, NOON + timedelta(minutes=2)).pace.split(" · ")
    assert parts == ["0%", *([left] if left else []), "reading files"]


def test_a_job_completed_with_errors_names_some_of_the_files() -> None:
    failures = [FileFailure(path=f"{number}.py", reason="unreadable") for number in range(5)]
    job = a_job(status=JobStatus.COMPLETED, with_errors=True, files=FileCounts(failed=5), failures=failures)
    assert job_view(job).badge == "Completed with errors"
    assert job_view(job).problem == ("5 files failed: 0.py (unreadable), 1.py (unreadable), 2.py (unreadable), …")


def test_a_long_job_is_not_pushed_out_by_many_short_ones() -> None:
    long_one = a_job(id="long", created_at=NOON - timedelta(hours=3))
    short_ones = [
        a_job(id=str(number), status=JobStatus.COMPLETED, created_at=NOON + timedelta(seconds=number))
        for number in range(JOBS_SHOWN)
    ]
    shown = [job.id for job in shown_jobs(short_ones, [long_one, None, short_ones[0]])]
    assert shown[:2] == ["long", str(JOBS_SHOWN - 1)]
    assert len(shown) == JOBS_SHOWN


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (4000, "1 h 6 min")]
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text
