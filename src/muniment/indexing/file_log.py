"""What became of each file of a pass, one line of the log each, at the level DEBUG."""

import logging
from collections.abc import Iterable

from muniment.indexing.batches import Batch
from muniment.indexing.progress import REFUSED
from muniment.planning import Plan
from muniment.scanning import FAILURES, FoundFile, SkippedFile

log = logging.getLogger(__name__)


class FileLog:
    def __init__(self) -> None:
        self._on = log.isEnabledFor(logging.DEBUG)
        self._told: set[str] = set()  # of batches: a later plan finds these unchanged

    def scanned(self, found: Iterable[FoundFile], left: Iterable[SkippedFile], work: Plan[FoundFile]) -> None:
        """Tells of the files that no batch will hold."""
        if not self._on:
            return
        for item in left:
            _tell_left_out(item.path or ".", item.reason)
        told = self._told.union(file.path for file in work.to_read)
        for file in found:
            if file.path not in told:
                _tell(file.path, "unchanged")

    def committed(self, batch: Batch) -> None:
        if not self._on:
            return
        for path in batch.removed:
            _tell(path, "removed")
        for path, stamp, chunks in batch.updates:
            self._told.add(path)
            if reason := stamp.error or stamp.skipped:
                _tell_left_out(path, reason)
            elif chunks is None:
                _tell(path, "unchanged")
            else:
                _tell(path, "read", chunks=len(chunks))

    def refused(self, paths: Iterable[str]) -> None:
        """Tells of files that hold a text of which the embedder makes no vector: their words alone find them."""
        for path in paths:
            _tell(path, "failed", reason=REFUSED)


def _tell_left_out(path: str, reason: str) -> None:
    _tell(path, "failed" if reason in FAILURES else "skipped", reason=reason)


def _tell(path: str, outcome: str, *, reason: str | None = None, chunks: int | None = None) -> None:
    detail = f": {reason}" if reason else "" if chunks is None else f", {chunks} chunks"
    about = {"path": path, "outcome": outcome, "reason": reason, "chunks": chunks}
    log.debug("%s: %s%s", path, outcome, detail, extra=about)
