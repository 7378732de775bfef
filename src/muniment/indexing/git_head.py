"""The commit that a work tree stands at, read from its files: no git program is needed."""

from pathlib import Path


def head_commit(folder: str) -> str | None:
    """The hash of HEAD of the repository that holds ``folder``; None outside one, or before its first commit."""
    for candidate in (Path(folder), *Path(folder).parents):
        git = candidate / ".git"
        if git.exists():
            try:
                return _resolve(_git_folder(git))
            except (OSError, UnicodeDecodeError):
                return None
    return None


def _git_folder(git: Path) -> Path:
    # in a linked work tree or a submodule .git is a file that says where the folder is
    if git.is_dir():
        return git
    return (git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()


def _resolve(folder: Path) -> str | None:
    head = (folder / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head or None
    name = head.removeprefix("ref:").strip()
    common = folder / "commondir"
    shared = (folder / common.read_text(encoding="utf-8").strip()).resolve() if common.exists() else folder
    for place in (folder, shared):
        if (place / name).is_file():
            return (place / name).read_text(encoding="utf-8").strip() or None
    packed = shared / "packed-refs"
    for line in packed.read_text(encoding="utf-8").splitlines() if packed.exists() else ():
        commit, _, reference = line.partition(" ")
        if reference == name:
            return commit
    return None
