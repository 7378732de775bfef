"""Helper processes: spawned, never forked, so that none of them inherits the locks of the index being written."""

import logging
import os
import pickle
import selectors
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from muniment.logs import handed_on
from muniment.parsing.frames import read_frame, write_frame
from muniment.parsing.parsed import ParsedFile, ReadRequest
from muniment.scanning import SkipReason

log = logging.getLogger(__name__)
PROGRAM = (sys.executable, "-P", "-m", "muniment.parsing.helper")
GROUP_FILES = 50
GROUP_BYTES = 400_000
ANSWER_SECONDS = 60.0  # a group takes a tenth of a second; a parser that hangs for so long is killed
GROUPS_AHEAD = 2  # for each helper, so that none waits for the process that writes


def default_helpers() -> int:
    """One for each core that this process may use, at most four; none where there is but one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    return min(4, cores) if cores > 1 else 0


class HelperDied(Exception):
    """The helper ended, or did not answer in time, while it had this group."""


class _Helper:
    """One process, used by one thread."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen([*command, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def parse(self, group: list[ReadRequest], seconds: float) -> list[ParsedFile]:
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise HelperDied("it has no pipes")
        try:
            write_frame(requests, group)
            if not _readable(answers, seconds):
                raise HelperDied(f"no answer after {seconds:.0f} s")
            body = read_frame(answers)
        except OSError as error:
            raise HelperDied(str(error)) from error
        if body is None:
            raise HelperDied(f"it ended with status {self._process.wait()}")
        parsed: list[ParsedFile] = pickle.loads(body)
        return parsed

    def kill(self) -> None:
        """At once, also while another thread waits for its answer."""
        self._process.kill()

    def bury(self) -> None:
        """Kills it, and leaves nothing of it behind."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    log.debug("a helper's pipe was broken")
        self._process.wait()


def _readable(stream: IO[bytes], seconds: float) -> bool:
    with selectors.DefaultSelector() as waiting:  # select() itself fails above 1,024 open files
        waiting.register(stream, selectors.EVENT_READ)
        return bool(waiting.select(seconds))


class HelperPool:
    """``count`` helpers, started at once. Close it: the helpers end with it."""

    def __init__(
        self,
        count: int,
        max_file_bytes: int,
        rule_cache: Path | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._command = [*program, str(max_file_bytes), str(rule_cache or ""), handed_on()]
        self._seconds = answer_seconds
        self._ahead = count * GROUPS_AHEAD
        self._lock = threading.Lock()
        self._idle = [_Helper(self._command) for _ in range(count)]
        self._all = list(self._idle)
        self._closed = False
        self._threads = ThreadPoolExecutor(max_workers=count, thread_name_prefix="helper")
        self._flying: deque[tuple[list[ReadRequest], Future[list[ParsedFile]]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def parse(self, requests: Iterable[ReadRequest]) -> Iterator[tuple[list[ReadRequest], Future[list[ParsedFile]]]]:
        """Groups in the order of the requests, each with what will become of it; a few are read ahead."""
        waiting = grouped(requests)
        for group in waiting:
            self._flying.append((group, self._threads.submit(self._parse, group)))
            if len(self._flying) > self._ahead:
                yield self._flying[0]
                self._flying.popleft()
        while self._flying:
            yield self._flying[0]
            self._flying.popleft()

    def flying(self) -> Iterator[ReadRequest]:
        """What is being read now, or was read and given out last: until the next group is asked for, its taker may
        still hold some of it."""
        for group, _ in self._flying:
            yield from group

    def _parse(self, group: list[ReadRequest]) -> list[ParsedFile]:
        try:
            return self._ask(group)
        except HelperDied as died:
            if self._closed:
                return []  # of our own hand, and nobody waits for the answer
            log.warning("a helper died over %d files from %s on: %s", len(group), group[0].file.path, died)
        return [parsed for request in group for parsed in self._alone(request)]

    def _alone(self, request: ReadRequest) -> list[ParsedFile]:
        """One of the files killed its helper: each on its own, and the culprit without a parser."""
        for attempt in (request, replace(request, by_lines=True)):
            try:
                return self._ask([attempt])
            except HelperDied as died:
                log.warning("a helper died over %s: %s", request.file.path, died)
        file = request.file
        return [ParsedFile(file.path, file.size, file.mtime_ns, left_out=SkipReason.UNREADABLE, pushed=file.pushed)]

    def _ask(self, group: list[ReadRequest]) -> list[ParsedFile]:
        with self._lock:
            if self._closed:
                raise HelperDied("the pool is closed")
            helper = self._idle.pop() if self._idle else self._start()
        try:
            parsed = helper.parse(group, self._seconds)
        except BaseException:
            with self._lock:
                self._all.remove(helper)
            helper.bury()
            raise
        with self._lock:
            self._idle.append(helper)
        return parsed

    def _start(self) -> _Helper:
        helper = _Helper(self._command)
        self._all.append(helper)
        return helper

    def close(self) -> None:
        with self._lock:
            self._closed = True
            helpers = list(self._all)
        self._threads.shutdown(wait=False, cancel_futures=True)
        for helper in helpers:
            helper.kill()
        self._threads.shutdown(wait=True)
        for helper in helpers:
            helper.bury()


def grouped(requests: Iterable[ReadRequest]) -> Iterator[list[ReadRequest]]:
    group: list[ReadRequest] = []
    size = 0
    for request in requests:
        group.append(request)
        size += request.file.size
        if len(group) >= GROUP_FILES or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
