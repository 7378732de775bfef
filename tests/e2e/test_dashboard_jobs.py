"""Pausing, resuming, cancelling and retrying jobs on the dashboard, in a real browser."""

import re

import pytest
from dashboard_page import card, job_row, reading
from playwright.sync_api import Locator, Page, Route, expect

from muniment.errors import AttemptsExhausted, ChromaUnavailable, ErrorBody
from muniment.jobs import Job, JobKind, JobRequest, JobStatus
from muniment.leases import Lease
from muniment.project import Project

AWAY: ErrorBody = ChromaUnavailable("http://127.0.0.1:8000", "connection refused").body()


def button(place: Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name, exact=True)


def buttons(place: Locator) -> Locator:
    return place.locator(".controls button:visible")


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Cancel this job?")


@pytest.fixture
def alpha(gateway) -> Project:
    project: Project = gateway.make_project("alpha")
    return project


@pytest.fixture
def running(gateway, alpha: Project, live: Page) -> tuple[Lease, Job]:
    """A job of alpha that has read a half, on the page."""
    lease, job = gateway.begin(alpha)
    gateway.queue.progress(job, reading(1000, 2000, rate=310.4, eta_seconds=84.0, last_file="src/a.py"))
    expect(job_row(live, job).locator(".badge")).to_have_text("Running")
    expect(job_row(live, job).locator(".pace")).to_contain_text("15%")
    return lease, job


def test_the_buttons_are_those_that_the_jobs_state_allows(live: Page, gateway, alpha: Project) -> None:
    (waiting,) = gateway.queue.waiting(alpha.id)
    row = job_row(live, waiting)
    expect(buttons(row)).to_have_text(["Pause", "Cancel"])
    expect(card(live, alpha).locator(".controls")).to_be_hidden()
    lease, job = gateway.begin(alpha)
    expect(row.locator(".badge")).to_have_text("Running")
    expect(buttons(row)).to_have_text(["Pause", "Cancel"])
    gateway.queue.pause(job.id)
    expect(buttons(row)).to_have_text(["Resume", "Cancel"])
    expect(buttons(card(live, alpha))).to_have_text(["Resume"])
    gateway.leases.release(lease)
    gateway.queue.resume(job.id)
    expect(buttons(row)).to_have_text(["Pause", "Cancel"])
    gateway.queue.cancel(job.id)
    expect(buttons(row)).to_have_text(["Retry"])
    gateway.request(alpha)
    lease, job = gateway.begin(alpha)
    gateway.queue.finish(lease, job, JobStatus.COMPLETED, reading(1, 1))
    expect(job_row(live, job).locator(".badge")).to_have_text("Completed")
    expect(buttons(job_row(live, job))).to_have_count(0)


def test_a_running_job_is_paused(live: Page, gateway, alpha: Project, running: tuple[Lease, Job]) -> None:
    _, job = running
    button(job_row(live, job), "Pause").click()
    for place in (job_row(live, job), card(live, alpha)):
        expect(place.locator(".badge")).to_have_text("Paused")
        expect(place.locator(".pace")).to_have_text("15%")
        expect(button(place, "Resume")).to_be_visible()
    assert gateway.queue.get(job.id).status == JobStatus.PAUSED
    assert not gateway.queue.is_running(job)
    expect(live.locator("#announcer")).to_have_text("alpha: reconcile paused")


@pytest.mark.parametrize("place", [card, job_row])
def test_a_paused_job_is_resumed_and_runs_again(
    live: Page, gateway, alpha: Project, running: tuple[Lease, Job], place: object
) -> None:
    lease, job = running
    gateway.queue.pause(job.id)
    gateway.leases.release(lease)
    button(card(live, alpha) if place is card else job_row(live, job), "Resume").click()
    expect(card(live, alpha).locator(".badge")).to_have_text("Queued")
    expect(job_row(live, job).locator(".badge")).to_have_text("Queued")
    assert gateway.queue.get(job.id).status == JobStatus.QUEUED
    _, again = gateway.begin(alpha)
    assert again.id == job.id
    expect(card(live, alpha).locator(".badge")).to_have_text("Indexing…")
    gateway.queue.progress(again, reading(1500, 2000))
    expect(job_row(live, job).locator(".pace")).to_contain_text("22.5%")


def test_cancelling_asks_first_and_names_what_would_end(live: Page, gateway, running: tuple[Lease, Job]) -> None:
    _, job = running
    button(job_row(live, job), "Cancel").click()
    expect(dialog(live)).to_contain_text("alpha: the reconcile is at 15%.")
    expect(button(dialog(live), "Keep the job")).to_be_focused()
    button(dialog(live), "Cancel the job").click()
    expect(dialog(live)).to_be_hidden()
    expect(job_row(live, job).locator(".badge")).to_have_text("Cancelled")
    expect(button(job_row(live, job), "Retry")).to_be_visible()
    assert gateway.queue.get(job.id).status == JobStatus.CANCELLED


def test_who_backs_out_of_cancelling_changes_nothing(live: Page, gateway, running: tuple[Lease, Job]) -> None:
    _, job = running
    posted: list[str] = []
    live.on("request", lambda made: posted.append(made.url) if made.method == "POST" else None)
    opener = button(job_row(live, job), "Cancel")
    opener.click()
    button(dialog(live), "Keep the job").click()
    expect(dialog(live)).to_be_hidden()
    expect(opener).to_be_focused()
    live.keyboard.press("Enter")
    expect(dialog(live)).to_be_visible()
    live.keyboard.press("Escape")
    expect(dialog(live)).to_be_hidden()
    button(job_row(live, job), "Pause").click()
    expect(job_row(live, job).locator(".badge")).to_have_text("Paused")
    assert posted == [f"{gateway.url}/api/v1/jobs/{job.id}/pause"]


def test_escape_means_no_also_after_a_yes(live: Page, gateway, running: tuple[Lease, Job]) -> None:
    _, job = running
    other = gateway.make_project("other")
    (waiting,) = gateway.queue.waiting(other.id)
    button(job_row(live, waiting), "Cancel").click()
    button(dialog(live), "Cancel the job").click()
    expect(job_row(live, waiting).locator(".badge")).to_have_text("Cancelled")
    button(job_row(live, job), "Cancel").click()
    live.evaluate("document.querySelector('dialog[open]').close()")  # what Escape does in some other browsers
    expect(dialog(live)).to_be_hidden()
    button(job_row(live, job), "Pause").click()
    expect(job_row(live, job).locator(".badge")).to_have_text("Paused")


def test_a_failed_job_is_retried_as_a_new_one(live: Page, gateway, alpha, running: tuple[Lease, Job]) -> None:
    lease, job = running
    gateway.queue.finish(lease, job, JobStatus.FAILED, reading(10, 20), AttemptsExhausted(5, "lexical", "a.py").body())
    gateway.leases.release(lease)
    row = job_row(live, job)
    button(row, "Retry").click()
    expect(row.locator(".done")).to_have_text("Queued again")
    expect(buttons(row)).to_have_count(0)
    expect(live.locator("#jobs > tr")).to_have_count(2)
    (anew,) = gateway.queue.waiting(alpha.id)
    expect(job_row(live, anew).locator(".badge")).to_have_text("Queued")
    expect(card(live, alpha).locator(".badge")).to_have_text("Queued")
    expect(row.locator(".badge")).to_have_text("Failed")


def test_a_refused_move_tells_the_servers_reason_and_remedy(
    live: Page, gateway, console, running: tuple[Lease, Job]
) -> None:
    lease, job = running
    row = job_row(live, job)

    def ended_meanwhile(route: Route) -> None:
        gateway.queue.finish(lease, job, JobStatus.FAILED, reading(10, 20), AWAY)
        route.continue_()

    live.route("**/pause", ended_meanwhile)
    with live.expect_response("**/pause") as refused:
        button(row, "Pause").click()
    reason = refused.value.json()
    assert (refused.value.status, reason["code"]) == (409, "illegal_move")
    expect(row.locator(".refused p").first).to_have_text(f"Not paused: {reason['message']}")
    expect(row.locator(".refused .advice")).to_have_text(reason["remedy"])
    expect(live.locator("#announcer")).to_contain_text("alpha: Not paused: ")
    expect(row.locator(".badge")).to_have_text("Failed")
    button(row, "Retry").click()
    expect(row.locator(".refused")).to_be_hidden()
    expect(row.locator(".done")).to_be_visible()
    console.forgive("409")  # browsers report every refused request


def test_a_server_that_does_not_answer_is_told_and_may_be_asked_again(
    live: Page, console, running: tuple[Lease, Job]
) -> None:
    _, job = running
    row = job_row(live, job)
    live.route("**/pause", lambda route: route.abort(), times=1)
    button(row, "Pause").click()
    expect(row.locator(".refused p").first).to_have_text("Not paused: the server does not answer.")
    expect(button(row, "Pause")).to_be_enabled()
    button(row, "Pause").click()
    expect(row.locator(".badge")).to_have_text("Paused")
    expect(row.locator(".refused")).to_be_hidden()
    console.forgive("net::ERR_FAILED")
    console.forgive("Failed to fetch")


def test_while_a_request_runs_the_jobs_buttons_are_disabled(live: Page, gateway, running: tuple[Lease, Job]) -> None:
    _, job = running
    other = gateway.make_project("other")
    (waiting,) = gateway.queue.waiting(other.id)
    row = job_row(live, job)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    live.route("**/pause", hold)
    button(row, "Pause").dblclick()
    expect(button(row, "Pause")).to_be_disabled()
    expect(button(row, "Cancel")).to_be_disabled()
    expect(button(job_row(live, waiting), "Pause")).to_be_enabled()
    button(row, "Pause").dispatch_event("click")
    button(row, "Cancel").dispatch_event("click")
    expect(dialog(live)).to_be_hidden()
    assert len(held) == 1
    held[0].continue_()
    expect(button(row, "Resume")).to_be_enabled()
    assert len(held) == 1


def test_a_button_waits_until_the_page_knows_its_job(page: Page, gateway, alpha: Project) -> None:
    (waiting,) = gateway.queue.waiting(alpha.id)
    row = job_row(page, waiting)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/queues", hold, times=1)
    page.goto("/")
    expect(page.locator("#stream")).to_have_text("live")
    expect(button(row, "Pause")).to_be_disabled()
    with page.expect_response(re.compile("/projects/later-[^/]*/status")):
        later = gateway.make_project("later")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(row).to_be_visible(timeout=1)  # that event took nothing away
    held[0].continue_()
    expect(card(page, later)).to_be_visible()
    button(row, "Pause").click()
    expect(row.locator(".badge")).to_have_text("Paused")


def test_the_keyboard_keeps_its_place(live: Page, gateway, running: tuple[Lease, Job]) -> None:
    _, job = running
    row = job_row(live, job)
    button(row, "Pause").focus()
    live.keyboard.press("Enter")
    expect(button(row, "Resume")).to_be_visible()
    expect(row).to_be_focused()
    live.keyboard.press("Tab")
    expect(button(row, "Resume")).to_be_focused()
    gateway.make_project("newer")
    expect(live.locator("#jobs > tr")).to_have_count(2)
    expect(button(row, "Resume")).to_be_focused()
    expect(row.get_by_role("group", name="reconcile of alpha")).to_be_visible()


def test_a_report_that_comes_after_a_pause_does_not_revive_the_job(
    live: Page, gateway, alpha: Project, running: tuple[Lease, Job]
) -> None:
    _, job = running
    gateway.queue.pause(job.id)
    expect(job_row(live, job).locator(".badge")).to_have_text("Paused")
    gateway.queue.milestone(job, reading(1900, 2000))  # the pass had asked just before
    gateway.make_project("later")
    expect(live.locator("#projects h3")).to_have_text(["alpha", "later"])
    expect(job_row(live, job).locator(".badge")).to_have_text("Paused")
    expect(card(live, alpha).locator(".badge")).to_have_text("Paused")


def test_a_milestone_is_progress(live: Page, gateway, running: tuple[Lease, Job]) -> None:
    _, job = running
    gateway.queue.milestone(job, reading(1800, 2000))
    expect(job_row(live, job).locator(".counter:visible")).to_have_text("1,800 of 2,000 files processed")
    expect(live.locator("#announcer")).to_have_text("alpha: 25 percent, 1,800 files processed")


def test_who_waited_for_a_paused_job_waits_for_it_no_more(
    live: Page, gateway, alpha: Project, running: tuple[Lease, Job]
) -> None:
    lease, job = running
    gateway.request(alpha)
    (behind,) = gateway.queue.waiting(alpha.id)
    row = job_row(live, behind)
    expect(row.locator(".counter:visible")).to_have_text("Waits for the job before it")
    gateway.queue.pause(job.id)
    expect(row.locator(".counter:visible")).to_have_text("Waits for a worker")
    expect(card(live, alpha).locator(".badge")).to_have_text("Queued")
    gateway.leases.release(lease)
    gateway.queue.resume(job.id)
    gateway.begin(alpha)
    expect(job_row(live, job).locator(".badge")).to_have_text("Running")
    expect(row.locator(".counter:visible")).to_have_text("Waits for the job before it")
    expect(card(live, alpha).locator(".badge")).to_have_text("Indexing…")


def test_a_paused_job_stands_for_its_project_only_while_nothing_else_does(
    live: Page, gateway, alpha: Project, running: tuple[Lease, Job]
) -> None:
    lease, job = running
    gateway.queue.pause(job.id)
    gateway.leases.release(lease)
    shown = card(live, alpha)
    expect(shown.locator(".badge")).to_have_text("Paused")
    gateway.queue.request(alpha, JobRequest(kind=JobKind.UPDATE))
    expect(shown.locator(".badge")).to_have_text("Queued")
    lease, update = gateway.begin(alpha)
    expect(shown.locator(".badge")).to_have_text("Indexing…")
    gateway.queue.finish(lease, update, JobStatus.COMPLETED, reading(1, 1))
    expect(shown.locator(".badge")).to_have_text("Paused")
    expect(button(shown, "Resume")).to_be_visible()


def test_a_job_that_is_tried_again_later_says_when_and_why(
    live: Page, gateway, alpha: Project, running: tuple[Lease, Job]
) -> None:
    lease, job = running
    gateway.queue.try_later(lease, job, AWAY, reading(1000, 2000), 240.0)
    known = gateway.queue.get(job.id)
    assert known.retry_at is not None
    when = live.evaluate(
        "at => new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit'}).format(new Date(at))",
        known.retry_at.isoformat(),
    )
    for place in (job_row(live, job), card(live, alpha)):
        expect(place.locator(".badge")).to_have_text("Waiting")
        expect(place.locator(".problem:visible")).to_contain_text(f"Tries again at {when}: {AWAY.message}")
        expect(place.locator(".remedy:visible")).to_have_text(AWAY.remedy)
    expect(job_row(live, job).locator(".retries")).to_have_text("Tried again 1 time")
    expect(buttons(job_row(live, job))).to_have_text(["Pause", "Cancel"])


def test_a_paused_job_that_is_older_than_the_table_is_still_there_to_resume(
    live: Page, gateway, alpha: Project, running: tuple[Lease, Job]
) -> None:
    lease, job = running
    gateway.queue.pause(job.id)
    gateway.leases.release(lease)
    for _ in range(21):
        gateway.queue.cancel(gateway.queue.request(alpha, JobRequest(kind=JobKind.UPDATE)).job_id)
    gateway.request(alpha)
    live.reload()
    expect(live.locator("#stream")).to_have_text("live")
    button(job_row(live, job), "Resume").click()
    expect(job_row(live, job).locator(".badge")).to_have_text("Queued")


def test_nothing_of_the_controls_sticks_out_on_a_phone(
    live: Page, gateway, alpha: Project, running: tuple[Lease, Job]
) -> None:
    _, job = running
    gateway.queue.pause(job.id)
    live.set_viewport_size({"width": 360, "height": 640})
    expect(button(card(live, alpha), "Resume")).to_be_visible()
    button(job_row(live, job), "Cancel").click()
    expect(dialog(live)).to_be_visible()
    assert live.evaluate("document.documentElement.scrollWidth") == 360
    box = dialog(live).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
