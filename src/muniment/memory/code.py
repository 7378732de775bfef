"""Reads the code that memories are about, as it is now: from the pushed files, else from the disk."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from muniment.datafolder import DataFolder
from muniment.errors import InvalidValue, UnknownProject
from muniment.memory.anchors import compare, make_anchor, parse_lines
from muniment.memory.model import Anchor, Memory
from muniment.project import Project, absolute_path
from muniment.pushed import PushedFiles, check_path
from muniment.scanning import FileText, FoundFile, read_text

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
        wanted = parse_lines(lines)
        text = self._text(project, check_path(path))
        if text is None:
            raise InvalidValue("path", path, f"project '{project.name}' has no such text file; give it as in results")
        return make_anchor(path, text, wanted, symbol)

    def checked(self, memories: Iterable[SomeMemory]) -> list[SomeMemory]:
        """With ``code`` told, and lines that only moved where they are now, of every memory that has an anchor."""
        texts: dict[tuple[str, str], str | None] = {}

        def told(memory: SomeMemory) -> SomeMemory:
            if memory.anchor is None:
                return memory
            of = (memory.project_id, memory.anchor.path)
            if of not in texts:
                texts[of] = self._text_in(*of)
            state, anchor = compare(memory.anchor, texts[of])
            return memory.model_copy(update={"code": state, "anchor": anchor})

        return [told(memory) for memory in memories]

    def _text_in(self, project_id: str, path: str) -> str | None:
        try:
            return self._text(self._project_of(project_id), check_path(path))
        except (UnknownProject, InvalidValue):  # removed meanwhile; a path that could lead out of the project
            return None

    def _text(self, project: Project, path: str) -> str | None:
        pushed = PushedFiles(self._folder.project(project.id).pushed)
        found = pushed.look_at(path)
        if found is not None:
            read = pushed.read(found) if isinstance(found, FoundFile) else found
            return read.text if isinstance(read, FileText) else None
        absolute = absolute_path(path, project.watch_paths)
        if absolute is None:
            return None
        # wanted: a file of a machine's making may well be what a memory is about
        on_disk = read_text(FoundFile(path, str(absolute), 0, 0, wanted=True), self._max_file_bytes)
        return on_disk.text if isinstance(on_disk, FileText) else None
