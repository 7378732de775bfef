"""One folder tree under inotify: a watch per folder that is not ignored.

watchdog's own recursive watch cannot leave folders out, keeps reporting a folder under its old path after it was moved
out of the tree, and only logs lost events. So this stands on the layer below it: its reader of the inotify queue.
"""

import errno
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from muniment_watcher.tree import Sink

# The same for every watch: two trees over one folder share its watch, and the later mask would replace the earlier.
MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ATTRIB  # a file that becomes readable
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_EXCL_UNLINK
)
_ROOT_GONE = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT
_FOLDER_CAME = InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_ATTRIB
_FOLDER_WENT = InotifyConstants.IN_DELETE | InotifyConstants.IN_MOVED_FROM
_REFUSED = WatchDescriptor(-1)  # returned, not raised, for a folder that we may not read

_GONE_MEANWHILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES})

warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)  # said whenever a watch is set a second time


class InotifyTree(WatchCallback):
    """``ignored`` is asked about folders only. Thread-safe."""

    def __init__(self, fd: InotifyFD, root: str, ignored: Callable[[Path], bool], sink: Sink) -> None:
        self._fd = fd
        self.root = root
        self._ignored = ignored
        self._sink = sink
        self._id = CallbackId(id(self))
        self._lock = threading.Lock()  # taken before the reader's own lock, never after it
        self._paths: dict[WatchDescriptor, str] = {}
        self._descriptors: dict[str, WatchDescriptor] = {}
        self._identity: tuple[int, int] | None = None
        self._closed = False

    # --- for the thread that keeps the trees ----------------------------------------------------------------------

    def refresh(self) -> None:
        """Sets the watches that should be there and takes away the others. Raises OSError when the root cannot be
        watched or the system gives no more watches."""
        status = Path(self.root).stat()
        os.scandir(self.root).close()  # says why a root cannot be read, which setting a watch does not
        self._identity = (status.st_dev, status.st_ino)
        seen = self._watch_below(self.root)
        if self.root not in seen:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.root)
        with self._lock:
            self._forget([path for path in self._descriptors if path not in seen and not self._still_wanted(path)])

    def intact(self) -> bool:
        """Whether the root is still the folder that is watched: a renamed parent sends no event."""
        try:
            status = Path(self.root).stat()
        except OSError:
            return False
        return self._identity == (status.st_dev, status.st_ino) and self.root in self._descriptors

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._forget(list(self._descriptors))

    def __len__(self) -> int:
        """How many folders are watched."""
        return len(self._descriptors)

    # --- for the thread that reads the queue ----------------------------------------------------------------------

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            folder = self._paths.get(event.wd)
        if folder is None:
            return
        if not event.name:
            if folder == self.root and event.mask & _ROOT_GONE:
                self._sink.missed()
            return
        path = f"{folder.rstrip(os.sep)}/{os.fsdecode(event.name)}"
        is_dir = bool(event.mask & InotifyConstants.IN_ISDIR)
        if is_dir:
            if self._ignored(Path(path)):
                return
            self._follow(path, event.mask)
        self._sink.changed(path, is_dir)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            path = self._paths.pop(wd, None)
            if path is not None and self._descriptors.get(path) == wd:
                del self._descriptors[path]
            root_gone = path == self.root and not self._closed
        if root_gone:
            self._sink.missed()

    def on_queue_overflow(self) -> None:
        self._sink.missed()

    def _follow(self, path: str, mask: int) -> None:
        if mask & _FOLDER_WENT:
            # The kernel's watches move along with the folder, perhaps to a place that is not ours.
            prefix = path + os.sep
            with self._lock:
                self._forget([known for known in self._descriptors if known == path or known.startswith(prefix)])
        elif mask & _FOLDER_CAME:
            try:
                self._watch_below(path)
            except OSError:
                self._sink.missed()

    # --- watches --------------------------------------------------------------------------------------------------

    def _watch_below(self, top: str) -> set[str]:
        """Watches a folder and what lies below it; the paths that are watched now.

        Each watch is set before its folder is listed, so that no folder made meanwhile is overlooked.
        """
        watched: set[str] = set()
        pending = [top]
        while pending:
            folder = pending.pop()
            if not self._watch(folder):
                continue
            watched.add(folder)
            try:
                with os.scandir(folder) as entries:
                    below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            except OSError:  # it went away, or became unreadable; both tell
                continue
            pending.extend(path for path in below if not self._ignored(Path(path)))
        return watched

    def _watch(self, folder: str) -> bool:
        with self._lock:
            if self._closed:
                return False
            try:
                wd = self._fd.add_callback(os.fsencode(folder), MASK, self, self._id)
            except OSError as error:
                if error.errno in _GONE_MEANWHILE:
                    return False
                raise
            if wd == _REFUSED:
                self._fd.remove_callbacks([(wd, self._id)])
                return False
            if self._descriptors.get(folder, wd) != wd:  # another folder had this path, and its end was not told
                self._forget([folder])
            self._descriptors[folder] = wd
            self._paths[wd] = folder
            return True

    def _still_wanted(self, path: str) -> bool:
        """Of a folder that came while the tree was walked."""
        return path != self.root and Path(path).is_dir() and not self._ignored(Path(path))

    def _forget(self, folders: list[str]) -> None:
        """Under the lock."""
        dropped = []
        for folder in folders:
            wd = self._descriptors.pop(folder)
            if self._paths.get(wd) == folder:  # else the same folder is watched under its new path
                del self._paths[wd]
                dropped.append((wd, self._id))
        self._fd.remove_callbacks(dropped)
