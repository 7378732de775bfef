"""Delivers what changed: dirty paths into Redis, and a ring for whoever works on the project."""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from muniment.dirty import DirtyPaths
from muniment.errors import MunimentError
from muniment.jobs import JobKind, JobRequest
from muniment.project import indexed_path
from muniment.queue import JobQueue
from muniment.redis_client import REDIS_ERRORS
from muniment.scanning import IGNORE_FILES
from muniment_watcher.debounce import Due
from muniment_watcher.observer import Observer
from muniment_watcher.pending import Change, Pending
from muniment_watcher.roster import Roster, Watched

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5  # at most so long until a stop is noticed
STOP_SECONDS = 2.0
DIRTY_LIMIT = 1_000  # more paths that nobody has taken yet become a reconcile, as more pending ones do


class Deaf(Exception):
    """A thread that the watcher depends on has died."""


class Watcher:
    def __init__(
        self, roster: Roster, observer: Observer, pending: Pending, dirty: DirtyPaths, queue: JobQueue
    ) -> None:
        self._roster = roster
        self._observer = observer
        self._pending = pending
        self._dirty = dirty
        self._queue = queue
        self._redis_away = False

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set. Raises Deaf when changes can no longer be heard: end the process then."""
        keeper = threading.Thread(target=self._roster.run, args=(stop,), name="roster", daemon=True)
        keeper.start()
        while not stop.is_set():
            for project_id, due in self._pending.take(IDLE_SECONDS).items():
                self.deliver(project_id, due)
            if not keeper.is_alive() and not stop.is_set():
                raise Deaf("the thread that keeps the projects died")
            if not self._observer.alive():
                raise Deaf("the thread that reads file events died")
        keeper.join(STOP_SECONDS)
        if not keeper.is_alive():  # else it still uses the observer; the process ends anyway
            self._observer.close()

    def deliver(self, project_id: str, due: Due[Change]) -> None:
        """While Redis is away it goes back to what is pending, which is bounded."""
        watched = self._roster.find(project_id)
        if watched is None:
            return
        paths = list(dict.fromkeys(indexed_paths(watched, due.items)))
        if any(Path(change.path).name in IGNORE_FILES for change in due.items):
            self._roster.refresh(project_id)
        reconcile = due.reconcile or "" in paths  # '' is the whole project
        if not paths and not reconcile:
            return
        try:
            kind = JobKind.UPDATE if not reconcile and self._note(project_id, paths) else JobKind.RECONCILE
            self._queue.request(watched.project, JobRequest(kind=kind))
        except (*REDIS_ERRORS, MunimentError) as error:
            self._pending.put_back(project_id, due)
            if not self._redis_away:
                log.warning("Changes wait, because they cannot be told: %s", error)
            self._redis_away = True
            return
        if self._redis_away:
            log.info("Changes are told again")
        self._redis_away = False
        log.debug("%s: %s for %d changed paths", watched.project.name, kind, len(paths))

    def _note(self, project_id: str, paths: list[str]) -> bool:
        """Whether all is told with these paths; else a reconcile has to find what changed."""
        if self._dirty.count(project_id) > DIRTY_LIMIT:
            return False
        return self._dirty.add(project_id, paths) <= DIRTY_LIMIT


def indexed_paths(watched: Watched, changes: Iterable[Change]) -> Iterable[str]:
    """Of those changes that are the project's."""
    for change in changes:
        absolute = Path(change.path)
        if watched.scanner.ignored(absolute, change.is_dir):
            continue
        indexed = indexed_path(absolute, watched.project.watch_paths)
        if indexed is not None and _is_utf8(indexed):
            yield indexed


def _is_utf8(path: str) -> bool:
    """Other names are never indexed, and no store could carry them."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
