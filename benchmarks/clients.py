"""Clients that search once a second each, in one process of their own, so that no other measuring disturbs them.

    python benchmarks/clients.py URL CLIENTS '[["PROJECT", "QUESTION"], ...]'

Begins at a line on standard input, stops at its end, and prints what it heard as JSON.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

PERIOD = 1.0
TIMEOUT = 60.0
Question = tuple[str, str]  # of a project, and what is asked


@dataclass
class Heard:
    """``answers``: (monotonic time at which the question was due, seconds from then to its answer)."""

    answers: list[tuple[float, float]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    degraded: int = 0
    empty: int = 0
    cpu_seconds: float = 0.0

    def between(self, start: float, end: float) -> list[float]:
        return [seconds for due, seconds in self.answers if start <= due < end]


async def ask(http: httpx.AsyncClient, project: str, question: str, due: float, heard: Heard) -> None:
    try:
        answer = await http.get(f"/api/v1/projects/{project}/search", params={"q": question})
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        heard.errors[str(error.response.status_code)] += 1
        return
    except httpx.HTTPError as error:
        heard.errors[type(error).__name__] += 1
        return
    heard.answers.append((due, time.monotonic() - due))
    found = answer.json()
    heard.degraded += bool(found["degraded"])
    heard.empty += not found["results"]


async def one_client(
    http: httpx.AsyncClient, asked: Iterator[Question], due: float, stopping: asyncio.Event, heard: Heard
) -> None:
    """A late answer makes the next question late, and that one's latency counts from when it was due."""
    while True:
        try:
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await stopping.wait()
                return
        except TimeoutError:
            await ask(http, *next(asked), due, heard)
            due += PERIOD


async def search_until_told(url: str, count: int, asked: Sequence[Question]) -> Heard:
    heard, stopping = Heard(), asyncio.Event()
    limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits) as http:
        await asyncio.to_thread(sys.stdin.readline)
        began, before = time.monotonic(), _own_seconds()
        running = [
            asyncio.create_task(
                one_client(http, islice(cycle(asked), number, None), began + number * PERIOD / count, stopping, heard)
            )
            for number in range(count)
        ]
        await asyncio.to_thread(sys.stdin.read)
        stopping.set()
        await asyncio.gather(*running)
    heard.cpu_seconds = _own_seconds() - before
    return heard


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Clients:
    """The process of the clients: started with the block, asking from ``go`` to ``stop``.

    Each asks all the questions in turn, the second beginning with the second of them.
    """

    def __init__(self, url: str, count: int, asked: Sequence[Question]) -> None:
        self._command = [sys.executable, str(Path(__file__)), url, str(count), json.dumps(asked)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def go(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def stop(self) -> Heard:
        printed, _ = self._process.communicate(timeout=2 * TIMEOUT)
        if self._process.returncode:
            raise RuntimeError(f"the clients ended with status {self._process.returncode}")
        heard = Heard(**json.loads(printed))
        heard.errors = Counter(heard.errors)
        return heard


def main() -> None:
    url, count, asked = sys.argv[1:]
    print(json.dumps(asdict(asyncio.run(search_until_told(url, int(count), json.loads(asked))))))


if __name__ == "__main__":
    main()
