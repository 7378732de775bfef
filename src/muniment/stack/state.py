"""What a running stack leaves in its data folder: a lock that says it lives, a file that says where."""

import os
import tempfile
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from muniment.flocks import is_locked, try_lock


class StackState(BaseModel):
    """Where a stack runs; written once it is ready."""

    pid: int
    data_dir: str
    url: str
    ops_url: str
    redis_url: str
    chroma_url: str
    started_at: datetime


class FileLock:
    """An flock; the file holds its taker's pid.

    It belongs to the open file: processes that inherit ``fd`` hold it too, until the last has ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        if self._fd is None:
            raise ValueError(f"{self._path} is not locked by this process")
        return self._fd

    def acquire(self) -> bool:
        """Takes the lock without waiting; False when another holds it."""
        fd = try_lock(self._path)
        if fd is None:
            return False
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        self._fd = fd
        return True

    def release(self) -> None:
        """Lets go. Closes only: an explicit unlock would take the lock from children that inherited it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def holder(path: Path) -> int | None:
    """The pid of the process that took the lock of that file, None when it is free."""
    if not is_locked(path):
        return None
    content = path.read_bytes()
    return int(content) if content.isdigit() else None


def read_state(path: Path) -> StackState | None:
    """The state last written, perhaps by a stack that is gone; None without a readable one."""
    try:
        return StackState.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def write_state(path: Path, state: StackState) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(state.model_dump_json(indent=2) + "\n")
    Path(draft).replace(path)
