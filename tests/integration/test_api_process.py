"""The gateway as a process, over real Valkey and Chroma."""

import json
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from gateway_process import GatewayProcess as Gateway
from gateway_process import running
from redis import Redis

Until = Callable[..., object]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, valkey_server: str, chroma_url: str) -> Iterator[Gateway]:
    """Shared by these tests: each makes projects of its own."""
    env = {"MUNIMENT_REDIS_URL": valkey_server, "MUNIMENT_CHROMA_URL": chroma_url}
    with running(tmp_path_factory.mktemp("gateway"), env) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=30, trust_env=False) as client:
        yield client


class Stream:
    """Reads a stream of events in a thread. ``next`` returns (type, id, data), or ("", None, comment)."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._open = threading.Event()
        threading.Thread(target=self._read, args=(url, headers), daemon=True).start()
        assert self.next() == ("", None, "listening")

    def _read(self, url: str, headers: dict[str, str] | None) -> None:
        try:
            with httpx.stream("GET", url, headers=headers, timeout=None, trust_env=False) as response:
                for line in response.iter_lines():
                    self._lines.put(line)
        except httpx.HTTPError:
            pass
        self._lines.put(None)

    def next(self, seconds: float = 15) -> tuple[str, str | None, object]:
        fields: dict[str, str] = {}
        while line := self._line(seconds):
            name, _, value = line.partition(": ")
            fields[name] = value
        if "data" not in fields:
            return "", None, fields.get("", "")
        return fields["event"], fields.get("id"), json.loads(fields["data"])

    def _line(self, seconds: float) -> str:
        line = self._lines.get(timeout=seconds)
        if line is None:
            raise EOFError
        return line

    def ended(self, seconds: float) -> bool:
        try:
            while True:
                self.next(seconds)
        except EOFError:
            return True
        except queue.Empty:
            return False


def make(client: httpx.Client, gateway: Gateway, name: str) -> str:
    folder = gateway.source / name
    folder.mkdir(exist_ok=True)
    answer = client.post("/api/v1/projects", json={"name": name, "watch_paths": [str(folder)]})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def test_ready_with_its_servers(client: httpx.Client) -> None:
    assert client.get("/readyz").json()["ready"] is True


def test_events_are_streamed_as_they_happen_and_replayed_after_a_reconnect(
    client: httpx.Client, gateway: Gateway
) -> None:
    stream = Stream(f"{gateway.url}/api/v1/events")
    job_id = make(client, gateway, "apple")
    queued, first_id, event = stream.next()
    assert (queued, event["job_id"]) == ("job_queued", job_id)  # type: ignore[index]
    created, second_id, _ = stream.next()
    assert created == "project_created"
    again = Stream(f"{gateway.url}/api/v1/events", {"Last-Event-ID": str(first_id)})
    assert again.next()[:2] == ("project_created", second_id)


def test_a_stream_of_one_project_tells_of_no_other(client: httpx.Client, gateway: Gateway) -> None:
    make(client, gateway, "berry")
    stream = Stream(f"{gateway.url}/api/v1/events?project=berry")
    make(client, gateway, "not-berry")
    client.post("/api/v1/projects", json={"name": "berry", "watch": False})
    kind, _, event = stream.next()
    assert (kind, event["project"]) == ("project_updated", "berry")  # type: ignore[index]


def test_a_last_id_that_is_no_longer_kept_means_resync(client: httpx.Client, gateway: Gateway) -> None:
    make(client, gateway, "cherry")
    stream = Stream(f"{gateway.url}/api/v1/events?last_event_id=1-0")
    assert stream.next()[0] == "resync"


def test_after_a_lost_subscription_readers_resync_and_hear_what_comes(
    client: httpx.Client, gateway: Gateway, valkey_server: str
) -> None:
    stream = Stream(f"{gateway.url}/api/v1/events")
    with Redis.from_url(valkey_server) as connection:
        connection.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    assert stream.next()[0] == "resync"
    make(client, gateway, "damson")
    assert stream.next()[0] == "job_queued"


def test_waiting_answers_at_its_timeout_with_the_progress(client: httpx.Client, gateway: Gateway) -> None:
    job_id = make(client, gateway, "elder")
    began = time.monotonic()
    answer = client.post("/api/v1/projects/elder/wait", json={"timeout": 0.3}).json()
    assert answer["ready"] is False
    assert answer["status"]["job"]["id"] == job_id
    assert time.monotonic() - began < 5


def test_rest_and_mcp_live_at_one_address(client: httpx.Client) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    answer = client.post("/mcp", json=hello, headers={"Accept": "application/json, text/event-stream"})
    assert answer.status_code == 200
    assert '"name":"muniment"' in answer.text.replace(" ", "").lower()


def test_it_ends_at_once_although_streams_are_open(gateway: Gateway, until: Until) -> None:
    streams = [Stream(f"{gateway.url}/api/v1/events") for _ in range(3)]
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: gateway.process.poll() is not None, 5)
    assert all(stream.ended(5) for stream in streams)
    assert "Traceback" not in gateway.log.read_text()
