"""Files that are there as a whole, or not at all, and survive a power loss once the call returns."""

import os
from pathlib import Path


def replace(target: Path, content: bytes, draft: Path) -> None:
    """Writes the file (mode 0600) by way of ``draft``, in the same folder, which must be nobody else's meanwhile."""
    try:
        with open(draft, "wb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # a disk that is full must not be kept so by half a file
        draft.unlink(missing_ok=True)
        raise
    draft.rename(target)
    sync(target.parent)


def make_folder(folder: Path) -> None:
    """Makes a folder (mode 0700) and those above it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in missing:
        sync(made.parent)


def sync(folder: Path) -> None:
    """Makes names that were added to or removed from a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
