"""What was acknowledged of memories survives when every process is killed at once, in the middle of writing."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from gateway_process import GatewayProcess, running
from store_server import StoreServer

from muniment.stack.children import chroma_child, valkey_child

WRITERS = 4
ACKNOWLEDGED = 160  # changes, before the kill
WORDS = [
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "islet", "jetty", "kelp", "larch", "maple",
    "north", "otter", "plume", "quartz", "reef",
]  # fmt: skip


class Writer(threading.Thread):
    """Stores, updates, replaces and deletes memories of its own until nobody answers; notes what was acknowledged.

    ``doubtful`` holds the ids that the request in the air when it ended was about: either outcome is right.
    """

    def __init__(self, url: str, number: int) -> None:
        super().__init__(daemon=True)
        self._client = httpx.Client(base_url=f"{url}/api/v1/projects/alpha", timeout=30, trust_env=False)
        self._random = random.Random(number)
        self._number = number
        self.kept: dict[str, dict[str, Any]] = {}
        self.deleted: set[str] = set()
        self.doubtful: set[str] = set()
        self.acknowledged = 0

    def run(self) -> None:
        steps = (self._store, self._store, self._update, self._replace, self._forget)
        try:
            while True:
                self._random.choice(steps)()
                self.doubtful.clear()
                self.acknowledged += 1
        except httpx.HTTPError:
            self._client.close()

    def _text(self) -> str:
        return " ".join(self._random.choices(WORDS, k=12)) + f" {self._number}-{self._random.random()}"

    def _one(self) -> str | None:
        visible = [memory_id for memory_id, one in self.kept.items() if one["superseded_by"] is None]
        chosen = self._random.choice(visible) if visible else None
        self.doubtful.update([chosen] if chosen else [])
        return chosen

    def _ask(self, method: str, route: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._client.request(method, route, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def _store(self, supersedes: str | None = None) -> None:
        content, tag = self._text(), self._random.choice(WORDS)
        body = {"content": content, "tags": [tag], "supersedes": supersedes}
        stored = self._ask("POST", "/memories", body)
        if stored["created"]:
            self.kept[stored["id"]] = {"content": content, "tags": [tag], "superseded_by": None}
            if supersedes:
                self.kept[supersedes]["superseded_by"] = stored["id"]

    def _replace(self) -> None:
        self._store(self._one())

    def _update(self) -> None:
        if chosen := self._one():
            content = self._text()
            self._ask("PATCH", f"/memories/{chosen}", {"content": content})
            self.kept[chosen]["content"] = content

    def _forget(self) -> None:
        if chosen := self._one():
            hidden = [memory_id for memory_id, one in self.kept.items() if one["superseded_by"] == chosen]
            self.doubtful.update(hidden)
            self._ask("DELETE", f"/memories/{chosen}")
            del self.kept[chosen]
            self.deleted.add(chosen)
            for memory_id in hidden:
                self.kept[memory_id]["superseded_by"] = None


@pytest.fixture
def stores() -> Iterator[tuple[StoreServer, StoreServer]]:
    """A Valkey and a Chroma of this test's own."""
    with TemporaryDirectory(prefix="muniment-test-") as name, ExitStack() as stack:
        servers = []
        for child, folder in ((valkey_child, "redis"), (chroma_child, "chroma")):
            spec, url = child(Path(name) / folder)
            server = StoreServer(spec, url, Path(name) / folder)
            stack.callback(server.stop)
            server.start()
            servers.append(server)
        yield servers[0], servers[1]


def exported(gateway: GatewayProcess) -> dict[str, dict[str, Any]]:
    answer = httpx.get(f"{gateway.url}/api/v1/projects/alpha/memories/export", timeout=30, trust_env=False)
    assert answer.is_success
    return {one["id"]: one for one in map(json.loads, answer.text.splitlines())}


def test_every_acknowledged_change_survives_when_all_is_killed_at_once(
    tmp_path: Path, stores: tuple[StoreServer, StoreServer], until: Any
) -> None:
    env = {"MUNIMENT_REDIS_URL": stores[0].url, "MUNIMENT_CHROMA_URL": stores[1].url}
    with running(tmp_path, env) as gateway:
        body = {"name": "alpha", "watch_paths": [str(gateway.source)]}
        assert httpx.post(f"{gateway.url}/api/v1/projects", json=body, timeout=30, trust_env=False).is_success
        writers = [Writer(gateway.url, number) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        until(lambda: sum(writer.acknowledged for writer in writers) >= ACKNOWLEDGED, 120)
        gateway.process.kill()
        for store in stores:
            store.kill()
        gateway.process.wait()
        for writer in writers:
            writer.join(30)
            assert not writer.is_alive()

    for store in stores:
        store.start()
    with running(tmp_path, env) as gateway:
        there = exported(gateway)
        for writer in writers:
            for memory_id, one in writer.kept.items():
                if memory_id not in writer.doubtful:
                    found = there[memory_id]
                    assert {**one, "superseded_by": found.get("superseded_by")} == {
                        field: found.get(field) for field in one
                    }
                    assert found.get("superseded_by") == one["superseded_by"]
            assert not writer.deleted & there.keys()
        known = {memory_id for writer in writers for memory_id in (*writer.kept, *writer.deleted)}
        assert len(there.keys() - known) <= WRITERS, "at most the requests that were in the air"

        writer = writers[0]
        visible = next(one for one in there.values() if one["id"] in writer.kept and not one.get("superseded_by"))
        params = {"q": visible["content"], "limit": 1}
        found = httpx.get(f"{gateway.url}/api/v1/projects/alpha/memories", params=params, timeout=30, trust_env=False)
        assert found.json()["items"][0]["id"] == visible["id"]
