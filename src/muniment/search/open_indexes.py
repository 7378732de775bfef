"""The indexes that are open for reading: a bounded cache, safe for threads."""

import sqlite3
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from muniment.datafolder import DataFolder, ProjectFolder
from muniment.errors import DiskFull, MunimentError
from muniment.lexical import LexicalReader
from muniment.manifest import ManifestReader, why_unread

MAX_OPEN_PROJECTS: Final = 64


@dataclass(frozen=True, slots=True)
class Readers:
    """What an answer is read from. ``lacking``: why there is no manifest although there is an index."""

    lexical: LexicalReader | None
    manifest: ManifestReader | None
    lacking: MunimentError | None = None


class OpenIndex:
    """The readers of one project's index. Closed when dropped and out of use."""

    def __init__(self, folder: ProjectFolder) -> None:
        self.users = 0
        self.dropped = False
        lexical = LexicalReader.open(folder.lexical)
        self.inode = _inode(folder.manifest)
        try:
            self.readers = Readers(lexical, ManifestReader.open(folder.manifest))
        except (sqlite3.Error, DiskFull, OSError) as error:
            self.readers = Readers(lexical, None, why_unread(folder.manifest, error))

    def is_of(self, folder: ProjectFolder) -> bool:
        """Whether nothing was made or replaced since. An open file's inode is not given to another one."""
        complete = self.readers.lexical is not None and self.readers.manifest is not None
        return complete and self.inode == _inode(folder.manifest)

    def close_if_unused(self) -> None:
        if self.dropped and self.users == 0 and self.readers.manifest is not None:
            self.readers.manifest.close()


class OpenIndexes:
    """May raise LexicalIndexDamaged."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._open: OrderedDict[str, OpenIndex] = OrderedDict()
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def using(self, project_id: str) -> Iterator[Readers]:
        opened = self._used(project_id)
        try:
            yield opened.readers
        finally:
            self._let_go(opened)

    @contextmanager
    def using_if_open(self, project_id: str) -> Iterator[Readers]:
        """Opens nothing: what is asked of many projects must not close those that are searched."""
        with self._lock:
            opened = self._current(project_id, touch=False)
        try:
            yield opened.readers if opened is not None else Readers(None, None)
        finally:
            if opened is not None:
                self._let_go(opened)

    def _let_go(self, opened: OpenIndex) -> None:
        with self._lock:
            opened.users -= 1
            opened.close_if_unused()

    def _used(self, project_id: str) -> OpenIndex:
        with self._lock:
            opened = self._current(project_id)
            if opened is not None:
                return opened
            opening = self._opening[project_id]
        # opening may wait for another process's lock: no other project waits with it
        with opening:
            with self._lock:
                opened = self._current(project_id)
                if opened is not None:
                    return opened
            made = OpenIndex(self._folder.project(project_id))
            with self._lock:
                self._drop(project_id)
                self._open[project_id] = made
                made.users += 1
                while len(self._open) > MAX_OPEN_PROJECTS:
                    self._drop(next(iter(self._open)))
            return made

    def _current(self, project_id: str, *, touch: bool = True) -> OpenIndex | None:
        """What is open and of now, one user more; ``touch``: it is the last to be closed then."""
        opened = self._open.get(project_id)
        if opened is None or not opened.is_of(self._folder.project(project_id)):
            return None
        if touch:
            self._open.move_to_end(project_id)
        opened.users += 1
        return opened

    def forget(self, project_id: str) -> None:
        with self._lock:
            self._drop(project_id)

    def keep_only(self, project_ids: Collection[str]) -> None:
        with self._lock:
            for project_id in self._open.keys() - set(project_ids):
                self._drop(project_id)
            for project_id in self._opening.keys() - set(project_ids):
                if not self._opening[project_id].locked():
                    del self._opening[project_id]

    def _drop(self, project_id: str) -> None:
        opened = self._open.pop(project_id, None)
        if opened is not None:
            opened.dropped = True
            opened.close_if_unused()

    def close(self) -> None:
        with self._lock:
            for project_id in list(self._open):
                self._drop(project_id)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
