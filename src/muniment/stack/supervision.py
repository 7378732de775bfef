"""Starts children in stages, restarts what dies, stops all in reverse. Knows nothing of what they do."""

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muniment.errors import StartFailed
from muniment.logs import message_of
from muniment.process import reap, spawn

FIRST_DELAY = 0.2
LONGEST_DELAY = 10.0
HEALTHY_AFTER = 30.0
TICK_SECONDS = 0.1
LOG_BYTES = 10_000_000

Ready = Callable[[], bool]
Say = Callable[[str], None]


@dataclass
class RestartPolicy:
    """When a child is started again: 0.2 s after its first death, doubling to 10 s, anew after 30 s of life.

    Pure: every time is an argument, in seconds of one monotonic clock.
    """

    failures: int = 0
    started_at: float = 0.0
    due_at: float | None = None

    def started(self, now: float) -> None:
        self.started_at, self.due_at = now, None

    def died(self, now: float) -> float:
        """Notes a death and returns the seconds to wait."""
        if now - self.started_at >= HEALTHY_AFTER:
            self.failures = 0
        delay: float = min(LONGEST_DELAY, FIRST_DELAY * 2**self.failures)
        self.failures += 1
        self.due_at = now + delay
        return delay

    def due(self, now: float) -> bool:
        return self.due_at is not None and now >= self.due_at


@dataclass(frozen=True)
class ChildSpec:
    """One process to keep alive.

    ``ready`` is asked at the first start until it is true, for at most ``start_seconds``; None means no gate.
    ``grace`` is the time in seconds between SIGTERM and SIGKILL. ``keep_fds`` stay open in the child.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Ready | None = None
    start_seconds: float = 60.0
    grace: float = 6.0
    keep_fds: tuple[int, ...] = ()


class Child:
    """A spec, its process of this moment and its log."""

    def __init__(self, spec: ChildSpec, logs: Path) -> None:
        self.spec = spec
        self.log = logs / f"{spec.name}.log"
        self.policy = RestartPolicy()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, now: float) -> None:
        rotate(self.log)
        with self.log.open("ab") as output:
            self.process = spawn(self.spec.argv, env=self.spec.env, output=output, keep_fds=self.spec.keep_fds)
        self.policy.started(now)

    def exit_status(self) -> int | None:
        return self.process.poll() if self.process is not None else None

    def failure(self, detail: str) -> StartFailed:
        last = last_line(self.log)
        return StartFailed(self.spec.name, f"{detail}; it said: {last}" if last else detail, str(self.log))


class Supervisor:
    """Owns the children of ``stages``: a stage starts together, once the one before it is ready.

    Use it from the main thread only (see muniment.process). ``stop`` may be set from a signal handler.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[ChildSpec]],
        logs: Path,
        *,
        stop: threading.Event,
        say: Say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = [[Child(spec, logs) for spec in stage] for stage in stages]
        self._stop = stop
        self._say = say
        self._clock = clock

    @property
    def children(self) -> list[Child]:
        return [child for stage in self._stages for child in stage]

    def start(self) -> bool:
        """Starts every stage. False when stopped meanwhile; StartFailed names the first child that cannot."""
        for stage in self._stages:
            for child in stage:
                child.start(self._clock())
            for child in stage:
                if not self._gate(child):
                    return False
        return True

    def _gate(self, child: Child) -> bool:
        ready, deadline = child.spec.ready, self._clock() + child.spec.start_seconds
        while ready is not None and not ready():
            if (status := child.exit_status()) is not None:
                raise child.failure(f"it ended with status {status}")
            if self._clock() >= deadline:
                raise child.failure(f"it was not ready after {child.spec.start_seconds:.0f} s")
            if self._stop.wait(TICK_SECONDS / 2):
                return False
        return not self._stop.is_set()

    def run(self) -> None:
        """Keeps the children alive until ``stop`` is set."""
        while not self._stop.wait(TICK_SECONDS):
            self.tick(self._clock())

    def tick(self, now: float) -> None:
        """One look at every child: note the dead, start those that are due."""
        for child in self.children:
            status = child.exit_status()
            if status is None:
                continue
            if child.policy.due_at is None:
                delay = child.policy.died(now)
                self._say(f"{child.spec.name} ended with status {status}; again in {delay:.1f} s (log: {child.log})")
            elif child.policy.due(now):
                try:
                    child.start(now)
                except OSError as error:  # no process, no descriptor to be had right now: not the end of the others
                    delay = child.policy.died(now)
                    self._say(f"{child.spec.name} could not be started ({error}); again in {delay:.1f} s")

    def stop(self) -> None:
        """Ends every child, the last stage first; returns when none is left."""
        for stage in reversed(self._stages):
            running = [child.process for child in stage if child.process is not None]
            for process in running:
                if process.poll() is None:
                    process.terminate()
            asked = self._clock()
            for child in stage:
                if child.process is not None:
                    reap(child.process, asked + child.spec.grace - self._clock())


def rotate(log: Path, limit: int = LOG_BYTES) -> None:
    """Moves a log over ``limit`` bytes aside, in place of the one moved before."""
    if log.exists() and log.stat().st_size > limit:
        log.replace(log.with_suffix(".log.1"))


def last_line(log: Path, tail: int = 4096) -> str:
    """What the last line of a log that is not blank says, or ''."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - tail))
        lines = file.read().decode(errors="replace").splitlines()
    return message_of(next((line.strip() for line in reversed(lines) if line.strip()), ""))
