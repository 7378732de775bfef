"""How messages are sent: each receiver in its own line, a few tries, counted; and what a webhook receives."""

import asyncio
import hmac
import threading
from collections.abc import Callable
from hashlib import sha256

import httpx
import pytest

from muniment.errors import ReceiverRefused
from muniment.notices import NoticeKind
from muniment.notifying.apprise_receiver import AppriseReceiver
from muniment.notifying.deliveries import Deliveries, KindCounts
from muniment.notifying.message import Message, trial_message
from muniment.notifying.receiver import NotDelivered, Receiver
from muniment.notifying.webhook import Webhook, signature

HOOK = "https://hooks.example.org/secret"
OTHER = "https://other.example.org/secret"


def message(number: int = 0) -> Message:
    return Message(delivery=str(number), kind=NoticeKind.FAILED, title=f"message {number}", text="It failed.")


class Recorder:
    """A receiver that does ``behave`` and keeps what it was sent."""

    def __init__(self, behave: Callable[[Message], object] = lambda _: None) -> None:
        self.got: list[str] = []
        self._behave = behave

    async def send(self, told: Message) -> None:
        self.got.append(told.delivery)
        result = self._behave(told)
        if asyncio.iscoroutine(result):
            await result


def refusing(*, retryable: bool, retry_after: float | None = None) -> Callable[[Message], object]:
    def refuse(_: Message) -> object:
        raise NotDelivered("status 500", retryable=retryable, retry_after=retry_after)

    return refuse


def counts(deliveries: Deliveries) -> KindCounts:
    (found,) = deliveries.counts()
    return found


async def settled(deliveries: Deliveries) -> None:
    await deliveries.close(10)


async def test_what_is_sent_is_counted_and_done() -> None:
    receiver, done = Recorder(), []
    deliveries = Deliveries(lambda _: receiver)
    for number in range(3):
        deliveries.offer(HOOK, message(number), lambda number=number: done.append(number))
    assert counts(deliveries).waiting == 3
    await settled(deliveries)
    assert (receiver.got, done) == (["0", "1", "2"], [0, 1, 2])
    assert counts(deliveries) == KindCounts(kind="webhook", sent=3)


async def test_a_failing_receiver_is_tried_three_times_and_then_counted() -> None:
    receiver, done = Recorder(refusing(retryable=True)), []
    deliveries = Deliveries(lambda _: receiver, pauses=(0, 0))
    deliveries.offer(HOOK, message(), lambda: done.append(1))
    await settled(deliveries)
    assert (receiver.got, done) == (["0"] * 3, [1])
    found = counts(deliveries)
    assert (found.failed, found.sent, found.retried, found.waiting) == (1, 0, 2, 0)
    assert found.last_error == "https://hooks.example.org/***: status 500"


async def test_what_will_not_become_better_is_not_tried_again() -> None:
    receiver = Recorder(refusing(retryable=False))
    deliveries = Deliveries(lambda _: receiver)
    deliveries.offer(HOOK, message(), lambda: None)
    await settled(deliveries)
    assert (receiver.got, counts(deliveries).failed) == (["0"], 1)


async def test_a_receiver_that_asks_for_a_pause_gets_it_but_no_longer_than_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("muniment.notifying.deliveries.asyncio.sleep", sleep)
    for asked in (None, 8.0, 3600.0):
        deliveries = Deliveries(lambda _, asked=asked: Recorder(refusing(retryable=True, retry_after=asked)))
        deliveries.offer(HOOK, message(), lambda: None)
        await settled(deliveries)
    assert slept == [1.0, 5.0, 8.0, 8.0, 30.0, 30.0]


async def test_a_receiver_that_hangs_keeps_no_other_waiting() -> None:
    released = asyncio.Event()
    hanging, other = Recorder(lambda _: released.wait()), Recorder()
    receivers: dict[str, Receiver] = {HOOK: hanging, OTHER: other}
    deliveries = Deliveries(receivers.__getitem__)
    heard = asyncio.Event()
    deliveries.offer(HOOK, message(1), lambda: None)
    deliveries.offer(OTHER, message(2), heard.set)
    await asyncio.wait_for(heard.wait(), 10)
    assert other.got == ["2"]
    assert counts(deliveries).waiting == 1
    released.set()
    await settled(deliveries)
    assert counts(deliveries).sent == 2


async def test_a_line_that_is_full_loses_its_oldest_message_and_counts_it() -> None:
    released = asyncio.Event()
    receiver, done = Recorder(lambda _: released.wait()), []
    deliveries = Deliveries(lambda _: receiver, length=2)
    for number in range(4):
        deliveries.offer(HOOK, message(number), lambda number=number: done.append(number))
    assert done == [0, 1]
    released.set()
    await settled(deliveries)
    assert receiver.got == ["2", "3"]
    found = counts(deliveries)
    assert (found.sent, found.dropped, found.waiting) == (2, 2, 0)


async def test_a_receiver_that_is_no_longer_known_is_counted() -> None:
    def refuse(_: str) -> Receiver:
        raise ReceiverRefused("urls", "x://***", "no service has this scheme")

    done: list[int] = []
    deliveries = Deliveries(refuse)
    deliveries.offer(HOOK, message(), lambda: done.append(1))
    await settled(deliveries)
    assert (counts(deliveries).failed, done) == (1, [1])


async def test_what_hangs_at_the_end_is_let_go_undone() -> None:
    never = asyncio.Event()
    deliveries = Deliveries(lambda _: Recorder(lambda _: never.wait()))
    done: list[int] = []
    deliveries.offer(HOOK, message(), lambda: done.append(1))
    await deliveries.close(0.01)
    assert done == []


async def test_a_receiver_has_a_line_again_after_it_was_worked_off() -> None:
    receiver = Recorder()
    deliveries = Deliveries(lambda _: receiver)
    for number in range(2):
        deliveries.offer(HOOK, message(number), lambda: None)
        await settled(deliveries)
    assert receiver.got == ["0", "1"]


async def test_a_fault_closes_no_line_for_good() -> None:
    faults = [ValueError("a fault")]

    def behave(_: Message) -> object:
        if faults:
            raise faults.pop()
        return None

    receiver, done = Recorder(behave), []
    deliveries = Deliveries(lambda _: receiver)
    for number in range(2):
        deliveries.offer(HOOK, message(number), lambda number=number: done.append(number))
        await settled(deliveries)
    assert (receiver.got, done) == (["0", "1"], [1])


# --- webhooks ---------------------------------------------------------------------------------------------------


def webhook(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response], secret: str | None = None
) -> Webhook:
    client = httpx.AsyncClient

    def with_transport(**options: object) -> httpx.AsyncClient:
        return client(transport=httpx.MockTransport(answer), **options)  # type: ignore[arg-type]

    monkeypatch.setattr("muniment.notifying.webhook.httpx.AsyncClient", with_transport)
    return Webhook(HOOK, secret, clock=lambda: 1_700_000_000.9)


async def sent(monkeypatch: pytest.MonkeyPatch, secret: str | None) -> httpx.Request:
    requests: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(204)

    await webhook(monkeypatch, take, secret).send(trial_message("alpha"))
    (request,) = requests
    return request


async def test_a_webhook_is_signed_over_time_and_body(monkeypatch: pytest.MonkeyPatch) -> None:
    request = await sent(monkeypatch, "a secret of some length")
    expected = hmac.new(b"a secret of some length", b"1700000000." + request.content, sha256).hexdigest()
    assert request.headers["X-Muniment-Signature"] == f"sha256={expected}"
    assert request.headers["X-Muniment-Timestamp"] == "1700000000"
    assert request.headers["X-Muniment-Event"] == "test"
    assert request.headers["X-Muniment-Delivery"].startswith("test-")
    assert (request.method, str(request.url)) == ("POST", HOOK)


async def test_without_a_secret_there_is_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "X-Muniment-Signature" not in (await sent(monkeypatch, None)).headers


def test_a_signature_belongs_to_one_moment_and_one_body() -> None:
    signatures = {signature("key", stamp, body) for stamp in ("1", "2") for body in (b"a", b"b")}
    assert len(signatures) == 4


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, False), (404, False), (410, False), (408, True), (429, True), (500, True), (503, True)],
)
async def test_what_may_pass_is_tried_again_and_what_was_refused_is_not(
    monkeypatch: pytest.MonkeyPatch, status: int, retryable: bool
) -> None:
    hook = webhook(monkeypatch, lambda _: httpx.Response(status, headers={"Retry-After": "7"}))
    with pytest.raises(NotDelivered, match=f"status {status}") as failed:
        await hook.send(message())
    assert (failed.value.retryable, failed.value.retry_after) == (retryable, 7.0)


async def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(307, headers={"Location": "http://169.254.169.254/"})

    with pytest.raises(NotDelivered, match="redirects") as failed:
        await webhook(monkeypatch, redirect).send(message())
    assert (asked, failed.value.retryable) == (["hooks.example.org"], False)


async def test_a_webhook_that_is_away_is_tried_again_and_its_secrets_are_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"refused by {request.url}")

    with pytest.raises(NotDelivered) as failed:
        await webhook(monkeypatch, away).send(message())
    assert failed.value.retryable
    assert str(failed.value) == "no connection: refused by https://***/***"


# --- apprise ----------------------------------------------------------------------------------------------------


async def test_a_service_that_hangs_is_given_up_and_keeps_no_process_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    released, seen = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        seen.set()
        assert threading.current_thread().daemon
        released.wait(30)

    monkeypatch.setattr(AppriseReceiver, "_try", hang)
    receiver = AppriseReceiver("json://127.0.0.1:9", may_read_files=False, seconds=0.05)
    with pytest.raises(NotDelivered, match="no answer") as failed:
        await receiver.send(message())
    assert failed.value.retryable
    assert seen.is_set()
    released.set()


async def test_services_that_hang_take_a_bounded_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(AppriseReceiver, "_slots", threading.BoundedSemaphore(2))
    monkeypatch.setattr(AppriseReceiver, "_try", lambda *_: released.wait(30) and None)
    receiver = AppriseReceiver("json://127.0.0.1:9", may_read_files=False, seconds=0.05)
    told = [await asyncio.gather(receiver.send(message()), return_exceptions=True) for _ in range(3)]
    assert [str(one) for (one,) in told] == ["no answer in 0 s", "no answer in 0 s", "too many others hang"]
    released.set()


async def test_a_service_that_is_away_is_not_delivered() -> None:
    receiver = AppriseReceiver("json://user:hunter2@127.0.0.1:9/secret", may_read_files=False)
    with pytest.raises(NotDelivered) as failed:
        await receiver.send(message())
    assert "hunter2" not in str(failed.value)
    assert "onnection error" in str(failed.value)
