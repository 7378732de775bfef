"""Where a project's files come from: its folders, and the texts that were pushed. A pushed text hides a file."""

from collections.abc import Iterable, Iterator, Mapping

from muniment.planning import FileStamp, scope
from muniment.pushed import PushedFiles
from muniment.scanning import FoundFile, Scanner, SkippedFile


class Sources:
    def __init__(self, scanner: Scanner, pushed: PushedFiles) -> None:
        self._scanner = scanner
        self._pushed = pushed

    def walk(self) -> Iterator[FoundFile | SkippedFile]:
        """Everything."""
        yield from self._merged(self._pushed.walk(), self._scanner.walk())

    def look(self, paths: Iterable[str], *, recursive: bool = True) -> Iterator[FoundFile | SkippedFile]:
        """What is at these indexed paths, or below them."""
        wanted = list(paths)
        inside = scope(wanted, recursive=recursive)
        pushed = (item for item in self._pushed.look(*wanted) if inside(item.path))
        yield from self._merged(pushed, (item for path in wanted for item in self._scanner.look(path, recursive)))

    def recall_pushed(self, known: Mapping[str, FileStamp]) -> None:
        """Tells what the manifest knows, before it is compared with what is there."""
        self._pushed.recall(path for path, stamp in known.items() if stamp.pushed)

    def pushed_count(self) -> int:
        return self._pushed.count()

    @staticmethod
    def _merged(
        pushed: Iterable[FoundFile | SkippedFile], on_disk: Iterable[FoundFile | SkippedFile]
    ) -> Iterator[FoundFile | SkippedFile]:
        found = list(pushed)
        yield from found
        hidden = {item.path for item in found}
        yield from (item for item in on_disk if item.path not in hidden)
