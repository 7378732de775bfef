"""Chooses how a folder tree is observed: inotify on Linux, watchdog's observer elsewhere, polling where both fail."""

import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer as SystemObserver
from watchdog.observers.api import BaseObserver

from muniment.scanning import Scanner
from muniment_watcher.mounts import mounts, silent_mount
from muniment_watcher.polling import INTERVAL_SECONDS, PolledTree
from muniment_watcher.tree import Sink, Tree

if sys.platform == "linux":
    from watchdog.observers.inotify_c import InotifyFD

    from muniment_watcher.inotify import InotifyTree

log = logging.getLogger(__name__)

# Events of opening and reading are left out: walking the tree would cause more of them than can ever be handled.
EVENTS: list[type[FileSystemEvent]] = [
    FileModifiedEvent, FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent,
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent,
]  # fmt: skip
CLOSE_SECONDS = 1.0
_NO_MORE_WATCHES = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSYS})


class ObservedTree(FileSystemEventHandler):
    """A tree under watchdog's own observer for this system. It watches ignored folders too."""

    def __init__(self, root: str, sink: Sink) -> None:
        self.root = root
        self._sink = sink
        self._observer: BaseObserver | None = None

    def refresh(self) -> None:
        self.close()
        os.scandir(self.root).close()  # raises where it cannot be read
        self._observer = SystemObserver()
        self._observer.schedule(self, self.root, recursive=True, event_filter=EVENTS)
        self._observer.start()

    def intact(self) -> bool:
        observer = self._observer
        return observer is not None and observer.is_alive() and Path(self.root).is_dir()

    def close(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join(CLOSE_SECONDS)

    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in filter(None, (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))):
            if path == self.root:
                self._sink.missed()
            else:
                self._sink.changed(path, event.is_directory)


class Observer:
    """Watches any number of trees. All inotify trees share one queue: the system gives a user few of them."""

    def __init__(self, poll_seconds: float | None = None) -> None:
        """``poll_seconds`` makes every tree a polled one."""
        self._poll_seconds = poll_seconds
        self._fd: InotifyFD | None = None

    def watch(self, root: str, scanner: Scanner, sink: Sink) -> Tree:
        """Begins to watch. Raises OSError when the root is away or may not be read."""
        reason: str | None = None
        if kind := silent_mount(Path(root), mounts()):
            reason = f"a file system of type {kind} does not tell of all changes"
        elif self._poll_seconds is None:
            try:
                return self._told(root, scanner, sink)
            except OSError as error:
                if error.errno not in _NO_MORE_WATCHES:
                    raise
                reason = f"{error}; raise fs.inotify.max_user_watches and max_user_instances"
        if reason:
            log.warning("%s is polled: %s", root, reason)
        tree = PolledTree(root, scanner, sink, self._poll_seconds or INTERVAL_SECONDS)
        tree.refresh()
        return tree

    def alive(self) -> bool:
        """False when the thread that reads the events died: no tree hears anything any more."""
        return self._fd is None or self._fd.is_alive()

    def close(self) -> None:
        """The trees are closed by then."""
        if self._fd is not None:
            self._fd.stop()
            self._fd.join(CLOSE_SECONDS)
            self._fd = None

    def _told(self, root: str, scanner: Scanner, sink: Sink) -> Tree:
        tree = self._system_tree(root, lambda path: scanner.ignored(path, True), sink)
        try:
            tree.refresh()
        except OSError:
            tree.close()
            raise
        return tree

    def _system_tree(self, root: str, ignored: Callable[[Path], bool], sink: Sink) -> Tree:
        if sys.platform != "linux":
            return ObservedTree(root, sink)
        if self._fd is None:
            fd = InotifyFD()
            fd.start()
            self._fd = fd
        return InotifyTree(self._fd, root, ignored, sink)
