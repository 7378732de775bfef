"""The command line follows real jobs over a real gateway: the test itself is the worker."""

import contextlib
import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from gateway_process import GatewayProcess, running
from redis import Redis
from rich.console import Console

from muniment.bus import Bus
from muniment.cli.client import Gateway
from muniment.cli.following import changes, follow
from muniment.intake import JobAnswer, ProjectAnswer
from muniment.jobs import FileCounts, Job, JobStatus, Phase, Progress
from muniment.leases import Lease, Leases
from muniment.process import free_port
from muniment.queue import JobQueue
from muniment.redis_client import Connections, connect

Until = Callable[..., object]
WRITER = "test:1"


class CountingTransport(httpx.HTTPTransport):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path.removeprefix('/api/v1')}")
        return super().handle_request(request)


class Worker:
    """Does nothing but what the records of jobs are told."""

    def __init__(self, connections: Connections) -> None:
        self.leases = Leases(connections.records, seconds=60, max_running=3)
        self.queue = JobQueue(connections, Bus(connections.records), self.leases)
        self.held: list[Lease] = []

    def claim(self, project_id: str) -> tuple[Lease, Job]:
        lease = self.leases.acquire(project_id, WRITER)
        assert isinstance(lease, Lease)
        self.held.append(lease)
        job = self.queue.claim_next(lease)
        assert job is not None
        return lease, job

    def tell(self, job: Job, done: int, phase: Phase = Phase.LEXICAL) -> Progress:
        counts = FileCounts(total=200, done=done, skipped={"binary": 3})
        progress = Progress(phase=phase, files=counts, percent=done / 2, rate=50.0, eta_seconds=30.0)
        self.queue.progress(job, progress)
        return progress

    def finish(self, lease: Lease, job: Job, progress: Progress) -> None:
        assert self.queue.finish(lease, job, JobStatus.COMPLETED, progress)
        self.leases.release(lease)


@pytest.fixture(scope="module")
def env(valkey_server: str) -> dict[str, str]:
    return {"MUNIMENT_REDIS_URL": valkey_server, "MUNIMENT_CHROMA_URL": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Iterator[GatewayProcess]:
    """Shared by these tests: each makes a project of its own."""
    with running(tmp_path_factory.mktemp("gateway"), env) as server:
        yield server


@pytest.fixture
def worker(valkey_server: str) -> Iterator[Worker]:
    connections = connect(valkey_server)
    worker = Worker(connections)
    yield worker
    for lease in worker.held:
        worker.leases.release(lease)
    connections.close()


@pytest.fixture
def transport() -> CountingTransport:
    return CountingTransport()


@pytest.fixture
def gateway(server: GatewayProcess, transport: CountingTransport) -> Iterator[Gateway]:
    with Gateway(server.url, None, transport) as gateway:
        yield gateway


def make(server: GatewayProcess, gateway: Gateway, name: str) -> ProjectAnswer:
    """A project with its first job queued."""
    folder = server.source / name
    folder.mkdir()
    return gateway.post("/projects", {"name": name, "watch_paths": [str(folder)]}).read(ProjectAnswer)


@pytest.fixture
def made(server: GatewayProcess, gateway: Gateway, tmp_path: Path) -> ProjectAnswer:
    return make(server, gateway, tmp_path.name)


class InThread(threading.Thread):
    """Follows a job to its end, and notes the lines that were shown."""

    def __init__(self, gateway: Gateway, made: ProjectAnswer) -> None:
        super().__init__(daemon=True)
        self._gateway, self._made = gateway, made
        self._file = io.StringIO()
        self.ended: Job | None = None
        self.start()

    def run(self) -> None:
        out = Console(file=self._file, width=80, markup=False)
        self.ended = follow(self._gateway, self._made.job_id, self._made.project.name, out)

    @property
    def lines(self) -> list[str]:
        return self._file.getvalue().splitlines()


def test_a_job_is_followed_by_events_alone(
    gateway: Gateway, transport: CountingTransport, worker: Worker, made: ProjectAnswer, until: Until
) -> None:
    transport.asked.clear()
    following = InThread(gateway, made)
    until(lambda: following.lines)
    lease, job = worker.claim(made.project.id)
    until(lambda: "scan" in following.lines)
    for done in range(1, 200):
        worker.tell(job, done)
    until(lambda: any(line.startswith("lexical: ") for line in following.lines))
    progress = worker.tell(job, 200, Phase.VECTORS)
    until(lambda: any(line.startswith("vectors: ") for line in following.lines))
    finished = time.monotonic()
    worker.finish(lease, job, progress)
    following.join(10)

    assert following.ended is not None
    assert following.ended.status is JobStatus.COMPLETED
    assert following.ended == worker.queue.get(made.job_id)
    assert time.monotonic() - finished < 5
    assert following.lines[0] == "queued: waits for a worker"
    assert transport.asked == ["GET /events", f"GET /jobs/{made.job_id}"]


def test_a_job_is_followed_across_a_restart_of_the_gateway(
    tmp_path: Path, env: dict[str, str], worker: Worker, until: Until
) -> None:
    port = free_port()
    with Gateway(f"http://127.0.0.1:{port}", None) as gateway:
        with running(tmp_path, env, port) as server:
            made = make(server, gateway, "alpha")
            following = InThread(gateway, made)
            lease, job = worker.claim(made.project.id)
            until(lambda: "scan" in following.lines)
        worker.finish(lease, job, Progress())
        with running(tmp_path, env, port):
            following.join(20)

    assert following.ended is not None
    assert following.ended.status is JobStatus.COMPLETED


def test_a_job_is_followed_across_a_lost_subscription(
    gateway: Gateway, worker: Worker, made: ProjectAnswer, until: Until, valkey_server: str
) -> None:
    following = InThread(gateway, made)
    lease, job = worker.claim(made.project.id)
    until(lambda: "scan" in following.lines)
    with Redis.from_url(valkey_server) as connection:
        connection.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    worker.finish(lease, job, Progress())
    following.join(20)

    assert following.ended is not None
    assert following.ended.status is JobStatus.COMPLETED


def test_every_change_of_every_job_is_told(
    server: GatewayProcess,
    gateway: Gateway,
    transport: CountingTransport,
    worker: Worker,
    made: ProjectAnswer,
    until: Until,
) -> None:
    seen: list[tuple[str, str]] = []

    def watch() -> None:
        with contextlib.closing(changes(gateway, made.project.name)) as told:
            for job in told:
                seen.append((job.id, job.status))
                if len(seen) == 5:
                    return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    until(lambda: transport.asked.count("GET /jobs") == 2)  # the second time it listens
    lease, first = worker.claim(made.project.id)
    with Gateway(server.url, None) as other:
        second = other.post(f"/projects/{made.project.name}/jobs", {"kind": "reindex"}).read(JobAnswer).job_id
    worker.finish(lease, first, Progress())
    lease, _ = worker.claim(made.project.id)
    watching.join(20)

    assert seen == [
        (first.id, "queued"),
        (first.id, "running"),
        (second, "blocked"),
        (first.id, "completed"),
        (second, "running"),
    ]


@dataclass
class Typed:
    """The command line as a process."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def ended(self) -> tuple[int, str]:
        """Its status and what it printed."""
        status = self.process.wait(30)
        self._reader.join(5)
        assert self.process.stdout is not None
        return status, self.process.stdout.read()


@pytest.fixture
def typed(server: GatewayProcess) -> Iterator[Callable[..., Typed]]:
    started: list[Typed] = []

    def start(*arguments: str) -> Typed:
        command = [sys.executable, "-m", "muniment.cli", *arguments, "--url", server.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(Typed(process))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_ctrl_c_leaves_the_job_and_says_how_to_watch_it_again(
    server: GatewayProcess, worker: Worker, made: ProjectAnswer, until: Until, typed: Callable[..., Typed]
) -> None:
    index = typed("index", made.project.name)
    until(lambda: "queued: waits for a worker" in index.lines, 30)
    lease, job = worker.claim(made.project.id)
    until(lambda: "scan" in index.lines)
    index.process.send_signal(signal.SIGINT)

    assert index.ended() == (130, "")
    told = index.lines[-1]
    assert told.startswith(f"Job {job.id} goes on in the background; `")
    assert told.endswith(f" jobs watch {job.id} --url {server.url}` follows it.")
    assert worker.queue.is_running(job)

    again = typed("jobs", "watch", job.id)
    until(lambda: "scan" in again.lines, 30)
    worker.finish(lease, job, Progress(files=FileCounts(total=3, done=3)))
    status, out = again.ended()
    assert (status, out.endswith(": 3 files; skipped: none\n")) == (0, True)


def test_ctrl_c_ends_the_watching_of_all(worker: Worker, made: ProjectAnswer, typed: Callable[..., Typed]) -> None:
    watch = typed("jobs", "watch", "--project", made.project.id, "--json")
    assert watch.process.stdout is not None
    assert Job.model_validate_json(watch.process.stdout.readline()).id == made.job_id
    worker.claim(made.project.id)
    assert Job.model_validate_json(watch.process.stdout.readline()).status is JobStatus.RUNNING
    watch.process.send_signal(signal.SIGINT)

    assert watch.ended() == (130, "")
    assert watch.lines == []


def test_a_paused_job_ends_the_watching_of_it(
    worker: Worker, made: ProjectAnswer, until: Until, typed: Callable[..., Typed]
) -> None:
    watch = typed("jobs", "watch", made.job_id)
    until(lambda: "queued: waits for a worker" in watch.lines, 30)
    worker.queue.pause(made.job_id)

    assert watch.ended() == (1, "")
    assert watch.lines[-1] == f"error: Job {made.job_id} is paused; `muniment jobs resume {made.job_id}` lets it go on."
