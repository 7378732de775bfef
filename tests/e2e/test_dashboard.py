"""The dashboard in a real browser: what appears, moves and vanishes does so by events."""

import re
from datetime import UTC, datetime

import pytest
from dashboard_page import card, job_row, reading
from playwright.sync_api import Browser, Page, Route, expect

from muniment.embedding.static import StaticEmbedder
from muniment.errors import AttemptsExhausted
from muniment.events import Event, EventType
from muniment.indexing import Limits, PassTools, open_index, run_pass
from muniment.indexing.passing import Step
from muniment.jobs import FileCounts, FileFailure, Job, JobStatus, Phase, Progress
from muniment.project import Project
from muniment.queue import JobQueue

HOSTILE = "<img src=x onerror=document.title='taken'>"


def test_an_empty_server_says_how_to_begin_until_there_is_a_project(live: Page, gateway) -> None:
    expect(live.locator("#empty")).to_contain_text("muniment init my-project /path/to/repository")
    expect(live.locator("#empty")).to_contain_text("init_project(")
    expect(live.locator("#empty")).to_contain_text(f"curl {gateway.url}/api/v1/projects")
    expect(live.get_by_role("button", name="Search")).to_be_disabled()
    gateway.make_project("alpha")
    expect(live.locator("#empty")).to_be_hidden()
    expect(live.get_by_role("button", name="Search")).to_be_enabled()


def test_a_project_appears_changes_and_vanishes_by_events(live: Page, gateway) -> None:
    beta = gateway.make_project("beta")
    alpha = gateway.make_project("Alpha")
    expect(live.locator("#projects h3")).to_have_text(["Alpha", "beta"])
    expect(live.locator("#search-project option")).to_have_text(["Alpha", "beta"])
    expect(card(live, beta).locator(".badge")).to_have_text("Queued")
    other = gateway.sources("elsewhere")
    gateway.make_project("beta", other)
    expect(card(live, beta).locator(".folders")).to_have_text(str(other))
    expect(card(live, alpha).locator("[data-text=files]")).to_have_text("0")
    gateway.projects.remove(alpha.id, datetime.now(UTC))
    removed = Event(type=EventType.PROJECT_REMOVED, at=datetime.now(UTC), project="Alpha", project_id=alpha.id)
    gateway.bus.publish(removed)
    expect(live.locator("#projects h3")).to_have_text(["beta"])
    expect(live.locator("#search-project option")).to_have_text(["beta"])


def test_the_badge_and_the_counter_follow_a_job_to_its_end(live: Page, gateway) -> None:
    alpha = gateway.make_project("alpha")
    shown = card(live, alpha)
    expect(shown).to_be_visible()
    lease, job = gateway.begin(alpha)
    expect(shown.locator(".badge")).to_have_text("Indexing…")
    expect(shown.locator(".counter")).to_have_text("Looking for files")
    gateway.queue.progress(job, reading(1200, 8000, rate=310.4, eta_seconds=84.0, last_file="src/a.py"))
    expect(shown.locator(".counter")).to_have_text("1,200 of 8,000 files processed")
    expect(shown.locator(".pace")).to_have_text("4.5% · 310 files/s · about 1 min left · reading files")
    expect(job_row(live, job).locator(".last")).to_have_text("src/a.py")
    gateway.queue.progress(job, reading(4000, 8000, rate=310.4, eta_seconds=41.0))
    expect(shown.locator(".counter")).to_have_text("4,000 of 8,000 files processed")
    expect(shown.locator(".progress progress")).to_have_js_property("value", 15)
    gateway.queue.finish(lease, job, JobStatus.COMPLETED, reading(8000, 8000))
    expect(shown.locator(".progress")).to_be_hidden()
    expect(shown.locator(".badge")).not_to_have_text("Indexing…")
    expect(job_row(live, job).locator(".badge")).to_have_text("Completed")
    expect(job_row(live, job).locator(".counter:visible")).to_have_text("8,000 files processed")
    expect(live.locator("#announcer")).to_have_text("alpha: indexing complete, 8,000 files processed")


def test_a_failure_shows_its_reason_and_remedy_until_the_next_job(live: Page, gateway) -> None:
    alpha = gateway.make_project("alpha")
    lease, job = gateway.begin(alpha)
    expect(card(live, alpha).locator(".badge")).to_have_text("Indexing…")
    error = AttemptsExhausted(5, "lexical", "src/poison.py").body()
    gateway.queue.finish(lease, job, JobStatus.FAILED, reading(10, 20), error)
    for place in (card(live, alpha), job_row(live, job)):
        expect(place.locator(".badge")).to_have_text("Failed")
        expect(place.locator(".message")).to_have_text(error.message)
        expect(place.locator(".remedy")).to_have_text(error.remedy)
    gateway.leases.release(lease)
    gateway.request(alpha)
    expect(card(live, alpha).locator(".badge")).to_have_text("Queued")
    expect(card(live, alpha).locator(".problem")).to_be_hidden()
    expect(job_row(live, job).locator(".message")).to_have_text(error.message)


def test_a_job_that_waits_does_not_hide_the_one_that_runs(live: Page, gateway) -> None:
    alpha = gateway.make_project("alpha")
    lease, job = gateway.begin(alpha)
    expect(card(live, alpha).locator(".badge")).to_have_text("Indexing…")
    gateway.request(alpha)
    expect(live.locator("#jobs > tr")).to_have_count(2)
    expect(live.locator("#jobs .badge")).to_have_text(["Waiting", "Running"])
    expect(card(live, alpha).locator(".badge")).to_have_text("Indexing…")
    gateway.queue.finish(lease, job, JobStatus.COMPLETED, reading(1, 1))
    expect(card(live, alpha).locator(".badge")).to_have_text("Queued")


class _Hands:
    """Runs a pass to its end and tells of its progress."""

    def __init__(self, queue: JobQueue, job: Job) -> None:
        self._queue, self._job = queue, job

    def check(self) -> None: ...

    def pause(self, seconds: float) -> None: ...

    def reached(self, step: Step) -> None: ...

    def report(self, progress: Progress) -> None:
        self._queue.progress(self._job, progress)


class _NoVectors:
    """Stands for a Chroma that took the vectors and is away when it is asked."""

    def ensure(self, _name: str, _expected: int = 0) -> bool:
        return True

    def slots(self, _name: str) -> set[int]:
        return set()

    def count(self, _name: str) -> int:
        return 1_000_000

    def upsert(self, *_: object) -> None: ...


@pytest.fixture
def indexed(gateway) -> Project:
    """Project alpha with three files in its index, one of them with a hostile name and text."""
    folder = gateway.sources("alpha")
    (folder / "leases.py").write_text("def acquire_lease(owner):\n    return 'granted', owner\n")
    (folder / f"{HOSTILE}.py").write_text(f"def hostile_lease():\n    return '''{HOSTILE}'''\n")
    (folder / "notes.md").write_text("# Notes\n\nNothing about that.\n")
    return index(gateway, gateway.make_project("alpha", folder))


def index(gateway, project: Project) -> Project:
    """Carries out its job that waits."""
    lease, job = gateway.begin(project)
    tools = PassTools(
        dirty=gateway.dirty,
        vectors=_NoVectors(),  # type: ignore[arg-type]
        embedder=StaticEmbedder(),  # the gateway's own: it answers by vectors, or says that the store is away
        limits=Limits(),
        helpers=0,
        now=lambda: datetime.now(UTC),
    )
    folder = gateway.settings.folder.project(project.id)
    folder.path.mkdir(parents=True, exist_ok=True)
    with open_index(folder, project.id) as opened:
        progress = run_pass(project, job, opened, tools, _Hands(gateway.queue, job))
    gateway.queue.finish(lease, job, JobStatus.COMPLETED, progress)
    gateway.leases.release(lease)
    return project


def test_coverage_is_read_again_once_when_a_job_has_ended(live: Page, gateway, request: pytest.FixtureRequest) -> None:
    asked: list[str] = []
    live.on("request", lambda made: asked.append(made.url))
    alpha = request.getfixturevalue("indexed")
    shown = card(live, alpha)
    expect(shown.locator(".badge")).to_have_text("Up to date")
    expect(shown.locator("[data-text=lexical_text]")).to_have_text("100%")
    expect(shown.locator("[data-value=vectors]")).to_have_js_property("value", 100)
    expect(shown.locator("[data-text=files]")).to_have_text("3")
    expect(shown.locator("[data-time=reconciled]")).to_have_text(re.compile(r"\d"))
    asked.clear()
    lease, job = gateway.begin(_requested(gateway, alpha))
    expect(shown.locator(".badge")).to_have_text("Indexing…")
    gateway.dirty.add(alpha.id, ["leases.py", "notes.md"])
    gateway.queue.cancel(job.id, stands_in=False)
    gateway.leases.release(lease)
    expect(shown.locator("[data-text=pending]")).to_have_text("2")
    expect(shown.locator(".badge")).to_have_text("Behind")
    assert [url.removeprefix(gateway.url) for url in asked] == [f"/api/v1/projects/{alpha.id}/status"]


def _requested(gateway, project: Project) -> Project:
    gateway.request(project)
    return project


def test_the_search_box_shows_results_with_how_far_to_trust_them(live: Page, gateway, indexed: Project) -> None:
    gateway.dirty.add(indexed.id, ["notes.md"])
    (gateway.settings.roots[0] / "alpha" / "leases.py").write_text("# all new\n")
    live.reload()
    live.get_by_label("Question").fill("acquire_lease")
    live.get_by_role("button", name="Search").click()
    first = live.locator("#results > li").first
    expect(first.locator(".where > :first-child")).to_have_text("leases.py:1-2")
    expect(first.locator(".symbol")).to_have_text("acquire_lease")
    expect(first.locator("pre")).to_contain_text("return 'granted', owner")
    expect(first.locator(".score")).to_have_text(re.compile(r"^[01]\.\d\d$"))
    expect(first.get_by_text("changed on disk since")).to_be_visible()
    header = live.locator("#answer-header")
    expect(header).to_contain_text("100% lexical, 100% vectors")
    expect(header).to_contain_text("1 change pending")
    expect(header.get_by_text("partial")).to_be_visible()
    expect(live.locator("#answer-problem")).to_contain_text("vector store")


def test_a_search_that_the_server_refuses_shows_why(live: Page, console, indexed: Project) -> None:
    live.locator(f"#search-project option[value='{indexed.id}']").wait_for(state="attached")
    live.get_by_label("Question").fill("   ")
    live.keyboard.press("Enter")
    expect(live.locator("#answer-problem")).to_contain_text("it is empty")
    expect(live.locator("#results > li")).to_have_count(0)
    console.forgive("422")  # browsers report every refused request


def test_names_paths_and_texts_are_never_taken_for_html(live: Page, gateway, indexed: Project) -> None:
    gateway.request(indexed)
    lease, job = gateway.begin(indexed)
    gateway.queue.progress(job, reading(1, 2, last_file=HOSTILE))
    expect(job_row(live, job).locator(".last")).to_have_text(HOSTILE)
    failed = reading(1, 2, with_errors=True, failures=[FileFailure(path=HOSTILE, reason="unreadable")])
    failed.files.failed = 1
    gateway.queue.finish(lease, job, JobStatus.COMPLETED, failed)
    expect(job_row(live, job).locator(".message")).to_have_text(f"1 file failed: {HOSTILE} (unreadable)")
    live.get_by_label("Question").fill("hostile_lease")
    live.keyboard.press("Enter")
    expect(live.locator("#results .where").first).to_contain_text(HOSTILE)
    expect(live.locator("#results pre").first).to_contain_text(HOSTILE)
    live.reload()
    expect(job_row(live, job).locator(".message")).to_contain_text(HOSTILE)
    assert live.locator("img").count() == 0
    assert live.title() == "Muniment"


def test_after_a_restart_of_the_server_the_page_catches_up(live: Page, gateway, console) -> None:
    alpha = gateway.make_project("alpha")
    expect(card(live, alpha).locator(".badge")).to_have_text("Queued")
    gateway.stop()
    try:
        expect(live.locator("#stream")).to_have_text("offline")
        beta = gateway.make_project("beta")
        lease, job = gateway.begin(alpha)
    finally:
        gateway.start()
    expect(live.locator("#stream")).to_have_text("live")
    expect(card(live, beta)).to_be_visible()
    expect(card(live, alpha).locator(".badge")).to_have_text("Indexing…")
    gateway.queue.finish(lease, job, JobStatus.COMPLETED, reading(5, 5))
    expect(job_row(live, job).locator(".badge")).to_have_text("Completed")
    console.forgive("net::ERR_")  # browsers report every connection that is refused


def test_a_stream_that_the_browser_gave_up_is_opened_again(page: Page, console) -> None:
    refusals = iter([True])

    def once(route: Route) -> None:
        if next(refusals, False):
            route.fulfill(status=502, body="no server behind this proxy")
        else:
            route.continue_()

    page.route("**/api/v1/events", once)
    page.goto("/")
    expect(page.locator("#stream")).to_have_text("offline")
    expect(page.locator("#stream")).to_have_text("live")
    console.forgive("502")


def test_a_tab_that_nobody_sees_holds_no_connection(live: Page, gateway) -> None:
    see = """seen => {
        Object.defineProperty(document, "hidden", {value: !seen, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with live.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
        live.evaluate(see, False)
    alpha = gateway.make_project("alpha")
    live.evaluate(see, True)
    expect(card(live, alpha)).to_be_visible()


def test_nothing_sticks_out_on_a_phone(live: Page, gateway, indexed: Project) -> None:
    gateway.request(indexed)
    _, job = gateway.begin(indexed)
    gateway.queue.progress(job, reading(1, 2, rate=310.4, eta_seconds=84.0, last_file="a_long_name" * 20))
    expect(job_row(live, job).locator(".last")).to_be_visible()
    live.set_viewport_size({"width": 360, "height": 640})
    live.get_by_label("Question").fill("lease")
    live.keyboard.press("Enter")
    expect(live.locator("#results > li").first).to_be_visible()
    assert live.evaluate("document.documentElement.scrollWidth") == 360


def test_a_project_of_which_nothing_was_indexed_says_why(live: Page, gateway) -> None:
    shown = card(live, index(gateway, gateway.make_project("hollow")))
    expect(shown.locator(".badge")).to_have_text("Nothing indexed")
    expect(shown.locator(".message:visible")).to_contain_text("Nothing is indexed: ")
    expect(shown.locator(".remedy:visible")).to_be_visible()


def test_the_server_and_the_script_write_the_same(live: Page, browser: Browser, gateway, indexed: Project) -> None:
    for name in ("running", "estimated", "failing", "paths", "paused", "resting"):
        gateway.make_project(name)
    index(gateway, gateway.make_project("hollow"))
    _, running = gateway.begin(gateway.projects.get("running"))
    gateway.queue.progress(running, reading(1, 3, rate=2.5, eta_seconds=4000.0, last_file="x.py"))
    _, estimated = gateway.begin(gateway.projects.get("estimated"))
    gateway.queue.progress(estimated, reading(0, 3), 4000.0)
    lease, failing = gateway.begin(gateway.projects.get("failing"))
    error = AttemptsExhausted(5, "scan", "?").body()
    gateway.queue.finish(lease, failing, JobStatus.FAILED, reading(2, 3), error)
    gateway.leases.release(lease)
    failures = [FileFailure(path=f"{number}.py", reason="unreadable") for number in range(5)]
    lease, partly = gateway.begin(gateway.projects.get("paths"))
    counts = FileCounts(total=1005, done=1000, failed=5)
    progress = Progress(phase=Phase.FINISH, files=counts, failures=failures, with_errors=True)
    gateway.queue.finish(lease, partly, JobStatus.COMPLETED, progress)
    gateway.leases.release(lease)
    for _ in range(2):
        gateway.request(gateway.projects.get("running"))
    lease, paused = gateway.begin(gateway.projects.get("paused"))
    gateway.queue.progress(paused, reading(1, 3))
    gateway.queue.pause(paused.id)
    gateway.leases.release(lease)
    lease, resting = gateway.begin(gateway.projects.get("resting"))
    gateway.queue.try_later(lease, resting, error, reading(2, 3), 240.0)
    gateway.leases.release(lease)
    gateway.request(indexed)
    live.evaluate("document.querySelectorAll('#projects, #jobs').forEach(box => box.replaceChildren())")
    live.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(live.locator("#jobs > tr")).to_have_count(10)
    without = browser.new_context(
        java_script_enabled=False, base_url=gateway.url, storage_state=live.context.storage_state()
    )
    still = without.new_page()
    still.goto("/")
    expect(live.locator("#projects [data-text=files]").filter(has_text="–")).to_have_count(0)  # noqa: RUF001
    expect(still.locator(".controls:visible")).to_have_count(0)  # they need the script
    assert _shown(live) == _shown(still)
    without.close()


def _shown(page: Page) -> list[dict[str, str]]:
    """All that the views fill in but for the times, which the script shows in the reader's own zone."""
    marked = page.locator("#projects, #jobs").locator(
        "[data-text], [data-value], [data-show], [data-hide], [data-tone], [data-job], [aria-label]"
    )
    seen: list[dict[str, str]] = marked.evaluate_all("""all => all.map(one => ({
        ...one.dataset, hidden: one.hidden, label: one.ariaLabel, value: one.value ?? null,
        text: "text" in one.dataset ? one.textContent : "",
    }))""")
    return seen
