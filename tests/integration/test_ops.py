"""rq-dashboard as the operator meets it: over a real Valkey, while a real worker works."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest
from redis import Redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from muniment.process import free_port, spawn, stop_child
from muniment.stack.children import responds
from muniment_api.ops import create_app

QUEUE = "muniment-alpha-abc123"


@pytest.fixture
def client(valkey_url: str) -> httpx.AsyncClient:
    """A browser of the machine itself, without a socket in between."""
    transport = httpx.ASGITransport(app=create_app(valkey_url, ["muniment.example"]))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7421", follow_redirects=True)


@pytest.fixture
def queue(valkey_url: str) -> Iterator[Queue]:
    with Redis.from_url(valkey_url) as connection:
        yield Queue(QUEUE, connection=connection, serializer=JSONSerializer)


@pytest.fixture
def busy_worker(valkey_url: str, queue: Queue, until) -> Iterator[str]:
    """A forking worker in the middle of a job; the job's id."""
    job = queue.enqueue("time.sleep", 60, job_timeout=120)
    command = (sys.executable, "-m", "rq.cli", "worker", "--url", valkey_url, QUEUE)
    process = subprocess.Popen([*command, "--serializer", "rq.serializers.JSONSerializer"], start_new_session=True)
    until(lambda: any(worker.get_current_job_id() for worker in Worker.all(connection=queue.connection)), 20)
    yield job.id
    # the work-horse has a process group of its own
    for member in [*psutil.Process(process.pid).children(recursive=True), process]:
        member.kill()
    process.wait()


async def test_workers_are_shown_while_a_job_runs(client, busy_worker):
    async with client:
        answer = await client.get("/0/data/workers.json")

    assert answer.status_code == 200
    assert [worker["current_job"]["job_id"] for worker in answer.json()["workers"]] == [busy_worker]


async def test_a_waiting_job_is_shown_on_every_page(client, queue):
    job = queue.enqueue("muniment_worker.tasks.run", "alpha-abc123", description="index alpha")
    async with client:
        pages = [
            await client.get(path)
            for path in (
                "/",
                "/0/view/queues",
                f"/0/view/jobs/{QUEUE}/queued/8/asc/1",
                f"/0/view/job/{job.id}",
                "/0/data/queues.json",
                f"/0/data/job/{job.id}.json",
                "/static/css/main.css",
                "/favicon.ico",
            )
        ]
        listed = await client.get(f"/0/data/jobs/{QUEUE}/queued/8/asc/1.json")

    assert [page.status_code for page in pages] == [200] * len(pages)
    assert [entry["description"] for entry in listed.json()["jobs"]] == ["index alpha"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/requeue/{QUEUE}"),
        ("POST", f"/requeue/{QUEUE}"),
        ("POST", f"/queue/{QUEUE}/queued/empty"),
        ("POST", "/job/x/delete"),
        ("POST", "/0/data/queues.json"),
        ("DELETE", "/"),
    ],
)
async def test_nothing_can_be_changed(client, queue, method, path):
    queue.enqueue("muniment_worker.tasks.run", "alpha-abc123")
    async with client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (405, "ops_read_only")
    assert queue.count == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7421", 200),
        ("[::1]:7421", 200),
        ("Muniment.Example", 200),
        ("attacker.example", 403),
        ("[", 403),
        ("", 403),
    ],
)
async def test_only_known_names_are_answered(client, host, status):
    async with client:
        answer = await client.get("/0/data/queues.json", headers={"Host": host})

    assert answer.status_code == status


def test_it_runs_as_a_process_of_its_own(valkey_url, until):
    port = free_port()
    env = {"MUNIMENT_REDIS_URL": valkey_url, "MUNIMENT_OPS_PORT": str(port)}
    process = spawn((sys.executable, "-m", "muniment_api.ops"), env=env)
    try:
        until(lambda: responds(f"http://127.0.0.1:{port}/0/data/workers.json"), 20)
    finally:
        status = stop_child(process, 10)
    assert status in {0, -signal.SIGTERM}


def test_without_a_redis_it_says_what_to_set():
    done = subprocess.run((sys.executable, "-m", "muniment_api.ops"), capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "MUNIMENT_REDIS_URL" in done.stderr


def test_it_refuses_to_listen_where_others_could_look(valkey_url):
    environment = {**os.environ, "MUNIMENT_REDIS_URL": valkey_url, "MUNIMENT_OPS_HOST": "0.0.0.0"}
    command = (sys.executable, "-m", "muniment_api.ops")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=30)

    assert done.returncode == 1
    assert "MUNIMENT_OPS_OPEN" in done.stderr
