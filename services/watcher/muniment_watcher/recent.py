"""What changed since a moment, by the times on the disk: for what happened before the watches stood."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from muniment_watcher.pending import Change


def changed_since(root: str, ignored: Callable[[Path], bool], when: float) -> Iterator[Change]:
    """Files and folders below ``root`` modified at or after ``when`` (seconds since 1970). A folder counts when
    something in it was made, removed or renamed. ``ignored`` is asked about folders only."""
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            if os.lstat(folder).st_mtime >= when:
                yield Change(folder, True)
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError:  # what vanishes now is told by its watch
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not ignored(Path(entry.path)):
                    pending.append(entry.path)
            elif _modified(entry) >= when:
                yield Change(entry.path, False)


def _modified(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return 0.0
