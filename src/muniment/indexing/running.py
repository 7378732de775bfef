"""The plan that a pass carries out, as far as the dirty paths that are taken between its batches have to know it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from muniment.indexing.batches import BatchReader
from muniment.planning import FileStamp


@dataclass(frozen=True, slots=True)
class RunningPlan:
    """``target`` is the reindex generation that its files are read for, ``known`` what it was made from, where that
    still holds, ``promised`` the paths that it reads. Without ``reader`` nothing is being carried out."""

    target: int
    known: dict[str, FileStamp] = field(default_factory=dict)
    promised: frozenset[str] = frozenset()
    reader: BatchReader | None = None

    def read_ahead(self) -> set[str]:
        """Paths that may have been read already and are in no batch yet."""
        return self.reader.read_ahead() if self.reader is not None else set()

    def outrun(self, taken: Iterable[str], touched: Callable[[str], bool]) -> None:
        """``taken`` are indexed in a newer state meanwhile, and so is what was read ahead of the ``touched`` paths."""
        if self.reader is not None:
            self.reader.outrun([*taken, *filter(touched, self.read_ahead())])

    def forget(self, paths: Iterable[str]) -> None:
        """The plan must not take such a file for the one that it saw: it may come back as it was."""
        for path in paths:
            self.known.pop(path, None)
