"""The projects that are watched now, kept in line with the projects of record. Runs in a thread of its own, so that
walking a large tree holds up nobody's changes."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from muniment.project import Project
from muniment.projects import ProjectStore
from muniment.scanning import Scanner
from muniment_watcher.news import ProjectNews
from muniment_watcher.observer import Observer
from muniment_watcher.pending import Change, Pending
from muniment_watcher.recent import changed_since
from muniment_watcher.tree import Tree

log = logging.getLogger(__name__)

LISTEN_SECONDS = 0.2
CHECK_SECONDS = 5.0  # a root that came back, or whose parent was renamed, is noticed after so long
READ_SECONDS = 30.0  # the projects are read again even when nothing was heard
SLACK_SECONDS = 1.0  # between a project's time of record and the times of files


@dataclass
class Watched:
    project: Project
    scanner: Scanner
    trees: dict[str, Tree | None]  # by root; None: the root is away

    @classmethod
    def of(cls, project: Project, max_file_bytes: int) -> "Watched":
        scanner = Scanner(project.watch_paths, project.watch_patterns, project.watch_exclude, max_file_bytes)
        return cls(project, scanner, dict.fromkeys(project.watch_paths))

    def watches_like(self, project: Project) -> bool:
        mine = self.project
        return (mine.watch_paths, mine.watch_patterns, mine.watch_exclude) == (
            project.watch_paths,
            project.watch_patterns,
            project.watch_exclude,
        )

    def ignores_folder(self, path: Path) -> bool:
        return self.scanner.ignored(path, True)


class Roster:
    """``find`` and ``refresh`` are for any thread, the rest for the one that runs it."""

    def __init__(
        self,
        projects: ProjectStore,
        news: ProjectNews,
        observer: Observer,
        pending: Pending,
        max_file_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._projects = projects
        self._news = news
        self._observer = observer
        self._pending = pending
        self._max_file_bytes = max_file_bytes
        self._clock = clock
        self._watched: dict[str, Watched] = {}
        self._missed: set[tuple[str, str]] = set()
        self._missed_lock = threading.Lock()

    def find(self, project_id: str) -> Watched | None:
        return self._watched.get(project_id)

    def refresh(self, project_id: str) -> None:
        """Has the project's watches set again and a reconcile asked for: its rules changed."""
        watched = self.find(project_id)
        for root in watched.trees if watched else ():
            self.missed(project_id, root)

    def missed(self, project_id: str, root: str) -> None:
        with self._missed_lock:
            self._missed.add((project_id, root))

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``; then every tree is closed."""
        started = False
        read_at = check_at = self._clock()
        while not stop.is_set():
            heard = self._news.arrived(LISTEN_SECONDS) if started else True
            now = self._clock()
            if heard or now >= read_at:
                started = self.align(at_start=not started) or started
                read_at = self._clock() + READ_SECONDS
            if now >= check_at:
                self.check()
                check_at = self._clock() + CHECK_SECONDS
            self.mend()
        self.close()

    def align(self, *, at_start: bool = False) -> bool:
        """Watches what should be watched and nothing else; False when the projects could not be read."""
        try:
            records = {project.id: project for project in self._projects.all() if project.watch}
        except sqlite3.Error as error:
            log.warning("The projects cannot be read: %s", error)
            return False
        for project_id in self._watched.keys() - records.keys():
            self._drop(project_id)
        for project in records.values():
            known = self._watched.get(project.id)
            if known is None or not known.watches_like(project):
                self._drop(project.id)
                self._begin(project, at_start)
            else:
                known.project = project
        return True

    def check(self) -> None:
        """Looks for roots that went away or came back."""
        for project_id, watched in self._watched.items():
            for root, tree in watched.trees.items():
                if tree is None or not tree.intact():
                    self.missed(project_id, root)

    def mend(self) -> None:
        """Sets the watches again where changes were missed, then asks for a reconcile."""
        with self._missed_lock:
            missed, self._missed = self._missed, set()
        for project_id, root in sorted(missed):
            watched = self._watched.get(project_id)
            if watched is None or root not in watched.trees:
                continue
            was_away = watched.trees[root] is None
            self._refresh(watched, root)
            is_away = watched.trees[root] is None
            if not (was_away and is_away):
                self._pending.ask_reconcile(project_id)
            if is_away != was_away:
                log.warning("%s of project %s %s", root, watched.project.name, "is away" if is_away else "is back")

    def close(self) -> None:
        for project_id in list(self._watched):
            self._drop(project_id)
        self._news.close()

    def _begin(self, project: Project, at_start: bool) -> None:
        began = self._clock()
        watched = Watched.of(project, self._max_file_bytes)
        self._watched[project.id] = watched  # before the trees: what they tell is for this project
        for root in watched.trees:
            self._open(watched, root)
            if watched.trees[root] is None:
                log.warning("%s of project %s is away", root, project.name)
        log.info("Watching project %s, set up in %.2f s", project.name, self._clock() - began)
        if at_start:
            self._pending.ask_reconcile(project.id)
            return
        # Whoever made or changed the project asked for a pass, which may have read a folder before it was watched.
        since = project.updated_at.timestamp() - SLACK_SECONDS
        for root in watched.trees:
            for change in changed_since(root, watched.ignores_folder, since):
                self._pending.note(project.id, change)

    def _refresh(self, watched: Watched, root: str) -> None:
        tree = watched.trees[root]
        if tree is not None:
            try:
                tree.refresh()
                return
            except OSError as error:
                log.info("%s cannot be watched any more: %s", root, error)
                tree.close()
        self._open(watched, root)

    def _open(self, watched: Watched, root: str) -> None:
        sink = _RootSink(self, self._pending, watched.project.id, root)
        try:
            watched.trees[root] = self._observer.watch(root, watched.scanner, sink)
        except OSError as error:
            log.debug("%s cannot be watched: %s", root, error)
            watched.trees[root] = None

    def _drop(self, project_id: str) -> None:
        watched = self._watched.pop(project_id, None)
        for tree in watched.trees.values() if watched else ():
            if tree is not None:
                tree.close()
        self._pending.forget(project_id)


@dataclass(frozen=True)
class _RootSink:
    roster: Roster
    pending: Pending
    project_id: str
    root: str

    def changed(self, path: str, is_dir: bool) -> None:
        self.pending.note(self.project_id, Change(path, is_dir))

    def missed(self) -> None:
        self.roster.missed(self.project_id, self.root)
