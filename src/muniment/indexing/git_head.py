"""The commit that a work tree stands at, read from its files: no git program is needed.

Whoever can write in a watched tree can write its ``.git``: nothing but a hash leaves here, whatever the files say.
"""

import os
import re
import stat
from pathlib import Path

LONGEST_FILE = 4_096
LONGEST_PACKED_REFS = 8_000_000
_REFERENCE = re.compile(r"refs/[\w./+@-]+")
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def head_commit(folder: str) -> str | None:
    """The hash of HEAD of the repository that holds ``folder``; None outside one, or before its first commit."""
    for candidate in (Path(folder), *Path(folder).parents):
        git = candidate / ".git"
        if git.exists():
            commit = _resolve(_git_folder(git))
            return commit if commit is not None and _HASH.fullmatch(commit) else None
    return None


def _read(path: Path, limit: int = LONGEST_FILE) -> str | None:
    """The text of a small regular file; None for anything else. Never waits, as a pipe would make it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            return file.read(limit).decode("utf-8", "replace").strip()
        except OSError:
            return None


def _git_folder(git: Path) -> Path:
    # in a linked work tree or a submodule .git is a file that says where the folder is
    if git.is_dir():
        return git
    return git.parent / (_read(git) or "").removeprefix("gitdir:").strip()


def _resolve(folder: Path) -> str | None:
    head = _read(folder / "HEAD")
    if head is None or not head.startswith("ref:"):
        return head
    name = head.removeprefix("ref:").strip()
    if not _REFERENCE.fullmatch(name) or ".." in name:
        return None
    common = _read(folder / "commondir")
    shared = folder / common if common else folder
    loose = _read(folder / name) or _read(shared / name)
    return loose or _packed(shared / "packed-refs", name)


def _packed(path: Path, name: str) -> str | None:
    for line in (_read(path, LONGEST_PACKED_REFS) or "").splitlines():
        commit, _, reference = line.partition(" ")
        if reference == name:
            return commit
    return None
