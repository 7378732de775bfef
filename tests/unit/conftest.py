"""A gateway in memory: real databases in a temporary folder, a fake Redis, fake embedders, no Chroma."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from fastapi.testclient import TestClient
from mcp import Client

from muniment.memory import MemoryStore
from muniment.redis_client import Connections
from muniment.settings import Settings
from muniment.testing import HashedWordsEmbedder, ManualClock
from muniment_api.app import create_app
from muniment_api.deps import Services, build_services
from muniment_api.gateway import build_mcp

# modules that several test files share: pytest's importlib mode puts nothing on the path
sys.path.insert(0, str(Path(__file__).parent))
GATEWAY = "http://localhost:7420"
SUBSCRIBED_SECONDS = 10


class AsyncRedis(FakeAsyncRedis):
    """The fake answers a group's blocking read at once when there is nothing: its reader would never rest."""

    async def xreadgroup(self, *args: Any, block: int, **kwargs: Any) -> Any:
        answer = await super().xreadgroup(*args, **kwargs)
        if not answer:
            await asyncio.sleep(block / 1000)
        return answer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[MemoryStore]:
    """Memories in ``memories.sqlite``, without a gateway."""
    store = MemoryStore(tmp_path / "memories.sqlite", HashedWordsEmbedder(), clock)
    yield store
    store.close()


@pytest.fixture
def other(tmp_path: Path, clock: ManualClock) -> Iterator[MemoryStore]:
    """Those of another server."""
    store = MemoryStore(tmp_path / "elsewhere" / "memories.sqlite", HashedWordsEmbedder(), clock)
    yield store
    store.close()


@pytest.fixture
def redis_server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """The fake Redis that every client of this test talks to; ``connected = False`` takes it away."""
    server = FakeServer()

    def connect(url: str) -> Connections:
        return Connections(url, FakeRedis(server=server, decode_responses=True), FakeRedis(server=server))

    monkeypatch.setattr("muniment_api.deps.connect", connect)
    for module in ("bus", "event_group"):
        monkeypatch.setattr(f"muniment.{module}.listen", lambda _: AsyncRedis(server=server, decode_responses=True))
    # the fake Redis loses a cancellation that comes while it blocks: the gateway would wait for its end
    monkeypatch.setattr("muniment_api.notifier.READ_SECONDS", 0.05)
    return server


@pytest.fixture
def gateway_settings(tmp_path: Path) -> Settings:
    roots = tmp_path / "sources"
    roots.mkdir()
    return Settings(
        data_dir=tmp_path / "data", redis_url="redis://fake", chroma_url="http://127.0.0.1:9", roots=[roots]
    )


@pytest.fixture
def services(redis_server: FakeServer, gateway_settings: Settings) -> Services:  # noqa: ARG001
    """The gateway's services; the application closes them at its end."""
    embedder = HashedWordsEmbedder()
    return build_services(gateway_settings, file_embedder=embedder, memory_embedder=embedder)


@contextmanager
def served(services: Services) -> Iterator[TestClient]:
    with TestClient(create_app(services), base_url=GATEWAY, raise_server_exceptions=False) as client:
        # the fake Redis loses a cancellation that comes while it subscribes: the gateway would never end
        assert client.portal is not None
        client.portal.call(asyncio.wait_for, services.feed.standing.wait(), SUBSCRIBED_SECONDS)
        yield client


@pytest.fixture
def serve() -> Callable[[Services], AbstractContextManager[TestClient]]:
    """``with serve(services) as client`` runs a gateway."""
    return served


@pytest.fixture
def api(services: Services) -> Iterator[TestClient]:
    """A client of a running gateway without a token."""
    with served(services) as client:
        yield client


@pytest.fixture
def muniment(api, tmp_path, monkeypatch, capsys):
    """Runs the command line in this process; its requests go to the gateway in memory."""
    from command_line import command_line

    monkeypatch.setenv("MUNIMENT_DATA_DIR", str(tmp_path / "client"))
    return command_line(api, monkeypatch, capsys)


@pytest.fixture(params=["legacy", "auto"])
def connect(request: pytest.FixtureRequest, services: Services) -> Callable[[], AbstractAsyncContextManager[Client]]:
    """Opens an MCP client, of the handshake protocol and of the one without sessions; within the test, because it must
    be closed by the task that opened it."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Client]:
        async with Client(build_mcp(services), mode=request.param) as client:
            yield client
        await services.close()

    return opened


@pytest.fixture
def fleet():
    """Jobs, leases, dirty paths and events on a fake server, without a gateway."""
    from job_fleet import Fleet

    return Fleet()
