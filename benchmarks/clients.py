"""Clients that search once a second each, in one process of their own, so that no other measuring disturbs them.

    python benchmarks/clients.py URL CLIENTS '[["PROJECT", "QUESTION"], ...]'

Begins at a line on standard input, stops at its end, and prints what it heard as JSON. Each client is a thread with
the plainest of connections: one of a richer library takes 5 ms for an answer that the server gives in one, and as much
of the processor as the search.
"""

import json
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

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

    def add(self, other: "Heard") -> None:
        self.answers += other.answers
        self.errors += other.errors
        self.degraded += other.degraded
        self.empty += other.empty

    def between(self, start: float, end: float) -> list[float]:
        return [seconds for due, seconds in self.answers if start <= due < end]


class Client(threading.Thread):
    """Asks in turn, by a connection that stays open. What is heard is counted when it has ended."""

    def __init__(self, url: str, asked: Iterator[Question], due: float, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self.heard = Heard()
        self._server = urlsplit(url)
        self._asked = asked
        self._due = due
        self._stopping = stopping

    def run(self) -> None:
        """A late answer makes the next question late, and that one's latency counts from when it was due."""
        connection = HTTPConnection(self._server.hostname or "", self._server.port, timeout=TIMEOUT)
        while not self._stopping.wait(max(0.0, self._due - time.monotonic())):
            try:
                self._ask(connection, *next(self._asked))
            except (HTTPException, OSError) as error:
                self.heard.errors[type(error).__name__] += 1
                connection.close()
            self._due += PERIOD

    def _ask(self, connection: HTTPConnection, project: str, question: str) -> None:
        connection.request("GET", f"/api/v1/projects/{project}/search?{urlencode({'q': question})}")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != HTTPStatus.OK:
            self.heard.errors[str(answer.status)] += 1
            return
        self.heard.answers.append((self._due, time.monotonic() - self._due))
        found = json.loads(body)
        self.heard.degraded += bool(found["degraded"])
        self.heard.empty += not found["results"]


def search_until_told(url: str, count: int, asked: Sequence[Question]) -> Heard:
    stopping = threading.Event()
    sys.stdin.readline()
    began, before = time.monotonic(), _own_seconds()
    clients = [
        Client(url, islice(cycle(asked), number, None), began + number * PERIOD / count, stopping)
        for number in range(count)
    ]
    for client in clients:
        client.start()
    sys.stdin.read()
    stopping.set()
    heard = Heard()
    for client in clients:
        client.join()
        heard.add(client.heard)
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
    print(json.dumps(asdict(search_until_told(url, int(count), json.loads(asked)))))


if __name__ == "__main__":
    main()
