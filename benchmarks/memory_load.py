"""Memories at size, through a running stack: search and store latencies, idle and while three large passes run.

    python benchmarks/memory_load.py TREE [--memories 100000] [--clients 20] [--seconds 20]

The memories are synthetic: their vectors are random, so that filling takes minutes and not hours. The questions go
through the real model. TREE is large enough to be indexed for a minute; it is indexed as three projects.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from processes import ProcessSampler
from stack import Stack, machine_line, megabytes, percentiles, print_table, running_stack

from muniment.datafolder import DataFolder
from muniment.embedding import Vectors
from muniment.embedding.minilm import MiniLmEmbedder
from muniment.memory import MemoryStore, Record
from muniment.project import Project

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 200
VOCABULARY = 5_000
WORDS = 25
PROJECT = "remembered"
QUESTIONS = {
    "plain question": {"q": "how do we retry failed payments at night"},
    "with an identifier": {"q": "what was decided about ORD-4711"},
    "of one tag": {"q": "how do we retry failed payments", "tags": "tag7"},
    "since a date": {"q": "how do we retry failed payments", "after": "2025-12-01"},
    "of a source": {"q": "how do we retry failed payments", "source": "docs/7"},
}


class RandomVectors:
    """Under the real model's name: the gateway takes the vectors for its own."""

    def __init__(self) -> None:
        real = MiniLmEmbedder()
        self.name, self.dimensions, self.source = real.name, real.dimensions, real.source
        self._random = np.random.default_rng(1)

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self._random.standard_normal((len(texts), self.dimensions)).astype(np.float32)


def fill(data: Path, project: Project, count: int) -> None:
    store = MemoryStore(DataFolder(data).memories_db, RandomVectors(), lambda: NOW)
    random = np.random.default_rng(2)
    for start in range(0, count, BATCH):
        records = []
        for number in range(start, min(count, start + BATCH)):
            words = " ".join(f"word{place}" for place in random.zipf(1.3, WORDS) % VOCABULARY)
            at = NOW - timedelta(minutes=number)
            said = {"content": f"{words} ORD-{number}", "tags": [f"tag{number % 50}"], "source": f"docs/{number}.md"}
            records.append(Record(id=f"{number:016x}", created_at=at, updated_at=at, **said))
        store.take_in(project, records)
    store.close()


async def asked(http: httpx.AsyncClient, clients: int, seconds: int, params: dict[str, str]) -> list[float]:
    """Each client asks once a second."""
    took: list[float] = []

    async def one(place: int) -> None:
        await asyncio.sleep(place / clients)
        for _ in range(seconds):
            began = time.perf_counter()
            answer = await http.get(f"/projects/{PROJECT}/memories", params={**params, "limit": 5})
            took.append(time.perf_counter() - began)
            answer.raise_for_status()
            await asyncio.sleep(max(0.0, 1.0 - took[-1]))

    await asyncio.gather(*(one(place) for place in range(clients)))
    return took


async def stored(http: httpx.AsyncClient, count: int) -> list[float]:
    took = []
    for number in range(count):
        content = f"fact {number} of {time.time_ns()}: the nightly run of job {number * 7919} moved to host {number}"
        began = time.perf_counter()
        (await http.post(f"/projects/{PROJECT}/memories", json={"content": content})).raise_for_status()
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.2)
    return took


async def init(http: httpx.AsyncClient, name: str, tree: Path) -> dict[str, Any]:
    made = await http.post("/projects", json={"name": name, "watch_paths": [str(tree)], "watch": False})
    return dict(made.raise_for_status().json())


async def measure(stack: Stack, data: Path, tree: Path, folder: Path, given: argparse.Namespace) -> None:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", timeout=60.0, limits=limits) as http:
        project = Project.model_validate((await init(http, PROJECT, folder))["project"])
        began = time.perf_counter()
        fill(data, project, given.memories)
        print(f"{given.memories:,} memories filled in {time.perf_counter() - began:.0f} s\n")
        began = time.perf_counter()
        await asked(http, 1, 1, {"q": "the first question reads all vectors"})
        rows = [["first question of the gateway's life", f"{time.perf_counter() - began:.2f} s"]]
        for what, params in QUESTIONS.items():
            rows.append([what, percentiles(await asked(http, given.clients, given.seconds, params), 50, 95, 99)])
        rows.append(["store", percentiles(await stored(http, 50), 50, 95, 99)])
        print_table([f"idle, {given.clients} clients, a question a second each", "p50 / p95 / p99"], rows)
        for name in ("one", "two", "three"):
            await init(http, name, tree)
        await asyncio.sleep(10)  # they run
        rows = [["store, nobody else asking", percentiles(await stored(http, 50), 50, 95, 99)]]
        searches, stores = await asyncio.gather(
            asked(http, given.clients, given.seconds, QUESTIONS["plain question"]), stored(http, 50)
        )
        rows.append(["search, and", percentiles(searches, 50, 95, 99)])
        rows.append(["store at the same time", percentiles(stores, 50, 95, 99)])
        print_table(["while three large passes run", "p50 / p95 / p99"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--memories", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    tree = given.tree.resolve()
    print(f"{machine_line()}; {tree.name}\n")
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as name:
        data, folder = Path(name).resolve() / "data", Path(name).resolve() / "empty"
        folder.mkdir()
        with running_stack(data, tree, folder) as stack, ProcessSampler(stack.process) as sampler:
            asyncio.run(measure(stack, data, tree, folder, given))
        rows = [[role, megabytes(figures.rss), megabytes(figures.pss)] for role, figures in sampler.by_size()]
        print_table(["process", "peak RSS", "peak PSS"], rows)


if __name__ == "__main__":
    main()
