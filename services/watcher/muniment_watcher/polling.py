"""One folder tree that is looked at again and again, where the kernel tells nothing or not everything."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from muniment.project import absolute_path, indexed_path
from muniment.scanning import FoundFile, Scanner, SkippedFile
from muniment_watcher.tree import Sink

INTERVAL_SECONDS = 10.0
REST_FACTOR = 10.0  # rests so many times as long as the last look took: polling costs at most a tenth of a core
CLOSE_SECONDS = 0.5

Stamp = tuple[int, int]  # size in bytes, mtime in nanoseconds
Snapshot = Mapping[str, Stamp]


def take_snapshot(entries: Iterable[FoundFile | SkippedFile], before: Snapshot) -> dict[str, Stamp]:
    """Every file's stamp by indexed path. Below a folder that could not be read, what was known before still holds."""
    stamps: dict[str, Stamp] = {}
    unknown: list[str] = []
    for entry in entries:
        if isinstance(entry, FoundFile):
            stamps[entry.path] = (entry.size, entry.mtime_ns)
        elif entry.folder:
            unknown.append(entry.path)
    for folder in unknown:
        stamps.update({path: stamp for path, stamp in before.items() if not folder or path.startswith(folder + "/")})
    return stamps


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """Indexed paths of the files that were made, written or removed, in the order of names."""
    return sorted({path for path, _ in before.items() ^ after.items()})


class PolledTree:
    """``interval`` is the least number of seconds between two looks."""

    def __init__(
        self,
        root: str,
        scanner: Scanner,
        sink: Sink,
        interval: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = root
        self._scanner = scanner
        self._sink = sink
        self._interval = interval
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def refresh(self) -> None:
        # nothing here touches the root: a network mount may hang for ever, and with it the thread that keeps all trees
        if not self.intact():
            self._thread = threading.Thread(target=self._run, name=f"poll {self.root}", daemon=True)
            self._thread.start()

    def intact(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        label = indexed_path(Path(self.root), self._scanner.watch_paths) or ""
        known: dict[str, Stamp] | None = None
        while not self._stop.is_set():
            began = self._clock()
            seen = take_snapshot(self._scanner.look(label), known or {})
            if known is None:
                self._sink.missed()  # what changed before the first look shows only in a reconcile
            else:
                self._tell(differences(known, seen))
            known = seen
            self._stop.wait(max(self._interval, REST_FACTOR * (self._clock() - began)))

    def _tell(self, paths: list[str]) -> None:
        for path in paths:
            absolute = absolute_path(path, self._scanner.watch_paths)
            if absolute is not None:
                self._sink.changed(str(absolute), False)
