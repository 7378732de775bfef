"""A gateway in memory: real databases in a temporary folder, a fake Redis, fake embedders, no Chroma."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from fastapi.testclient import TestClient

from muniment.redis_client import Connections
from muniment.settings import Settings
from muniment.testing import HashedWordsEmbedder
from muniment_api.app import create_app
from muniment_api.deps import Services, build_services

GATEWAY = "http://localhost:7420"
SUBSCRIBED_SECONDS = 10


@pytest.fixture
def redis_server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """The fake Redis that every client of this test talks to; ``connected = False`` takes it away."""
    server = FakeServer()

    def connect(url: str) -> Connections:
        return Connections(url, FakeRedis(server=server, decode_responses=True), FakeRedis(server=server))

    monkeypatch.setattr("muniment_api.deps.connect", connect)
    monkeypatch.setattr("muniment.bus.listen", lambda _: FakeAsyncRedis(server=server, decode_responses=True))
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
