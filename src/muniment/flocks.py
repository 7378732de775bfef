"""Locks on files (flock). One ends with the last process that has the file open, however that dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muniment.datafolder import ProjectFolder
from muniment.errors import WriterBusy


def try_lock(path: Path) -> int | None:
    """Takes the lock without waiting and returns its descriptor, to be closed; None when another holds it.

    Makes the file. Raises FileNotFoundError without its folder.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether anyone holds the lock now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def writer_lock(folder: ProjectFolder, project_id: str) -> Iterator[None]:
    """Held by whoever writes or removes a project's index.

    Raises WriterBusy, and FileNotFoundError without a folder.
    """
    descriptor = try_lock(folder.writer_lock)
    if descriptor is None:
        raise WriterBusy(project_id)
    try:
        if not _is_at(descriptor, folder.writer_lock):  # the folder was taken away, or replaced, in between
            raise WriterBusy(project_id)
        yield
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
