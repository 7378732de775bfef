"""Changes to a copy of a tree: the same files at every run, picked among those that the product would index."""

import random
import shutil
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack import allocated, megabytes

from muniment.scanning import FileText, FoundFile, Scanner, read_text

SEED = 20
MAX_BYTES = 200_000
COMMENT: Mapping[str, str] = {
    **dict.fromkeys(("go", "js", "ts", "tsx", "rs", "java", "c", "h", "cc", "cpp", "hpp", "cs", "php"), "// "),
    **dict.fromkeys(("py", "rb", "sh", "yaml", "yml", "toml"), "# "),
    **dict.fromkeys(("md", "rst", "txt"), ""),
}
DISK_FACTOR = 4  # the copy, and an index that takes up to twice the text while Chroma writes


def copy_of(tree: Path, into: Path) -> Path:
    """A copy that shares no hard link with the tree. Raises SystemExit when the disk has no room for it."""
    size, free = allocated(tree), shutil.disk_usage(into).free
    if free < size * DISK_FACTOR:
        needed = megabytes(size * DISK_FACTOR)
        sys.exit(
            f"{into} has {megabytes(free)} free and needs {needed}: set TMPDIR to another disk, or give --in-place"
        )
    copy = into / tree.name
    clone = ["--reflink=auto"] if sys.platform == "linux" else []
    subprocess.run(["cp", "-a", *clone, str(tree), str(copy)], check=True)
    return copy


class TreeChanges:
    """Picks each file once, so that no change meets another."""

    def __init__(self, tree: Path) -> None:
        self._random = random.Random(SEED)
        found = Scanner([str(tree)], [], [], max_file_bytes=MAX_BYTES).walk()
        files = [item for item in found if isinstance(item, FoundFile) and item.size and _suffix(item) in COMMENT]
        self._left = sorted(files, key=lambda file: file.path)
        self._random.shuffle(self._left)

    def _take(self, count: int) -> Sequence[FoundFile]:
        taken: list[FoundFile] = []
        while self._left and len(taken) < count:
            file = self._left.pop()
            if isinstance(read_text(file, MAX_BYTES), FileText):  # not one that is generated, or no text
                taken.append(file)
        return taken

    def add_lines(self, count: int) -> dict[str, str]:
        """A comment with a word of its own at the end of each file: {indexed path: word}."""
        words = {}
        for file in self._take(count):
            word = words[file.path] = "".join(self._random.choices(string.ascii_lowercase, k=16))
            with Path(file.absolute).open("a", encoding="utf-8") as text:
                text.write(f"\n{COMMENT[_suffix(file)]}{word}\n")
        return words

    def shift_lines(self, count: int) -> int:
        """Two empty lines at the top of each file; returns how many files there were."""
        files = self._take(count)
        for file in files:
            path = Path(file.absolute)
            path.write_bytes(b"\n\n" + path.read_bytes())
        return len(files)

    def rename(self, count: int) -> int:
        """Another name in the same folder; returns how many files there were."""
        files = self._take(count)
        for file in files:
            path = Path(file.absolute)
            path.rename(path.with_name(f"renamed_{path.name}"))
        return len(files)


def _suffix(file: FoundFile) -> str:
    return Path(file.path).suffix.lower().removeprefix(".")
