"""What is told of all that happens, in which words, how seldom, and what of a URL may be seen."""

import io
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muniment.errors import ErrorBody, InvalidValue, MunimentError, ReceiverRefused
from muniment.events import Event, EventType
from muniment.jobs import FileCounts, FileFailure, Job, JobKind, JobStatus
from muniment.notices import MEANING, USUAL, NoticeKind, checked, kinds_of, masked, notice_kind, receiver_kind
from muniment.notifying.audience import Audience
from muniment.notifying.deliveries import LINE_LENGTH, LONGEST_PAUSE, PAUSES
from muniment.notifying.message import message_of, trial_message
from muniment.notifying.receiver import scrubbed
from muniment.notifying.receivers import Console, receiver_for
from muniment.notifying.store import Choice, ChosenReceiver
from muniment.notifying.throttle import LIMITS, WINDOW_SECONDS, Throttle
from muniment.notifying.webhook import Webhook, body_of
from muniment.settings import read

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
HOOK = "https://hooks.example.org/services/T0P/SECRET"


def job(**fields: object) -> Job:
    given = {
        "id": "0123456789abcdef", "project": "alpha", "project_id": "alpha-aaaaaa", "kind": JobKind.RECONCILE,
        "status": JobStatus.RUNNING, "created_at": NOW, "started_at": NOW, **fields,
    }  # fmt: skip
    return Job.model_validate(given)


def event(kind: EventType, /, **fields: object) -> Event:
    shown = job(**fields)
    return Event(
        id="1-0",
        type=kind,
        at=NOW,
        project="alpha",
        project_id="alpha-aaaaaa",
        job_id=shown.id,
        data={"job": shown.model_dump(mode="json")},
    )


# --- what is told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (EventType.INDEX_STARTED, NoticeKind.STARTED),
        (EventType.INDEX_MILESTONE, NoticeKind.MILESTONE),
        (EventType.INDEX_COMPLETE, NoticeKind.COMPLETE),
        (EventType.INDEX_FAILED, NoticeKind.FAILED),
        (EventType.INDEX_CANCELLED, NoticeKind.CANCELLED),
        (EventType.INDEX_PAUSED, None),
        (EventType.INDEX_PROGRESS, None),
        (EventType.JOB_QUEUED, None),
        (EventType.MEMORY_STORED, None),
    ],
)
def test_a_job_is_told_at_its_start_its_quarters_and_its_end(kind: EventType, told: NoticeKind | None) -> None:
    assert notice_kind(event(kind)) == told


def test_of_standing_updates_only_a_failure_is_told() -> None:
    standing = {"kind": JobKind.UPDATE, "paths": []}
    told = {kind for kind in EventType if kind.value.startswith("index_") and notice_kind(event(kind, **standing))}
    assert told == {EventType.INDEX_FAILED}


def test_an_update_of_given_paths_is_told() -> None:
    asked = event(EventType.INDEX_COMPLETE, kind=JobKind.UPDATE, paths=["src"])
    assert notice_kind(asked) == NoticeKind.COMPLETE


def test_the_last_quarter_is_told_by_the_end_of_the_job_alone() -> None:
    assert notice_kind(event(EventType.INDEX_MILESTONE, percent=75.0)) == NoticeKind.MILESTONE
    assert notice_kind(event(EventType.INDEX_MILESTONE, percent=100.0)) is None


def test_a_job_that_this_version_cannot_read_raises_value_error() -> None:
    with pytest.raises(ValueError):
        notice_kind(Event(type=EventType.INDEX_FAILED, at=NOW, data={"job": {"id": 1}}))


def test_every_kind_has_a_meaning_and_a_limit() -> None:
    assert set(MEANING) == set(LIMITS) == set(NoticeKind)


# --- in which words ---------------------------------------------------------------------------------------------


def test_a_failure_says_why_and_what_to_do() -> None:
    error = ErrorBody(code="disk_full", message="No space left on /data.", remedy="Free some.", retryable=True)
    said = message_of(event(EventType.INDEX_FAILED, percent=41.7, error=error), NoticeKind.FAILED)
    assert said.title == "alpha: indexing failed"
    assert said.text == "The reconcile of alpha failed at 42%.\nNo space left on /data.\nFree some."


def test_a_completion_says_how_much_and_how_long() -> None:
    done = event(
        EventType.INDEX_COMPLETE, finished_at=NOW + timedelta(seconds=301), files=FileCounts(total=1200, done=1200)
    )
    said = message_of(done, NoticeKind.COMPLETE)
    assert (said.title, said.with_errors) == ("alpha: indexed", False)
    assert said.text == "The reconcile of alpha completed in 5 min: 1,200 files."


def test_a_completion_with_errors_names_the_first_files() -> None:
    failures = [FileFailure(path=f"src/{number}.py", reason="unreadable") for number in range(7)]
    done = event(
        EventType.INDEX_COMPLETE, with_errors=True, failures=failures, files=FileCounts(total=9, done=2, failed=7)
    )
    said = message_of(done, NoticeKind.COMPLETE)
    assert said.title == "alpha: indexed with errors"
    assert "7 files could not be indexed:\n- src/0.py: unreadable\n" in said.text
    assert said.text.endswith("- src/4.py: unreadable\n- and 2 more")


def test_a_milestone_says_how_far_it_is() -> None:
    running = event(EventType.INDEX_MILESTONE, percent=50.2, eta_seconds=90.0, files=FileCounts(total=8000, done=4016))
    said = message_of(running, NoticeKind.MILESTONE)
    assert said.title == "alpha: 50% indexed"
    assert said.text == "The reconcile of alpha: 4,016 of 8,000 files, about 90 s left."


@pytest.mark.parametrize("kind", [EventType.INDEX_STARTED, EventType.INDEX_CANCELLED])
def test_a_job_of_some_paths_names_the_first(kind: EventType) -> None:
    told = notice_kind(event(kind))
    assert told is not None
    assert "(src/a.py and 1 more)" in message_of(event(kind, paths=["src/a.py", "lib"]), told).text


def test_a_path_cannot_write_a_line_of_its_own() -> None:
    failures = [FileFailure(path="a\n2025 ERROR \x1b[31mfake", reason="x" * 1000)]
    done = event(EventType.INDEX_COMPLETE, with_errors=True, failures=failures, files=FileCounts(failed=1))
    lines = message_of(done, NoticeKind.COMPLETE).text.split("\n")
    assert lines[2].startswith("- a\ufffd2025 ERROR \ufffd[31mfake: xxx")
    assert len(lines) == 3
    assert len(lines[2]) < 700


def test_what_was_left_out_is_said_with_the_next_message() -> None:
    said = message_of(event(EventType.INDEX_CANCELLED), NoticeKind.CANCELLED)
    more = said.model_copy(update={"left_out": {NoticeKind.FAILED: 2, NoticeKind.COMPLETE: 1200}})
    assert more.full_text.endswith("\nLeft out before this, to keep messages few: 1,200 complete, 2 failed.")
    assert said.full_text == said.text


# --- how seldom -------------------------------------------------------------------------------------------------


def test_more_than_the_limit_in_a_minute_is_left_out_and_counted() -> None:
    throttle = Throttle({**LIMITS, NoticeKind.COMPLETE: 2})
    route = (HOOK, "alpha")
    assert [throttle.admit(route, NoticeKind.COMPLETE, now) for now in (0.0, 1.0, 2.0, 3.0)] == [{}, {}, None, None]
    assert throttle.admit(route, NoticeKind.COMPLETE, WINDOW_SECONDS) == {NoticeKind.COMPLETE: 2}
    assert throttle.admit(route, NoticeKind.COMPLETE, WINDOW_SECONDS + 2) == {}


def test_a_storm_of_completions_hides_no_failure() -> None:
    throttle = Throttle({**LIMITS, NoticeKind.COMPLETE: 1})
    route = (HOOK, "alpha")
    for now in range(5):
        throttle.admit(route, NoticeKind.COMPLETE, float(now))
    assert throttle.admit(route, NoticeKind.FAILED, 5.0) == {NoticeKind.COMPLETE: 4}


def test_receivers_and_projects_are_counted_apart() -> None:
    throttle = Throttle(dict.fromkeys(NoticeKind, 1))
    for route in ((HOOK, "alpha"), (HOOK, "beta"), ("ntfy://x", "alpha")):
        assert throttle.admit(route, NoticeKind.FAILED, 0.0) == {}
        assert throttle.admit(route, NoticeKind.FAILED, 0.0) is None


def test_routes_that_are_quiet_are_forgotten() -> None:
    throttle = Throttle()
    for number in range(100):
        throttle.admit((HOOK, str(number)), NoticeKind.FAILED, 0.0)
    throttle.admit((HOOK, "last"), NoticeKind.FAILED, WINDOW_SECONDS + 1)
    assert len(throttle._told) == 1


# --- to whom ----------------------------------------------------------------------------------------------------


def test_the_projects_receivers_hear_besides_the_servers_and_each_once() -> None:
    audience = Audience(["console://", HOOK], USUAL)
    chosen = Choice(receivers=[ChosenReceiver(id="1", url=HOOK), ChosenReceiver(id="2", url="ntfy://x")])
    assert audience.of(NoticeKind.FAILED, chosen) == ["console://", HOOK, "ntfy://x"]
    assert audience.of(NoticeKind.STARTED, chosen) == []


def test_a_project_chooses_what_its_own_receivers_hear() -> None:
    audience = Audience(["console://"], USUAL)
    chosen = Choice(receivers=[ChosenReceiver(id="1", url=HOOK)], on=[NoticeKind.STARTED])
    assert audience.of(NoticeKind.STARTED, chosen) == [HOOK]
    assert audience.of(NoticeKind.COMPLETE, chosen) == ["console://"]


# --- what of a URL may be seen ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (HOOK, "https://hooks.example.org/***"),
        ("https://user:secret@hooks.example.org:8443/x?key=secret", "https://hooks.example.org:8443/***"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
        ("http://[::1]:9000/secret", "http://[::1]:9000/***"),
        ("mailto://user:secret@example.org?to=secret", "mailto://example.org/***"),
        ("slack://TokenA/TokenB/TokenC/#general", "slack://***"),
        ("tgram://123:secret/456", "tgram://***"),
        ("ntfy://secret", "ntfy://***"),
        ("console://", "console://"),
        ("http://[secret", "http://***"),
        ("https://sec%72et@%73ecret/x", "https://***"),
        ("secret", "***"),
        ("se cret://x", "***"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_a_receiver_is_counted_by_its_scheme_and_webhooks_together() -> None:
    assert [receiver_kind(url) for url in (HOOK, "HTTP://x", "Slack://a/b/c", "console://")] == [
        "webhook", "webhook", "slack", "console",
    ]  # fmt: skip


def test_the_words_of_a_service_are_shown_without_parts_of_its_url() -> None:
    url = "json://user:hunter2@host.example/secret-path/?x=TOKEN"
    assert scrubbed("no way to host.example/secret-path for hunter2\nTOKEN", url) == (
        "no way to ***/*** for ***\ufffd***"
    )


@pytest.mark.parametrize(
    "url",
    [
        "secret", "https://", "https://:80/x", "nope://topsecret", "slack://topsecret", "tgram://topsecret",
        "http://host/a b", "http://host/\x00", "http://[topsecret", "https://host/" + "topsecret" * 300,
    ],
)  # fmt: skip
def test_a_url_that_reaches_nobody_is_refused_with_its_secrets_masked(url: str) -> None:
    with pytest.raises(ReceiverRefused) as refused:
        receiver_for(url, "urls", None)
    assert "topsecret" not in str(refused.value)
    assert "urls" in refused.value.text


def test_what_a_refused_url_holds_is_not_logged() -> None:
    # not caplog: it listens to loggers that tell nobody, too
    handler = logging.StreamHandler(io.StringIO())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        for url in ("nope://topsecret", "slack://topsecret", "discord://topsecret/"):
            with pytest.raises(ReceiverRefused):
                receiver_for(url, "urls", None)
        logging.getLogger("muniment").error("it listens")
    finally:
        root.removeHandler(handler)
    heard = handler.stream.getvalue()
    assert "it listens" in heard
    assert "topsecret" not in heard


@pytest.mark.parametrize(
    "url",
    [
        "workflows://host/workflow/signature?template=/etc/passwd",
        "workflows://host/workflow/signature?TEMPLATE=/etc/passwd",
        "workflows://host/workflow/signature?%74emplate=/etc/passwd",
        "mailto://user:pw@example.org?pgppub=/etc/passwd",
        "fcm://project/device?keyfile=/etc/passwd&mode=oauth2",
    ],
)
def test_a_projects_receiver_reads_no_file_of_the_server(url: str) -> None:
    with pytest.raises(ReceiverRefused, match="file of the server"):
        receiver_for(url, "urls", None)


def test_the_operators_receiver_may_read_a_file_of_the_server(tmp_path: Path) -> None:
    url = f"workflows://host/workflow/signature?template={tmp_path}/card.json"
    assert receiver_for(url, "MUNIMENT_NOTIFY", None, may_read_files=True)


def test_each_url_becomes_its_own_receiver() -> None:
    assert isinstance(receiver_for(HOOK, "urls", None), Webhook)
    assert isinstance(receiver_for("HTTP://localhost", "urls", None), Webhook)
    assert isinstance(receiver_for("console://", "urls", None), Console)
    assert checked("urls", f"  {HOOK} ") == HOOK


def test_the_body_of_a_webhook_holds_the_event_and_the_words() -> None:
    said = message_of(event(EventType.INDEX_FAILED), NoticeKind.FAILED)
    body = body_of(said).decode()
    assert '"kind":"failed"' in body
    assert '"type":"index_failed"' in body
    assert '"kind":null' in body_of(trial_message("alpha")).decode()


def test_the_page_on_notifications_says_what_the_code_does() -> None:
    page = (Path(__file__).parents[2] / "docs/notifications.md").read_text(encoding="utf-8")
    for kind in NoticeKind:
        assert f"| `{kind}` | {'yes' if kind in USUAL else 'no'} | {MEANING[kind]} |" in page
    assert LIMITS == {
        NoticeKind.FAILED: 10,
        NoticeKind.COMPLETE: 6,
        NoticeKind.CANCELLED: 6,
        NoticeKind.STARTED: 4,
        NoticeKind.MILESTONE: 4,
    }
    words = " ".join(page.split())
    for said in (
        "10 times that a job failed, 6 times each that one completed or was cancelled, 4 times each",
        "three times, after 1 s and 5 s",
        f"`Retry-After`, up to {LONGEST_PAUSE:.0f} s",
        f"At most {LINE_LENGTH} messages wait for one receiver",
    ):
        assert said in words
    assert PAUSES == (1.0, 5.0)


# --- settings ---------------------------------------------------------------------------------------------------


def test_urls_are_separated_by_spaces_because_they_may_hold_commas() -> None:
    settings = read(notify="ntfy://a,b  https://c.example/x\nconsole://")
    assert settings.notify_urls == ["console://", "ntfy://a,b", "https://c.example/x"]
    assert read(notify_console=False).notify_urls == []


def test_what_is_told_by_default_is_all_but_starts() -> None:
    assert read().notify_kinds == USUAL == frozenset(NoticeKind) - {NoticeKind.STARTED}
    assert read(notify_on="failed, started").notify_kinds == {NoticeKind.FAILED, NoticeKind.STARTED}
    assert kinds_of("") == frozenset()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MUNIMENT_NOTIFY", "topsecret"),
        ("MUNIMENT_NOTIFY", "https:///topsecret"),
        ("MUNIMENT_NOTIFY", "http://[topsecret"),
        ("MUNIMENT_NOTIFY_ON", "failed,sometimes"),
        ("MUNIMENT_NOTIFY_SECRET", "topsecret"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_and_masked(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(MunimentError, match=variable) as refused:
        read()
    assert "topsecret" not in str(refused.value)
    assert isinstance(refused.value, InvalidValue | ReceiverRefused)


def test_secrets_are_not_shown_with_the_settings() -> None:
    settings = read(notify="https://h.example/topsecret", notify_secret="topsecret-topsecret")
    assert "topsecret" not in repr(settings)
