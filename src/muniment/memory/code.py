"""Reads the code that memories are about, as it is now: from the pushed files, else from the disk."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from muniment.datafolder import DataFolder
from muniment.errors import InvalidValue, UnknownProject
from muniment.memory.anchors import compare, line_digests, lines_now, make_anchor, parse_lines
from muniment.memory.model import Anchor, CodeState, Memory
from muniment.project import Project, absolute_path, root_labels
from muniment.pushed import PushedFiles, check_path
from muniment.scanning import FileText, FoundFile, SkippedFile, SkipReason, read_text

NO_SUCH_FILE = frozenset({SkipReason.VANISHED, SkipReason.SYMLINK, SkipReason.SPECIAL})
SomeMemory = TypeVar("SomeMemory", bound=Memory)


class AnchoredCode:
    """Makes anchors and checks them. Safe for threads.

    ``project_of`` gives a project by its id or raises UnknownProject; ``max_file_bytes``: larger files cannot be read.
    """

    def __init__(self, folder: DataFolder, project_of: Callable[[str], Project], max_file_bytes: int) -> None:
        self._folder = folder
        self._project_of = project_of
        self._max_file_bytes = max_file_bytes

    def anchor(
        self, project: Project, path: str | None, lines: str | None = None, symbol: str | None = None
    ) -> Anchor | None:
        """None without a path. Raises InvalidValue: there is no such file, or it has no such lines or symbol."""
        if not path:
            if lines or symbol:
                raise InvalidValue("path", path, "lines and symbol need the file that they are in")
            return None
        return make_anchor(path, self._text(project, path), parse_lines(lines), symbol)

    def renewed(self, project: Project, anchor: Anchor, *, seen: bool) -> Anchor:
        """For the code as it is now. ``seen``: the caller has read it where the anchor says.

        Raises InvalidValue: it is not there, or only the caller can tell where.
        """
        text = self._text(project, anchor.path)
        if anchor.symbol or anchor.start_line is None:
            return make_anchor(anchor.path, text, None, anchor.symbol)
        lines = lines_now(anchor, line_digests(text), seen=seen)
        if lines is None:
            before = f"{anchor.start_line}-{anchor.end_line}"
            raise InvalidValue("lines", before, "the first of them cannot be told in the file any more")
        return make_anchor(anchor.path, text, lines, None)

    def checked(self, memories: Iterable[SomeMemory]) -> list[SomeMemory]:
        """With ``code`` told, and lines that only moved where they are now, of every memory that has an anchor."""
        seen: dict[tuple[str, str], bytes | CodeState] = {}

        def told(memory: SomeMemory) -> SomeMemory:
            if memory.anchor is None:
                return memory
            of = (memory.project_id, memory.anchor.path)
            if of not in seen:
                seen[of] = self._look(*of)
            now = seen[of]
            state, anchor = compare(memory.anchor, now) if isinstance(now, bytes) else (now, memory.anchor)
            return memory.model_copy(update={"code": state, "anchor": anchor})

        return [told(memory) for memory in memories]

    def _look(self, project_id: str, path: str) -> bytes | CodeState:
        """The digests of the file's lines, or why there are none."""
        try:
            project = self._project_of(project_id)
            read = self._read(project, check_path(path))
        except (UnknownProject, InvalidValue):  # removed meanwhile; a path that could lead out of the project
            return CodeState.GONE
        if isinstance(read, FileText):
            return line_digests(read.text)
        gone = read.reason in NO_SUCH_FILE and _is_there(path, project)
        return CodeState.GONE if gone else CodeState.UNREADABLE

    def _text(self, project: Project, path: str) -> str:
        read = self._read(project, check_path(path))
        if not isinstance(read, FileText):
            raise InvalidValue("path", path, f"project '{project.name}' has no such text file; give it as in results")
        return read.text

    def _read(self, project: Project, path: str) -> FileText | SkippedFile:
        pushed = PushedFiles(self._folder.project(project.id).pushed)
        found = pushed.look_at(path)
        if found is not None:
            return pushed.read(found) if isinstance(found, FoundFile) else found
        absolute = absolute_path(path, project.watch_paths)
        if absolute is None:
            return SkippedFile(path, SkipReason.VANISHED)
        # wanted: a file of a machine's making may well be what a memory is about
        return read_text(FoundFile(path, str(absolute), 0, 0, wanted=True), self._max_file_bytes)


def _is_there(path: str, project: Project) -> bool:
    """Whether the folder is that a file would lie in: one that is not mounted must not make its files look deleted."""
    labels = root_labels(project.watch_paths)
    root = labels.get("") or labels.get(path.partition("/")[0])
    try:
        return root is None or any(root.iterdir())
    except OSError:
        return False
