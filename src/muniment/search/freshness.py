"""Whether what was indexed of a file still stands: as indexed, changed since, or gone."""

import errno
import stat
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from muniment.manifest import ManifestReader
from muniment.project import Project, absolute_path, root_labels
from muniment.pushed import PushedFiles
from muniment.scanning import FoundFile, modified_ns
from muniment.scanning.tally import RootSeen, away

NO_SUCH_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class Freshness(StrEnum):
    FRESH = "fresh"
    STALE = "stale"  # changed since, or its folder cannot be read, or its last reading failed
    GONE = "gone"


class FreshnessCheck:
    """Of the files of one project, for one answer."""

    def __init__(self, manifest: ManifestReader | None, project: Project, pushed: PushedFiles) -> None:
        self._manifest = manifest
        self._project = project
        self._pushed = pushed if pushed.made() else None
        self._roots: dict[Path, bool] = {}

    def of(self, paths: Sequence[str]) -> dict[str, Freshness]:
        indexed = self._manifest.files(paths) if self._manifest is not None else {}
        fates = {}
        for path in paths:
            now, then = self._stamp(path), indexed.get(path)
            if isinstance(now, Freshness):
                fates[path] = now
                continue
            # what a file held before its last reading failed is kept, under the size and time of that attempt
            changed = then is not None and (then.error is not None or (then.size, then.mtime_ns) != now)
            fates[path] = Freshness.STALE if changed else Freshness.FRESH
        return fates

    def _stamp(self, path: str) -> tuple[int, int] | Freshness:
        """Size and time of what the path stands for now: a pushed file hides the one on the disk."""
        put = self._pushed.look_at(path) if self._pushed is not None else None
        if isinstance(put, FoundFile):
            return put.size, put.mtime_ns
        if put is not None:  # damaged: what is indexed of it goes on answering
            return Freshness.STALE
        on_disk = absolute_path(path, self._project.watch_paths)
        if on_disk is None:
            return Freshness.GONE
        try:
            status = on_disk.lstat()
        except OSError as error:
            missing = error.errno in NO_SUCH_FILE and self._root_is_there(path)
            return Freshness.GONE if missing else Freshness.STALE
        return (status.st_size, modified_ns(status)) if stat.S_ISREG(status.st_mode) else Freshness.GONE

    def _root_is_there(self, path: str) -> bool:
        """A folder that is unmounted must not make all of its files look deleted."""
        labels = root_labels(self._project.watch_paths)
        root = labels.get("") or labels[path.partition("/")[0]]
        if root not in self._roots:
            self._roots[root] = self._look_at(root)
        return self._roots[root]

    def _look_at(self, root: Path) -> bool:
        recorded = self._manifest.meta().roots if self._manifest is not None else {}
        try:
            status, entries = root.stat(), sum(1 for _ in root.iterdir())
        except OSError:
            return False
        return not away(RootSeen(status.st_dev, status.st_ino, entries), recorded.get(str(root)))
