"""Memory and processor time of a process and of all below it, by role, sampled from a thread."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

INTERVAL = 1.0
SERVICES = ("muniment_", "muniment.stack", "muniment.parsing", "muniment.cli")
HELPERS = "helpers (each)"


@dataclass
class RoleFigures:
    """Peaks of any one process of the role in bytes; ``most`` of them lived at once; processor seconds of them all."""

    most: int = 0
    rss: int = 0
    pss: int = 0
    seconds: dict[psutil.Process, float] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        return sum(self.seconds.values())


def stack_role(process: psutil.Process) -> str:
    """Raises psutil.Error when the process has ended."""
    role = next((word for word in process.cmdline() if word.startswith(SERVICES)), process.name())
    if role.startswith("muniment.parsing"):
        return HELPERS
    if role == "muniment_worker":  # the work horse is forked from the queue's worker, that one from the supervisor
        generation = sum("muniment_worker" in up.cmdline() for up in process.parents())
        role += ("", " (queue)", " (work horse)")[min(generation, 2)]
    return role


def is_indexing(role: str) -> bool:
    return role.startswith("muniment_worker") or role == HELPERS


class ProcessSampler:
    """Samples while its block runs. Forked processes share pages: sums are of PSS, which counts each page once.

    PSS is 0 where the system does not tell it (macOS).
    """

    def __init__(
        self, root: psutil.Process, role_of: Callable[[psutil.Process], str] = stack_role, interval: float = INTERVAL
    ) -> None:
        self.roles: dict[str, RoleFigures] = {}
        self.all_together = 0  # peak of the sum of PSS
        self.indexing_together = 0  # the same, of the worker service and all below it
        self.own_seconds = 0.0
        self._root, self._role_of, self._interval = root, role_of, interval
        self._before: dict[psutil.Process, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._before = {process: _cpu_seconds(process) for process in self._living()}
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def by_size(self) -> list[tuple[str, RoleFigures]]:
        return sorted(self.roles.items(), key=lambda item: -item[1].rss)

    def _run(self) -> None:
        while True:
            self._sample()
            self.own_seconds = time.thread_time()
            if self._stop.wait(self._interval):
                self._sample()
                return

    def _living(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _sample(self) -> None:
        alive: Counter[str] = Counter()
        sums: Counter[str] = Counter()
        for process in self._living():
            try:
                role, memory = self._role_of(process), process.memory_full_info()
                cpu = _cpu_seconds(process)
            except psutil.Error:  # ended meanwhile
                continue
            figures = self.roles.setdefault(role, RoleFigures())
            pss = getattr(memory, "pss", 0)
            figures.rss = max(figures.rss, memory.rss, _peak_rss(process.pid))
            figures.pss = max(figures.pss, pss)
            figures.seconds[process] = cpu - self._before.get(process, 0.0)
            alive[role] += 1
            sums[role] += pss
        for role, count in alive.items():
            self.roles[role].most = max(self.roles[role].most, count)
        self.all_together = max(self.all_together, sums.total())
        indexing = sum(pss for role, pss in sums.items() if is_indexing(role))
        self.indexing_together = max(self.indexing_together, indexing)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _peak_rss(pid: int) -> int:
    """The kernel's own high-water mark, which misses nothing between two samples; 0 where there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
