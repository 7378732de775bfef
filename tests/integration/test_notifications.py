"""Notifications over a real Valkey: from the end of a job to a webhook, each event once, whoever hangs or dies."""

import asyncio
import hmac
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from redis import Redis

from muniment.bus import Bus
from muniment.event_group import EventGroup
from muniment.events import Event, EventType
from muniment.jobs import JobKind, Progress
from muniment.jobs import JobStatus as Status
from muniment.leases import Leases
from muniment.notices import USUAL
from muniment.notifying.audience import Audience
from muniment.notifying.deliveries import Deliveries, KindCounts
from muniment.notifying.receiver import Receiver
from muniment.notifying.receivers import receiver_for
from muniment.notifying.store import Choice, ChosenReceiver
from muniment.process import free_port, spawn, stop_child
from muniment.queue import JobQueue, utc_now
from muniment.redis_client import EVENT_STREAM, Connections, connect
from muniment.stack.children import gateway_answers, module
from muniment_api.notifier import GROUP, Notifier

SECRET = "a secret of some length"
Until = Callable[..., object]


# --- a receiver that behaves as it is told ----------------------------------------------------------------------


@dataclass(frozen=True)
class Got:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def job_id(self) -> str:
        return str(json.loads(self.body)["event"]["job_id"])


class Hook:
    """A web server: below /broken it answers 500, below /hanging nothing until ``released``."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.released = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append(Got(self.path, dict(self.headers), body))
                if self.path.startswith("/hanging"):
                    hook.released.wait(60)
                self.send_response(500 if self.path.startswith("/broken") else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def at(self, path: str) -> list[Got]:
        return [one for one in self.got if one.path == path]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


# --- the whole gateway ------------------------------------------------------------------------------------------


@contextmanager
def gateway(folder: Path, env: dict[str, str]) -> Iterator[tuple[httpx.Client, Path]]:
    port, log = free_port(), folder / "gateway.log"
    own = {"MUNIMENT_DATA_DIR": str(folder / "data"), "MUNIMENT_ROOTS": str(folder), "MUNIMENT_PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = spawn(module("muniment_api"), env={**os.environ, **own, **env}, output=output)
    try:
        deadline = time.monotonic() + 120
        while not gateway_answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        with httpx.Client(base_url=f"{url}/api/v1", timeout=60, trust_env=False) as client:
            yield client, log
    finally:
        stop_child(process, grace=15)


def work_off(connections: Connections, project_id: str, *, status: Status = Status.COMPLETED) -> str:
    """What a worker does to the records of the job that waits; returns its id."""
    leases = Leases(connections.records, seconds=30, max_running=3)
    queue = JobQueue(connections, Bus(connections.records), leases)
    lease = leases.acquire(project_id, "a worker")
    assert lease is not None
    job = queue.claim_next(lease)
    assert job is not None
    assert queue.finish(lease, job, status, Progress())
    leases.release(lease)
    return job.id


def test_a_webhook_hears_of_a_job_that_ended_and_can_trust_who_says_so(
    tmp_path: Path, valkey_url: str, chroma_url: str, hook: Hook, until: Until
) -> None:
    env = {
        "MUNIMENT_REDIS_URL": valkey_url,
        "MUNIMENT_CHROMA_URL": chroma_url,
        "MUNIMENT_NOTIFY": hook.url("/server"),
        "MUNIMENT_NOTIFY_SECRET": SECRET,
    }
    connections = connect(valkey_url)
    with gateway(tmp_path, env) as (client, log):
        made = client.post("/projects", json={"name": "alpha", "watch_paths": []}).json()
        project_id = made["project"]["id"]
        chosen = client.put(
            "/projects/alpha/notifications", json={"urls": [hook.url("/own/topsecret")], "on": ["started"]}
        )
        assert chosen.status_code == 200, chosen.text
        until(lambda: group_stands(valkey_url), 30)
        job_id = work_off(connections, project_id)
        (ended,) = until(lambda: hook.at("/server"), 30)  # type: ignore[misc]
        (started,) = until(lambda: hook.at("/own/topsecret"), 30)  # type: ignore[misc]
        counted = until(lambda: sent(client, 3), 30)
        assert "alpha: indexed: The reconcile of alpha completed" in log.read_text()
        assert "topsecret" not in log.read_text() + client.get("/projects/alpha/notifications").text
    connections.close()
    stamp = ended.headers["X-Muniment-Timestamp"]
    expected = hmac.new(SECRET.encode(), stamp.encode() + b"." + ended.body, sha256).hexdigest()
    assert ended.headers["X-Muniment-Signature"] == f"sha256={expected}"
    assert abs(time.time() - int(stamp)) < 120
    assert ended.headers["X-Muniment-Event"] == "index_complete"
    body = json.loads(ended.body)
    assert (body["kind"], body["title"], body["event"]["job_id"]) == ("complete", "alpha: indexed", job_id)
    assert ended.headers["X-Muniment-Delivery"] == body["event"]["id"]
    assert started.headers["X-Muniment-Event"] == "index_started"
    assert counted == {"console": 1, "webhook": 2}


def sent(client: httpx.Client, total: int) -> dict[str, int] | None:
    counts = {one["kind"]: one["sent"] for one in client.get("/notifications").json()["counts"]}
    return counts if sum(counts.values()) >= total else None


def group_stands(url: str) -> bool:
    with Redis.from_url(url) as redis:
        return bool(redis.exists(EVENT_STREAM)) and bool(redis.xinfo_groups(EVENT_STREAM))


def test_a_gateway_with_a_receiver_that_is_none_does_not_start(
    tmp_path: Path, valkey_url: str, chroma_url: str
) -> None:
    env = {
        "MUNIMENT_REDIS_URL": valkey_url,
        "MUNIMENT_CHROMA_URL": chroma_url,
        "MUNIMENT_NOTIFY": "nope://topsecret",
    }
    with pytest.raises(AssertionError), gateway(tmp_path, env):
        pass
    said = (tmp_path / "gateway.log").read_text()
    assert "MUNIMENT_NOTIFY" in said
    assert "nope://***" in said
    assert "topsecret" not in said
    assert "Traceback" not in said


# --- the notifier alone -----------------------------------------------------------------------------------------


def ended(project: str = "alpha", job_id: str = "0123456789abcdef", *, at: float = 0) -> Event:
    now = utc_now()
    job = {
        "id": job_id, "project": project, "project_id": f"{project}-aaaaaa", "kind": JobKind.RECONCILE,
        "status": Status.COMPLETED, "created_at": now.isoformat(),
    }  # fmt: skip
    return Event(
        type=EventType.INDEX_COMPLETE,
        at=now.fromtimestamp(now.timestamp() - at, now.tzinfo),
        project=project,
        project_id=f"{project}-aaaaaa",
        job_id=job_id,
        data={"job": job},
    )


@dataclass
class Bench:
    url: str

    def publish(self, *events: Event) -> None:
        connections = connect(self.url)
        for event in events:
            Bus(connections.records).publish(event)
        connections.close()

    def pending(self) -> int:
        with Redis.from_url(self.url) as redis:
            return int(redis.xpending(EVENT_STREAM, GROUP)["pending"])

    def readers(self) -> int:
        with Redis.from_url(self.url) as redis:
            return len(redis.xinfo_consumers(EVENT_STREAM, GROUP))

    @asynccontextmanager
    async def notifying(
        self,
        *urls: str,
        choice: Callable[[str], Choice] | None = None,
        idle_seconds: float = 60.0,
        hold_seconds: float = 15.0,
    ):  # type: ignore[no-untyped-def]
        def receiver(url: str) -> Receiver:
            return receiver_for(url, "urls", None)

        def nothing(_: str) -> Choice:
            return Choice()

        notifier = Notifier(
            EventGroup(self.url, GROUP, idle_seconds=idle_seconds),
            Audience(urls, USUAL),
            choice or nothing,
            receiver,
            deliveries=Deliveries(receiver, pauses=(0.01, 0.01)),
            hold_seconds=min(hold_seconds, idle_seconds / 4),
        )
        await notifier._group.join()  # it begins at the present: what a test publishes must come after
        task = asyncio.create_task(notifier.run())
        try:
            yield notifier
        finally:
            notifier.stop()
            task.cancel()
            await asyncio.wait({task})


@pytest.fixture
def bench(valkey_url: str) -> Bench:
    return Bench(valkey_url)


async def eventually(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, condition
        await asyncio.sleep(0.01)


def webhooks(notifier: Notifier) -> KindCounts:
    return next((one for one in notifier.counts() if one.kind == "webhook"), KindCounts(kind="webhook"))


async def test_a_receiver_that_hangs_or_breaks_keeps_nobody_waiting_and_is_counted(bench: Bench, hook: Hook) -> None:
    urls = [hook.url("/hanging"), hook.url("/broken"), hook.url("/fine")]
    async with bench.notifying(*urls) as notifier:
        for number in range(3):
            bench.publish(ended(job_id=str(number)))
            await eventually(lambda number=number: len(hook.at("/fine")) == number + 1)
        assert [one.job_id for one in hook.at("/fine")] == ["0", "1", "2"]
        assert len(hook.at("/hanging")) == 1
        await eventually(lambda: len(hook.at("/broken")) == 9)  # three tries each
        await eventually(lambda: webhooks(notifier).failed == 3)
        assert (webhooks(notifier).sent, webhooks(notifier).waiting) == (3, 3)
        assert bench.pending() == 3  # until nothing more is tried with the last receiver
        hook.released.set()
        await eventually(lambda: bench.pending() == 0)
        assert webhooks(notifier).sent == 6


async def test_two_gateways_tell_each_event_once(bench: Bench, hook: Hook) -> None:
    async with bench.notifying(hook.url("/x")) as one, bench.notifying(hook.url("/x")) as other:
        bench.publish(*(ended(f"project{number}", job_id=str(number)) for number in range(40)))
        await eventually(lambda: len(hook.got) >= 40 and bench.pending() == 0)
        assert sorted(one.job_id for one in hook.got) == sorted(map(str, range(40)))
        assert webhooks(one).sent + webhooks(other).sent == 40


async def test_what_a_gateway_held_when_it_died_is_told_by_another(bench: Bench, hook: Hook) -> None:
    dead = EventGroup(bench.url, GROUP)
    await dead.join()
    bench.publish(ended())
    assert len(await dead.read(5)) == 1  # and it dies before it has told of it
    await dead.close()
    async with bench.notifying(hook.url("/x"), idle_seconds=0.2):
        await eventually(lambda: len(hook.got) == 1)
        await eventually(lambda: bench.pending() == 0)
    assert len(hook.got) == 1


async def test_what_is_held_is_not_claimed_and_what_is_not_held_is(bench: Bench) -> None:
    holder, other = (EventGroup(bench.url, GROUP, idle_seconds=0.5) for _ in range(2))
    await holder.join()
    bench.publish(ended(job_id="held"), ended(job_id="left"))
    held, _ = await holder.read(5)
    claimed: list[Event] = []
    deadline = time.monotonic() + 30
    while not claimed:
        assert time.monotonic() < deadline
        await holder.hold([held.id or ""])
        claimed = await other.claim()
    assert [event.job_id for event in claimed] == ["left"]
    await holder.close()
    await other.close()


async def test_a_gateway_shows_again_and_again_what_it_holds(bench: Bench, hook: Hook) -> None:
    def idle() -> int:
        with Redis.from_url(bench.url) as redis:
            (one,) = redis.xpending_range(EVENT_STREAM, GROUP, "-", "+", 10)
        return int(one["time_since_delivered"])

    async with bench.notifying(hook.url("/hanging"), hold_seconds=0.3):
        bench.publish(ended())
        await eventually(lambda: len(hook.got) == 1)
        for _ in range(3):
            await eventually(lambda: idle() > 50)
            await eventually(lambda: idle() < 50)
        hook.released.set()
        await eventually(lambda: bench.pending() == 0)


async def test_a_gateway_that_stops_leaves_what_it_could_not_send_to_the_next(bench: Bench, hook: Hook) -> None:
    async with bench.notifying(hook.url("/hanging")):
        bench.publish(ended())
        await eventually(lambda: len(hook.got) == 1)
    assert (bench.pending(), bench.readers()) == (1, 1)
    async with bench.notifying(hook.url("/fine"), idle_seconds=0.2):
        await eventually(lambda: len(hook.at("/fine")) == 1)
        await eventually(lambda: bench.pending() == 0)
    assert hook.at("/fine")[0].headers["X-Muniment-Delivery"] == hook.got[0].headers["X-Muniment-Delivery"]
    assert bench.readers() == 1  # the first one's name, which is forgotten after a day


async def test_a_new_group_begins_at_the_present(bench: Bench, hook: Hook) -> None:
    bench.publish(ended(job_id="before"))
    async with bench.notifying(hook.url("/x")):
        bench.publish(ended(job_id="after"))
        await eventually(lambda: len(hook.got) == 1)
    assert hook.got[0].job_id == "after"


async def test_a_redis_that_was_emptied_loses_nothing_that_comes_then(bench: Bench, hook: Hook) -> None:
    async with bench.notifying(hook.url("/x")):
        bench.publish(ended(job_id="first"))
        await eventually(lambda: len(hook.got) == 1)
        with Redis.from_url(bench.url) as redis:
            redis.flushall()
        bench.publish(ended(job_id="second"))
        await eventually(lambda: len(hook.got) == 2)
    assert [one.job_id for one in hook.got] == ["first", "second"]


async def test_a_redis_that_was_emptied_before_the_first_event_loses_none(bench: Bench, hook: Hook) -> None:
    async with bench.notifying(hook.url("/x")):
        with Redis.from_url(bench.url) as redis, redis.pipeline(transaction=True) as together:
            together.flushall()
            together.xadd(EVENT_STREAM, {"event": ended().model_dump_json(exclude={"id"})})
            together.execute()
        await eventually(lambda: len(hook.got) == 1)


async def test_lost_connections_are_made_anew(bench: Bench, hook: Hook) -> None:
    async with bench.notifying(hook.url("/x")):
        with Redis.from_url(bench.url) as redis:
            redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        bench.publish(ended())
        await eventually(lambda: len(hook.got) == 1)


async def test_what_cannot_be_read_or_comes_too_late_is_passed_over(bench: Bench, hook: Hook) -> None:
    unreadable = ended(job_id="unreadable").model_copy(update={"data": {"job": {"id": 1}}})
    async with bench.notifying(hook.url("/x")) as notifier:
        with Redis.from_url(bench.url) as redis:
            redis.xadd(EVENT_STREAM, {"event": '{"type": "of a newer version"}'})
            redis.xadd(EVENT_STREAM, {"other": "field"})
        bench.publish(unreadable, ended(job_id="late", at=7200), ended(job_id="fine"))
        await eventually(lambda: len(hook.got) == 1 and bench.pending() == 0)
        assert (webhooks(notifier).sent, webhooks(notifier).dropped) == (1, 1)
    assert [one.job_id for one in hook.got] == ["fine"]


async def test_a_storm_of_jobs_becomes_a_few_messages_that_say_so(bench: Bench, hook: Hook) -> None:
    async with bench.notifying(hook.url("/x")) as notifier:
        bench.publish(*(ended(job_id=str(number)) for number in range(30)))
        await eventually(lambda: webhooks(notifier).throttled == 24 and webhooks(notifier).sent == 6)
        await eventually(lambda: bench.pending() == 0)
        failed = ended(job_id="failed").model_copy(update={"type": EventType.INDEX_FAILED})
        bench.publish(failed)
        await eventually(lambda: len(hook.got) == 7)
    last = json.loads(hook.got[-1].body)
    assert (last["kind"], last["left_out"]) == ("failed", {"complete": 24})


async def test_the_receivers_of_a_project_hear_of_its_jobs_alone(bench: Bench, hook: Hook) -> None:
    def choice(project_id: str) -> Choice:
        return Choice(receivers=[ChosenReceiver(id="1", url=hook.url(f"/{project_id}"))])

    async with bench.notifying(hook.url("/all"), choice=choice):
        bench.publish(ended("alpha"), ended("beta"))
        await eventually(lambda: len(hook.got) == 4)
    assert sorted(one.path for one in hook.got) == ["/all", "/all", "/alpha-aaaaaa", "/beta-aaaaaa"]
