"""Jobs against a model of them: any order of everything that can happen, and everything at once."""

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from job_machine import AWAY, ENDS, PROJECTS, Client, JobMachine
from job_model import REQUESTS, Stored

from muniment.errors import IllegalMove
from muniment.events import EventType
from muniment.jobs import TERMINAL, Job, JobStatus, Progress
from muniment.leases import Lease
from muniment.redis_client import SLOTS, lease_key, rest_key

# the same examples every time: what only chance finds is for a campaign by hand, not for a build
BOUNDED = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
CLIENTS = 4
DEEDS = 120
ALPHA = "alpha-abc234"


@pytest.fixture
def clients(valkey_url: str) -> Iterator[list[Client]]:
    clients = [Client(valkey_url) for _ in range(CLIENTS)]
    yield clients
    for client in clients:
        client.connections.close()


def test_whatever_happens_in_any_order_the_records_are_what_the_model_says(clients: list[Client]) -> None:
    run_state_machine_as_test(lambda: JobMachine(clients), settings=BOUNDED)


class Crowd:
    """Clients that do at the same time what comes to their minds, all for one project."""

    def __init__(self) -> None:
        self.at_work = threading.Semaphore(1)
        self.ended: Counter[str] = Counter()

    def act(self, client: Client, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(DEEDS):
            chance.choice((self.ask, self.control, self.work, self.work, self.edit))(client, chance)

    def ask(self, client: Client, chance: random.Random) -> None:
        client.queue.request(PROJECTS[ALPHA], chance.choice(REQUESTS))

    def edit(self, client: Client, chance: random.Random) -> None:
        client.dirty.add(ALPHA, [chance.choice("xyz")])
        client.dirty.remove(ALPHA, client.dirty.peek(ALPHA, chance.randrange(3)))

    def control(self, client: Client, chance: random.Random) -> None:
        if jobs := client.queue.list(limit=20).items:
            queue = client.queue
            act = chance.choice((queue.pause, queue.resume, queue.resume, queue.cancel, queue.retry))
            with contextlib.suppress(IllegalMove):
                act(chance.choice(jobs).id)

    def work(self, client: Client, chance: random.Random) -> None:
        lease = client.leases.acquire(ALPHA, threading.current_thread().name)
        if not isinstance(lease, Lease):
            client.redis.delete(rest_key(ALPHA))
            return
        assert self.at_work.acquire(blocking=False), "two work on one project"
        job = client.queue.claim_next(lease)
        if job is not None:
            client.queue.progress(job, Progress(chunks=1))
            self.end(client, lease, job, chance.choice((*ENDS, "killed")))
        self.at_work.release()
        if chance.random() < 0.5:
            client.leases.release(lease)
            return
        client.redis.delete(lease_key(ALPHA))
        client.redis.zrem(SLOTS, ALPHA)

    def end(self, client: Client, lease: Lease, job: Job, end: str) -> None:
        if end == "put back":
            client.queue.put_back(lease, job)
        elif end == "later":
            client.queue.try_later(lease, job, AWAY, Progress(), 3000.0)
        elif end != "killed":
            self.ended[job.id] += client.queue.finish(lease, job, JobStatus(end), Progress())


def test_many_clients_at_once_leave_sound_records_and_every_job_ends_once(clients: list[Client]) -> None:
    crowd, first = Crowd(), clients[0]
    with ThreadPoolExecutor(CLIENTS) as threads:
        for deeds in [threads.submit(crowd.act, client, seed) for seed, client in enumerate(clients)]:
            deeds.result()
    assert not Stored.read(first.redis, PROJECTS).broken()

    for job in first.queue.paused(ALPHA):
        first.queue.resume(job.id)
    first.redis.delete(rest_key(ALPHA))
    lease = first.leases.acquire(ALPHA, "the last")
    assert isinstance(lease, Lease)
    order = []
    while job := first.queue.claim_next(lease):
        order.append(job.created_at)
        crowd.end(first, lease, job, "failed")  # dirty paths have no update follow
    assert order[1:] == sorted(order[1:]), "what was interrupted comes first, then what was asked for first"

    stored = Stored.read(first.redis, PROJECTS)
    assert not stored.broken()
    assert {record["status"] for record in stored.records.values()} <= TERMINAL
    assert set(crowd.ended.values()) <= {0, 1}
    for job_id, record in stored.records.items():
        told = Counter(event.type for event in first.bus.job_events(job_id))
        assert told[EventType.INDEX_COMPLETE] + told[EventType.INDEX_FAILED] == crowd.ended[job_id]
        assert told[EventType.INDEX_CANCELLED] == (record["status"] == JobStatus.CANCELLED)
        assert told[EventType.INDEX_STARTED] >= int(record["attempt"])
    assert crowd.ended.total() > CLIENTS, "they did something"
