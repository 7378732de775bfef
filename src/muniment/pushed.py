"""Texts put by the API: files of a project that lie on no disk of the server. Nothing else holds them.

One stored file per path, named by the path's hash: a line of JSON, then the text. It is written beside, synced and
renamed, all before the caller is answered; a lock of the folder makes writers of several processes take turns.
"""

import errno
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel, ValidationError

from muniment.durable import make_folder, replace, sync
from muniment.errors import DiskFull, InvalidValue, PushesBusy
from muniment.flocks import try_lock
from muniment.planning import scope
from muniment.scanning import ALWAYS_EXCLUDED, FileText, FoundFile, SkippedFile, SkipReason

log = logging.getLogger(__name__)

MAX_PATH_BYTES: Final = 1_024
HASH_BYTES: Final = 16
MAX_HEADER_BYTES: Final = 16_384
LOCK_SECONDS: Final = 10.0
LOCK_POLL_SECONDS: Final = 0.002
LOCK: Final = "lock"  # holds the highest sequence that was given
INCOMING: Final = "incoming"  # one is enough: whoever writes holds the lock, and writes over what a crash left here
STORED = re.compile(rf"[0-9a-f]{{{2 * HASH_BYTES}}}")
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class PushAnswer(BaseModel):
    """What became of a put, or of taking it back; ``job_id``: the job that takes it into the index."""

    job_id: str
    project: str
    path: str
    message: str


class _Header(BaseModel):
    path: str
    sequence: int
    masked: int = 0


def check_path(path: str) -> str:
    """Returns the path, or raises InvalidValue: relative, '/' between its segments, none of them empty, '.' or '..'."""

    def wrong(reason: str) -> InvalidValue:
        return InvalidValue("path", ascii(path[:100]), reason)

    try:
        length = len(path.encode())
    except UnicodeEncodeError as error:
        raise wrong("it holds half of a surrogate pair, which is no text") from error
    if length > MAX_PATH_BYTES:
        raise wrong(f"it is longer than {MAX_PATH_BYTES:,} bytes")
    if path.startswith("/"):
        raise wrong("it is not relative to the project")
    if "\0" in path:
        raise wrong("it contains a NUL character")
    segments = path.split("/")
    if not {"", ".", ".."}.isdisjoint(segments):
        raise wrong("a segment of it is empty, '.' or '..'")
    if hidden := ALWAYS_EXCLUDED.intersection(segments):
        raise wrong(f"nothing below {min(hidden)} is ever indexed")
    return path


class PushedFiles:
    """The pushed files of one project. Safe for threads and for several processes on one host.

    ``make`` makes the folder; the calls that write raise FileNotFoundError without it, those that read find nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, str] = {}  # by stored name, which never stands for another path

    def make(self) -> None:
        make_folder(self._folder)

    # --- writing -------------------------------------------------------------------------------------------------

    def put(self, path: str, text: str, now_ns: int, masked: int = 0) -> int:
        """Stores the text of a path (see ``check_path``) and returns its sequence: higher than any before it.

        ``masked``: how many secrets were masked in the text. On the disk when it returns. Raises DiskFull, PushesBusy.
        """
        try:
            with self._writing() as lock:
                sequence = max(now_ns, _last(lock) + 1)
                os.pwrite(lock, b"%020d" % sequence, 0)
                header = _Header(path=path, sequence=sequence, masked=masked)
                content = header.model_dump_json().encode() + b"\n" + text.encode()
                replace(self._folder / _name(path), content, self._folder / INCOMING)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise DiskFull(str(self._folder)) from error
            raise
        return sequence

    def remove(self, path: str) -> bool:
        """Forgets a path; False when it was not there. Raises PushesBusy."""
        try:
            with self._writing():
                (self._folder / _name(path)).unlink()
                sync(self._folder)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _writing(self) -> Iterator[int]:
        deadline = time.monotonic() + LOCK_SECONDS
        while (lock := try_lock(self._folder / LOCK)) is None:
            if time.monotonic() > deadline:
                raise PushesBusy(str(self._folder), LOCK_SECONDS)
            time.sleep(LOCK_POLL_SECONDS)
        try:
            yield lock
        finally:
            os.close(lock)

    # --- reading -------------------------------------------------------------------------------------------------

    def walk(self) -> Iterator[FoundFile | SkippedFile]:
        """Every pushed file, by path. A damaged one is a failure; if it hides its path, under its stored name."""
        found = [self._look_at(name) for name in self._names()]
        yield from sorted((one for one in found if one is not None), key=lambda one: one.path)

    def look(self, *paths: str) -> Iterator[FoundFile | SkippedFile]:
        """The pushed files of these paths, and those below them where they are folders; '' is the whole project."""
        if "" in paths:
            yield from self.walk()
            return
        inside = scope(paths)
        below = {known for known in self._known_paths() if inside(known)} if paths else set()
        for path in sorted(below.union(paths)):
            found = self._look_at(_name(path), path)
            if found is not None:
                yield found

    def look_at(self, path: str) -> FoundFile | SkippedFile | None:
        """The pushed file of this very path, without a look at any other."""
        return self._look_at(_name(path), path)

    def read(self, found: FoundFile) -> FileText | SkippedFile:
        """Its text as it is now, with the stamp of that. Never raises for the file's sake."""
        try:
            with Path(found.absolute).open("rb") as file:
                header, _ = _header(file, found.path)
                content = file.read()
        except FileNotFoundError:
            return SkippedFile(found.path, SkipReason.VANISHED)
        except OSError:
            return SkippedFile(found.path, SkipReason.UNREADABLE)
        try:
            text = content.decode() if header is not None else None
        except UnicodeDecodeError:
            text = None
        if header is None or text is None:
            log.error("the pushed file %s (%s) is damaged", found.path, found.absolute)
            return SkippedFile(found.path, SkipReason.UNDECODABLE)
        return FileText(text, blake2b(content, digest_size=HASH_BYTES).digest(), len(content), header.sequence)

    def made(self) -> bool:
        """Whether anything was ever put."""
        return self._folder.is_dir()

    def recall(self, paths: Iterable[str]) -> None:
        """Tells paths that were pushed before, so that a damaged file is known by its own."""
        self._paths.update((_name(path), path) for path in paths)

    def count(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._folder) as entries:
                return [entry.name for entry in entries if STORED.fullmatch(entry.name)]
        except FileNotFoundError:
            return []

    def _known_paths(self) -> list[str]:
        names = self._names()
        for name in names:
            if name not in self._paths:
                self._look_at(name)
        return [self._paths[name] for name in names if name in self._paths]

    def _look_at(self, name: str, path: str | None = None) -> FoundFile | SkippedFile | None:
        """None when there is none."""
        absolute = self._folder / name
        shown = path or self._paths.get(name) or f"{self._folder.name}/{name}"
        try:
            with absolute.open("rb") as file:
                header, length = _header(file, path)
                size = os.fstat(file.fileno()).st_size - length
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("the pushed file %s cannot be read: %s", shown, error)
            return SkippedFile(shown, SkipReason.UNREADABLE, pushed=True)
        if header is None or _name(header.path) != name:
            log.error("the pushed file %s (%s) is damaged", shown, absolute)
            return SkippedFile(shown, SkipReason.UNDECODABLE, pushed=True)
        self._paths[name] = header.path
        return FoundFile(header.path, str(absolute), size, header.sequence, pushed=True)


def _name(path: str) -> str:
    return blake2b(path.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).hexdigest()


def _header(file: BinaryIO, path: str | None) -> tuple[_Header | None, int]:
    """The header, None when it is damaged or another path's, and its length in bytes."""
    line = file.readline(MAX_HEADER_BYTES)
    try:
        header = _Header.model_validate_json(line)
    except ValidationError:
        return None, len(line)
    return header if path in (None, header.path) else None, len(line)


def _last(lock: int) -> int:
    digits = os.pread(lock, 64, 0)
    return int(digits) if digits.isdigit() else 0
